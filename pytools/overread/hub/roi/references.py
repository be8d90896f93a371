"""Which images a collection was drawn on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from overread.hub.arrival.objects import text


@dataclass(frozen=True)
class Referenced:
    """UIDs that an object refers to.

    Parameters
    ----------
    studies, series, instances
        Of the images; for a segmentation the study is its own.
    """

    studies: frozenset[str]
    series: frozenset[str]
    instances: frozenset[str]


def references_of(dataset: Dataset) -> Referenced:
    """Return what a SEG (PS3.3 A.51) or RTSTRUCT (PS3.3 A.19) refers to."""
    if text(dataset, "Modality") == "RTSTRUCT":
        return _of_structure_set(dataset)
    instances: set[str] = set()
    series: set[str] = set()
    for item in _items([dataset], "ReferencedSeriesSequence"):
        series.add(text(item, "SeriesInstanceUID"))
        instances.update(_uids(item, "ReferencedInstanceSequence"))
    groups = [
        *_items([dataset], "SharedFunctionalGroupsSequence"),
        *_items([dataset], "PerFrameFunctionalGroupsSequence"),
    ]
    for derivation in _items(groups, "DerivationImageSequence"):
        instances.update(_uids(derivation, "SourceImageSequence"))
    return _clean([text(dataset, "StudyInstanceUID")], series, instances)


def _of_structure_set(dataset: Dataset) -> Referenced:
    studies: set[str] = set()
    series: set[str] = set()
    instances: set[str] = set()
    frames = _items([dataset], "ReferencedFrameOfReferenceSequence")
    for study in _items(frames, "RTReferencedStudySequence"):
        studies.add(text(study, "ReferencedSOPInstanceUID"))
        for item in _items([study], "RTReferencedSeriesSequence"):
            series.add(text(item, "SeriesInstanceUID"))
            instances.update(_uids(item, "ContourImageSequence"))
    for contour in _items(_items([dataset], "ROIContourSequence"), "ContourSequence"):
        instances.update(_uids(contour, "ContourImageSequence"))
    return _clean(studies or {text(dataset, "StudyInstanceUID")}, series, instances)


def _clean(studies: Iterable[str], series: Iterable[str], instances: Iterable[str]) -> Referenced:
    return Referenced(*(frozenset(uid for uid in uids if uid) for uids in (studies, series, instances)))


def _items(holders: Iterable[Dataset], keyword: str) -> Iterator[Dataset]:
    for holder in holders:
        yield from holder.get(keyword) or ()


def _uids(holder: Dataset, keyword: str) -> Iterator[str]:
    for item in _items([holder], keyword):
        yield text(item, "ReferencedSOPInstanceUID")
