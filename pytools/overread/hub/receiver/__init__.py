"""The DICOM receiver: C-ECHO, C-STORE (PS3.4 Annex B) and storage commitment, several AE titles on each port.

``settings``     what `/xapi/dicomscp` says of a receiver
``service``      which ports listen, as the receivers' rows say
``pool``         receiving processes, to which connections are handed
``worker``       one of these processes: associations, and who is let in
``upper``        pynetdicom's upper layer, without its waiting
``stores``       objects of one association, written where they arrive
``refusals``     associations that came to nothing, for the administrator
"""
