"""What is said of a segment (PS3.3 C.8.20.4, Segment Description Macro)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast

import highdicom as hd
from pydicom.dataset import Dataset

from overread.dicom.codes import ARTIFICIAL_INTELLIGENCE, TISSUE, CodedTerm, term_of
from overread.dicom.geometry import attribute, text_of, whole_number

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
_ALGORITHM_TYPES: Final = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
_LAB_COMPONENTS: Final = 3
_LO_MAX: Final = 64


@dataclass(frozen=True, kw_only=True)
class SegmentInfo:
    """One segment of a segmentation.

    Parameters
    ----------
    number
        SegmentNumber, from 1.
    label
        SegmentLabel, at most 64 characters.
    category, type
        SegmentedPropertyCategory and -Type, for instance "Morphologically abnormal structure" and "Neoplasm".
    algorithm_type
        Who drew it: a program, a program and a person, or a person.
    algorithm_name, algorithm_version
        Of the program; empty for MANUAL.
    tracking_id, tracking_uid
        Names under which the drawn thing is followed from object to object.
    anatomic_region
        Where it lies.
    laterality
        Modifies the type (context group 244): left or right.
    color_cielab
        RecommendedDisplayCIELabValue as stored: three whole numbers from 0 to 65535.
    """

    number: int
    label: str
    category: CodedTerm = TISSUE
    type: CodedTerm = TISSUE
    algorithm_type: AlgorithmType = "MANUAL"
    algorithm_name: str = ""
    algorithm_version: str = ""
    tracking_id: str = ""
    tracking_uid: str = ""
    anatomic_region: CodedTerm | None = None
    color_cielab: tuple[int, int, int] | None = None
    laterality: CodedTerm | None = None


def describe(segment: SegmentInfo) -> hd.seg.SegmentDescription:
    """Return the segment as an item of SegmentSequence."""
    algorithm = None
    if segment.algorithm_type != "MANUAL":
        algorithm = hd.AlgorithmIdentificationSequence(
            name=segment.algorithm_name or "unknown",
            family=ARTIFICIAL_INTELLIGENCE.as_code(),
            version=segment.algorithm_version or "unknown",
        )
    item = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=segment.category.as_code(),
        segmented_property_type=segment.type.as_code(),
        algorithm_type=segment.algorithm_type,
        algorithm_identification=algorithm,
        tracking_uid=segment.tracking_uid or None,
        tracking_id=segment.tracking_id or None,
        anatomic_regions=[segment.anatomic_region.as_code()] if segment.anatomic_region else None,
    )
    if segment.laterality:
        modifier = hd.sr.CodedConcept.from_code(segment.laterality.as_code())
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    if segment.color_cielab:
        item.RecommendedDisplayCIELabValue = list(segment.color_cielab)
    return item


def parse(item: Dataset) -> SegmentInfo:
    """Return what an item of SegmentSequence says, with defaults for what it leaves out."""
    kind = text_of(item, "SegmentAlgorithmType").upper()
    algorithm = _first(item, "SegmentationAlgorithmIdentificationSequence") or Dataset()
    category = _first(item, "SegmentedPropertyCategoryCodeSequence")
    property_type = _first(item, "SegmentedPropertyTypeCodeSequence")
    region = _first(item, "AnatomicRegionSequence")
    modifier = _first(property_type or Dataset(), "SegmentedPropertyTypeModifierCodeSequence")
    return SegmentInfo(
        number=whole_number(item, "SegmentNumber"),
        label=text_of(item, "SegmentLabel")[:_LO_MAX],
        category=_known(category),
        type=_known(property_type),
        algorithm_type=cast("AlgorithmType", kind) if kind in _ALGORITHM_TYPES else "MANUAL",
        algorithm_name=text_of(algorithm, "AlgorithmName") or text_of(item, "SegmentAlgorithmName"),
        algorithm_version=text_of(algorithm, "AlgorithmVersion"),
        tracking_id=text_of(item, "TrackingID"),
        tracking_uid=text_of(item, "TrackingUID"),
        anatomic_region=term_of(region) if region else None,
        color_cielab=_color(item),
        laterality=term_of(modifier) if modifier else None,
    )


def _known(code: Dataset | None) -> CodedTerm:
    """Return a property code; what can't be one, and the retired code that viewers write, is "Tissue"."""
    term = term_of(code) if code is not None else TISSUE
    usable = all((term.value, term.scheme, term.meaning)) and (term.scheme, term.value) != ("SRT", "T-D0050")
    return term if usable else TISSUE


def _first(item: Dataset, keyword: str) -> Dataset | None:
    sequence = attribute(item, keyword)
    return cast("Dataset", sequence[0]) if sequence else None


def _color(item: Dataset) -> tuple[int, int, int] | None:
    value = attribute(item, "RecommendedDisplayCIELabValue")
    if value is None or isinstance(value, int) or len(value) != _LAB_COMPONENTS:
        return None
    lightness, a, b = (int(v) for v in value)
    return (lightness, a, b)
