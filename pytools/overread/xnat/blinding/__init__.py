"""Blinded reading on a server: the salt and the key, the look for leaks, the opening of a case.

The salt never leaves the coordinator's machine. The key (which code is which exam and source) is there and in a project
of its own, which has owners and nobody else.
"""

from overread.xnat.blinding.secrets import (
    Reading,
    key_project,
    make_salt,
    parse_key,
    publish_key,
    read_key,
    read_salt,
    write_key,
)

__all__ = [
    "Reading",
    "key_project",
    "make_salt",
    "parse_key",
    "publish_key",
    "read_key",
    "read_salt",
    "write_key",
]
