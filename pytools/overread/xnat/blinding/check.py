"""``overread blind check``: whether anything, over a whole study, tells who made a segmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom.dataset import Dataset

from overread.dicom.grids import geometry_of_seg
from overread.dicom.seg import decode_seg
from overread.errors import DataError, NotFound
from overread.evidence.leaks import Asked, Copy, find_leaks
from overread.evidence.shapes import FEATURES, shape_of
from overread.evidence.telling import Shaped, Telling, tell_sources
from overread.xnat.blinding.facts import facts_of
from overread.xnat.blinding.secrets import Reading
from overread.xnat.connection import FileArchive


@dataclass(frozen=True)
class BlindReport:
    """What the look for leaks found.

    Parameters
    ----------
    asked
        Facts that tell.
    tellings
        How well each source is told by shape; empty when there are too few exams.
    max_auc
        What is allowed.
    looked_at, exams, missing
        Copies that were there, their exams, and readings without a copy on the server.
    notes
        Copies whose shape could not be judged, and why.
    """

    asked: Asked
    tellings: tuple[Telling, ...]
    max_auc: float
    looked_at: int
    exams: int
    missing: int
    notes: tuple[str, ...]

    @property
    def told(self) -> tuple[Telling, ...]:
        """Sources that are told by shape better than allowed, and not by chance."""
        return tuple(one for one in self.tellings if one.auc > self.max_auc and one.low > 0.5)  # noqa: PLR2004 - by chance

    @property
    def is_blind(self) -> bool:
        """Whether nothing tells."""
        return not self.asked.leaks and not self.told

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "blind": self.is_blind,
            "copies": self.looked_at,
            "exams": self.exams,
            "missing": self.missing,
            "facts": self.asked.facts,
            "questions": self.asked.varying,
            "smallest_p": self.asked.smallest_p,
            "leaks": [asdict(leak) for leak in self.asked.leaks],
            "shape": [asdict(telling) | {"told": telling in self.told} for telling in self.tellings],
            "max_auc": self.max_auc,
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Return it in words."""
        yield (
            f"{self.looked_at} copies of {self.exams} exams looked at"
            f"{f', {self.missing} readings have no copy on the server yet' if self.missing else ''}; "
            f"{self.asked.facts} facts, {self.asked.varying} questions."
        )
        for leak in self.asked.leaks:
            yield f"LEAK  {leak}"
        if not self.asked.leaks:
            yield "No fact that stands by the copies goes along with the source."
        if self.asked.smallest_p > 0.01:  # noqa: PLR2004 - the usual alpha
            yield (
                f"With {self.exams} exams only what differs without fail is seen (smallest p "
                f"{self.asked.smallest_p:.2g}): look again with more."
            )
        for one in self.tellings:
            word = "LEAK " if one in self.told else "shape"
            names = "; ".join(f"{_in_words(name)} ({auc:.2f})" for name, auc in one.features.items())
            yield (
                f"{word} {one.source} is told from the others with AUC {one.auc:.2f} (95 % interval {one.low:.2f} to "
                f"{one.high:.2f}, {one.exams} exams, allowed {self.max_auc:.2f}). Most tell: {names}"
            )
        if self.tellings:
            yield (
                "Shape is what readers judge, and people and programs do draw differently: a high AUC says that a "
                "trained eye may guess the source from the contours alone. No copy can mend that; smooth all sources "
                "alike, or report it."
            )
        else:
            yield "Shapes were not judged: that takes four exams with two sources each, or more."
        yield from self.notes


def check_study(
    archive: FileArchive,
    readings: Sequence[Reading],
    *,
    holder: str,
    max_auc: float,
    alpha: float,
    tell: Callable[[str], None],
) -> BlindReport:
    """Look for leaks over all copies that have a source.

    Parameters
    ----------
    archive, readings
        The server, and the key.
    holder
        Project in which copies are that a reader has sent and may not reach any more.
    max_auc, alpha
        How well shapes may tell, and the chance of a false alarm.
    tell
        Is called with each copy that is looked at.

    Raises
    ------
    DataError
        The key has no reading with a source: nothing is blinded.
    ArchiveError
        The server does not answer as it should.
    """
    blinded = [reading for reading in readings if reading.source]
    if not blinded:
        raise DataError("the key has no reading of a segmentation with a source: there is nothing blinded to check")
    copies: list[Copy] = []
    shapes: list[Shaped] = []
    notes: list[str] = []
    missing = 0
    with TemporaryDirectory() as name:
        for reading in sorted(blinded, key=lambda one: (one.project, one.code)):
            tell(f"{reading.project} {reading.code}")
            try:
                facts, seg = facts_of(archive, reading, Path(name), holder=holder)
            except NotFound:
                missing += 1
                continue
            source = str(reading.source)
            copies.append(Copy(reading.exam, source, reading.code, facts))
            try:
                shapes.append(Shaped(reading.exam, source, _shape(seg)))
            except DataError as error:
                notes.append(f"{reading.code}: its shape could not be judged: {error}")
    return BlindReport(
        asked=find_leaks(copies, alpha=alpha),
        tellings=tell_sources(_once(shapes)),
        max_auc=max_auc,
        looked_at=len(copies),
        exams=len({copy.exam for copy in copies}),
        missing=missing,
        notes=tuple(notes),
    )


def _once(shapes: Sequence[Shaped]) -> list[Shaped]:
    """Return each mask once: copies for several readers have the same."""
    found: dict[tuple[str, str, str], Shaped] = {}
    for shape in shapes:
        found.setdefault((shape.exam, shape.source, repr(sorted(shape.features.items()))), shape)
    return list(found.values())


def _shape(seg: Dataset) -> dict[str, float]:
    geometry = geometry_of_seg(seg)
    decoded = decode_seg(seg, geometry=geometry)
    return {
        f"{segment.number}.{name}": value
        for segment in decoded.segments
        for name, value in shape_of(decoded.volume(segment.number, geometry), geometry.spacing_mm).items()
    }


def _in_words(name: str) -> str:
    number, _, feature = name.partition(".")
    return f"segment {number}: {FEATURES[feature]}"
