"""One run of one exam as a file: taken from a server, looked at and run again where there is none.

``masking``  what must not leave the server: secrets, and words that name the patient
``collect``  what a run was given and made, by REST
``bundle``   the file, written and (from whomever it comes) read
``compare``  whether two results say the same
"""
