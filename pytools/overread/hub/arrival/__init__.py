"""How an exam arrives: from one DICOM object to an archived session.

``objects``     what is known of an object without looking at its pixels
``routing``     receivers' routing expressions
``assignment``  project, subject and session of an object
``spooling``    an object's file before anyone has decided about it
``storage``     files in the prearchive, and the ledger of everything that reached us
``prearchive``  sessions that are arriving
``completion``  when a session is whole
``archive``     from the prearchive into the archive, in one transaction
``filing``      a series' objects become files of a scan
``describe``    what XNAT's session and scan say of DICOM objects
``moving``      a session goes into another project's prearchive
``recovery``    what a crash left undone
"""
