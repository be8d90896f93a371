"""What a blinded case is called, and the UIDs of its copy: salted hashes that tell nothing without the salt.

The same salt and parts give the same code on every machine, so a copy that is made again is the same copy, and two
studies with different salts share no code. Nothing here reads files: whoever holds the salt passes it in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

MIN_SALT_BYTES: Final = 32
CODE_LENGTH: Final = 10
_CONSONANTS: Final = "BCDFGHJKMNPQRSTVWXYZ"
_LETTERS: Final = "0123456789" + _CONSONANTS
"""Crockford's base 32 without A and E: no vowel, so no word, and nothing that is read as another character."""
_UID_DIGITS: Final = 39


def code_of(salt: bytes, parts: Sequence[str]) -> str:
    """Return the code of a case.

    Parameters
    ----------
    salt
        At least 32 secret bytes.
    parts
        What the case is, such as study, exam, source, reader and period. Their order counts, and where one ends.

    Returns
    -------
    str
        Ten characters, the first a consonant so that no spreadsheet takes it for a number: 3.9e14 codes.

    Raises
    ------
    ValueError
        If the salt is shorter than 32 bytes.
    """
    number = int.from_bytes(_digest(salt, "code", parts))
    number, first = divmod(number, len(_CONSONANTS))
    characters = [_CONSONANTS[first]]
    for _ in range(CODE_LENGTH - 1):
        number, index = divmod(number, len(_LETTERS))
        characters.append(_LETTERS[index])
    return "".join(characters)


def uids_of(salt: bytes, code: str) -> Callable[[str], str]:
    """Return what gives the UIDs of a case's copy: old UID to new UID.

    All new UIDs lie below 2.25 (PS3.5 B.2) and have 44 characters: neither root nor length tells what they replace.
    The same old UID becomes another one in each case, so that two copies of one exam can't be joined by it.

    Raises
    ------
    ValueError
        If the salt is shorter than 32 bytes.
    """
    _check(salt)

    def new_uid(old: str) -> str:
        for attempt in count():
            digest = _digest(salt, "uid", (code, old, str(attempt)))
            number = uuid.UUID(bytes=digest[:16], version=5).int
            if len(str(number)) == _UID_DIGITS:  # seven in ten are
                return f"2.25.{number}"
        raise AssertionError

    return new_uid


def shuffle_key(salt: bytes, parts: Sequence[str]) -> bytes:
    """Return what to sort by so that an order tells nothing of what is ordered."""
    return _digest(salt, "order", parts)


def _check(salt: bytes) -> None:
    if len(salt) < MIN_SALT_BYTES:
        raise ValueError(f"a salt has at least {MIN_SALT_BYTES} bytes, this one {len(salt)}")


def _digest(salt: bytes, purpose: str, parts: Sequence[str]) -> bytes:
    _check(salt)
    return hmac.new(salt, json.dumps([purpose, *parts]).encode(), hashlib.sha256).digest()
