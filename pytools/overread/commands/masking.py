"""Taking secrets and words that name the patient out of what is told of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SECRET, PATIENT = "[secret]", "[patient]"
MASKED_BY_SERVER = "******"

_SECRET_NAME = re.compile(
    r"(?i)pass|pwd|token|secret|credential|alias|cookie|session_?key|(?:^|[_-])(?:api_?)?key(?:$|[_-])|(?:^|[_-])auth(?:$|[_-])"
)
_ALWAYS = {"XNAT_USER", "XNAT_PASS"}
_IN_TEXT = (
    (re.compile(r"(?i)(authorization\s*[:=]\s*(?:basic|bearer)\s+)[^\s\"']+"), rf"\g<1>{SECRET}"),
    (re.compile(r"(?i)\b(pass(?:word|wd|phrase)?|token|secret|api[_-]?key)(\s*[=:]\s*[\"']?)[^\s\"'&,;]+"),
     rf"\g<1>\g<2>{SECRET}"),
    (re.compile(r"(?i)\b(JSESSIONID=)[^\s;\"']+"), rf"\g<1>{SECRET}"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@"), rf"\g<1>{SECRET}@"),
)  # fmt: skip
_SHORTEST_SECRET = 4
_SHORTEST_WORD = 3
_KEPT = ("sha256", "sop_instance_uid", "series_instance_uid")
"""Keys of what identifies data by itself; their values stay as they are."""


def is_secret(name: str) -> bool:
    """Whether the value of a variable or input of this name is a secret."""
    return name in _ALWAYS or _SECRET_NAME.search(name) is not None


class Mask:
    """Takes words out of texts.

    Parameters
    ----------
    secrets
        Values of secret variables and inputs.
    patient
        Name, birth date, accession number, as the server has them.
    """

    def __init__(self, secrets: Iterable[str], patient: Iterable[str]) -> None:
        found = {text for text in secrets if len(text) >= _SHORTEST_SECRET and text not in (SECRET, MASKED_BY_SERVER)}
        self._secrets = sorted(found, key=len, reverse=True)
        words = {word for text in patient for word in _words(text)}
        self._whole = {text.strip().lower() for text in patient if text.strip()}
        self._patient = [_pattern(word) for word in sorted(words, key=len, reverse=True)]

    def text(self, text: str) -> str:
        """Return `text` without them."""
        if text.strip().lower() in self._whole:
            return PATIENT
        for secret in self._secrets:
            text = text.replace(secret, SECRET)
        for pattern, replacement in _IN_TEXT:
            text = pattern.sub(replacement, text)
        for pattern in self._patient:
            text = pattern.sub(PATIENT, text)
        return text

    def all(self, value: Any) -> Any:
        """Return a JSON value without them; hashes and UIDs of data stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.all(one) for one in value]
        if isinstance(value, Mapping):
            return {str(name): one if name in _KEPT else self.all(one) for name, one in value.items()}
        return value


def _words(text: str) -> list[str]:
    """Return what of a name, date or number gives the patient away: each part, and a date in the ways it is written."""
    text = text.strip()
    digits = re.sub(r"[-./]", "", text)
    if re.fullmatch(r"\d{8}", digits):
        year, month, day = digits[:4], digits[4:6], digits[6:]
        return [
            digits,
            f"{year}-{month}-{day}",
            f"{day}.{month}.{year}",
            f"{month}/{day}/{year}",
            f"{day}/{month}/{year}",
        ]
    return [part for part in {text, *re.split(r"[\s^=,]+", text)} if len(part) >= _SHORTEST_WORD]


def _pattern(word: str) -> re.Pattern[str]:
    """Return the pattern of a word by itself; a number inside a UID or a longer number is another one."""
    edge = r"[0-9A-Za-z]" if re.search(r"[^\W\d_]", word) else r"[0-9A-Za-z._-]"
    return re.compile(rf"(?<!{edge}){re.escape(word)}(?!{edge})", re.IGNORECASE)
