"""How an exam arrives: from one DICOM object to an archived session.

``objects``     what is known of an object without looking at its pixels
``routing``     receivers' routing expressions
``assignment``  project, subject and session of an object
``storage``     files in the prearchive, and the ledger of everything that reached us
``prearchive``  sessions that are arriving
``completion``  when a session is whole
``archive``     from the prearchive into the archive, in one transaction
``recovery``    what a crash left undone
"""
