"""DICOM over TLS (PS3.15 B.12): who we are, and whom we let in."""

from __future__ import annotations

import ssl
from collections.abc import Mapping


def server_context(files: Mapping[str, str]) -> ssl.SSLContext:
    """Return the context of the TLS port.

    Parameters
    ----------
    files
        Paths: ``certificate`` and ``key`` (PEM), and ``client_ca``, the authorities one of which must have signed a
        sender's certificate ("" asks for none).

    Raises
    ------
    OSError
        A file can't be read, or is not what it should be (`ssl.SSLError` is an `OSError`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files["certificate"], files["key"])
    if files["client_ca"]:
        context.load_verify_locations(files["client_ca"])
        context.verify_mode = ssl.CERT_REQUIRED
    return context
