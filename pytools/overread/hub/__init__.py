"""The embedded hub: a small server that answers as XNAT does.

It exists so that everything above it can be run, shown and tested without an XNAT. It is no second product.

Where to look
-------------
``config``      what the hub is told at start
``models/``     what is stored, as SQLAlchemy classes, one file per subject
``database``    engine and transactions
``layout``      where files lie on disk, as in XNAT's archive
``access``      who may do what
``http``        one call: routes, bodies, answers in XNAT's shapes
``core``        the `Hub` object, that holds all of it together
``areas/``      XNAT's API, one folder per area: ``routes.py`` (HTTP) and ``store.py`` (rules and state)
``app``         all routes as one ASGI application
"""
