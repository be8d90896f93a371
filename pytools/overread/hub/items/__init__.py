"""XNAT's items as the hub keeps them: rules and state, no HTTP.

``fields``       values of an item, checked against its datatype
``subjects``, ``experiments``, ``scans``  finding and saving
``files``        resources, and the files in them
``deletion``     taking items away, with their files
``serialise``    an item as matchers and filters see it
``announce``     the events that a change fires
``xml``          items as XML documents, both ways
``uris``         ``/archive/experiments/E/scans/1`` to the item
"""
