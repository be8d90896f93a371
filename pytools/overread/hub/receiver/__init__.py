"""The DICOM receiver: C-ECHO and C-STORE (PS3.4 Annex B), one listener a port, several AE titles on it.

``settings``  what `/xapi/dicomscp` says of a receiver
``handlers``  one event of the network becomes one call, its outcome one status
``listener``  pynetdicom's server, with its waiting shortened
``service``   which ports listen, as the receivers' rows say
"""
