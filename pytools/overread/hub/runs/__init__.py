"""Runs of commands: what to run (launch, resolve), where (images, environments, runners), and what becomes of it.

``documents``     command documents: defaults, wrappers, ids
``validation``    the Container Service's rules for a command document
``jsonfilter``    the conditions of matchers and subscriptions
``template``      ``#key#`` replacement and command-line values
``resolve``       inputs, mounts, environment and outputs of one launch
``launch``        may it run, is it new, queue it
``images``        image folders, by the name that commands use
``environments``  Python environments of images, cached by what they hold
``runner``        the interface of all runners
``process``       the runner without an engine; ``sandbox`` and ``logs`` belong to it
``warmup``        builds environments before they are needed
``queue``         the service that takes runs through their life
``outputs``       stores what a run left, all of it or nothing
"""
