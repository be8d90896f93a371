"""Files that were compressed when they were made: which of the twins a browser takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_TWINS: Final = (("br", ".br"), ("gzip", ".gz"))
"""Content coding, and what a file's name ends in; the smallest first."""


def codings(accepted: str) -> Iterator[tuple[str, str]]:
    """Give the codings of an ``Accept-Encoding`` that there may be twins for, each with the ending of its files.

    Parameters
    ----------
    accepted
        Value of the header, such as ``gzip, deflate, br;q=0.5``; weights other than 0 are not looked at.
    """
    taken = set()
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        if weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            taken.add(name.strip())
    for coding, suffix in _TWINS:
        if coding in taken or ("*" in taken and coding == "gzip"):
            yield coding, suffix
