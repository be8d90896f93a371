"""Which lesion of one exam is which of another: by tracking UID where it recurs, else by place.

The review page matches by the same rules (``xnat-plugins/core/web/src/study/lesions.ts``); the vectors in
``tests/vectors/lesions.json`` hold both to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

REACH_MM: Final = 10.0
"""So far a lesion's centre may move from one exam to the next, beyond the larger radius of the two."""


@dataclass(frozen=True)
class Found:
    """A lesion of one exam.

    Parameters
    ----------
    volume_ml
        Its size.
    centre_mm
        Its place, from an origin that moves with the patient.
    tracking_uid
        Of its segment; empty if it has none.
    """

    volume_ml: float
    centre_mm: tuple[float, float, float]
    tracking_uid: str = ""


def match(exams: Sequence[Sequence[Found]]) -> tuple[tuple[int, ...], ...]:
    """Return numbers for a patient's lesions over exams.

    Parameters
    ----------
    exams
        The lesions of each exam, in order of date.

    Returns
    -------
    tuple of tuple of int
        For each exam and each of its lesions the number (from 0) of the line that it belongs to. Within an exam no
        number comes twice: of a lesion that fell apart the nearest part goes on, the others are new.

    Notes
    -----
    First by tracking UID, where an exam and a line have it once each; then the closest pairs, up to `REACH_MM` and the
    larger of both radii (of a sphere of that volume). A line's place is that of its latest lesion.
    """
    lines: list[Found] = []
    numbers: list[tuple[int, ...]] = []
    for lesions in exams:
        taken: dict[int, int] = {}
        for index, lesion in enumerate(lesions):
            same = [n for n, line in enumerate(lines) if line.tracking_uid and line.tracking_uid == lesion.tracking_uid]
            alone = sum(other.tracking_uid == lesion.tracking_uid for other in lesions) == 1
            if len(same) == 1 and alone:
                taken[index] = same[0]
        pairs = sorted(
            (_distance_mm(line, lesion), index, number)
            for index, lesion in enumerate(lesions)
            for number, line in enumerate(lines)
            if _near(line, lesion)
        )
        for _, index, number in pairs:
            if index not in taken and number not in taken.values():
                taken[index] = number
        for index, lesion in enumerate(lesions):
            if index in taken:
                lines[taken[index]] = lesion
            else:
                taken[index] = len(lines)
                lines.append(lesion)
        numbers.append(tuple(taken[index] for index in range(len(lesions))))
    return tuple(numbers)


def _distance_mm(one: Found, other: Found) -> float:
    x, y, z = (a - b for a, b in zip(one.centre_mm, other.centre_mm, strict=True))
    return math.sqrt(x * x + y * y + z * z)


def _near(one: Found, other: Found) -> bool:
    return _distance_mm(one, other) <= REACH_MM + max(_radius_mm(one), _radius_mm(other))


def _radius_mm(lesion: Found) -> float:
    return float((3000.0 * lesion.volume_ml / (4.0 * math.pi)) ** (1.0 / 3.0))
