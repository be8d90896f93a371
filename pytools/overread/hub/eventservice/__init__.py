"""The Event Service: subscriptions that turn an event into a run of a command.

``catalog``        the events that exist, and what can be done about them
``subscriptions``  what is subscribed, and the rules for it
``listener``       what happens when an event comes
``deliveries``     what became of it
"""
