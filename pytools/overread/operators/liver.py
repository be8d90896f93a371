"""The liver in three parts: left lobe, right lobe, vessels; their volumes, what remains after surgery, and doubts.

The parts do not overlap. A vessel's voxels belong to no lobe: so volumes add up, a lobe's volume is that of its
tissue, and viewers that keep one label per voxel lose nothing when a reader saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from overread.dicom.codes import VOLUME, CodedTerm
from overread.dicom.geometry import VolumeGeometry
from overread.dicom.seg import DecodedSeg
from overread.dicom.segments import SegmentInfo
from overread.errors import SpecError
from overread.operators.card import Plausible
from overread.operators.cascade import Found, slabs_back
from overread.operators.measure import components, volume_ml
from overread.operators.result import Measurement

Mask = NDArray[np.bool_]

LEFT, RIGHT, VESSELS = "left_lobe", "right_lobe", "vessels"
PARTS: Final = (LEFT, RIGHT, VESSELS)
"""In the order of the segments; also the segments' tracking IDs."""
ORGAN: Final = "liver"
SOFT_TISSUE_HU: Final = (-100.0, 260.0)
"""How the preview shows a portal venous CT."""

_STRUCTURE: Final = CodedTerm("91723000", "SCT", "Anatomical Structure")
_LIVER: Final = CodedTerm("10200004", "SCT", "Liver")
_VESSEL: Final = CodedTerm("59820001", "SCT", "Blood Vessel")
_SIDES: Final = {LEFT: CodedTerm("7771000", "SCT", "Left"), RIGHT: CodedTerm("24028007", "SCT", "Right")}
_MISSING_ML: Final = 30.0
_LOOSE: Final = 0.03
"""Share of a lobe that may lie apart from its largest piece."""
SEGMENTS: Final = (
    SegmentInfo(
        number=1, label="Left lobe of liver", category=_STRUCTURE, type=_LIVER, laterality=_SIDES[LEFT],
        anatomic_region=_LIVER, tracking_id=LEFT, color_cielab=(50372, 38200, 51200),
    ),
    SegmentInfo(
        number=2, label="Right lobe of liver", category=_STRUCTURE, type=_LIVER, laterality=_SIDES[RIGHT],
        anatomic_region=_LIVER, tracking_id=RIGHT, color_cielab=(47500, 21600, 41900),
    ),
    SegmentInfo(
        number=3, label="Vessels of liver", category=_STRUCTURE, type=_VESSEL,
        anatomic_region=_LIVER, tracking_id=VESSELS, color_cielab=(39300, 33500, 17200),
    ),
)  # fmt: skip


def parts_of(
    found: Mapping[str, Found], geometry: VolumeGeometry, *, thresholds: Mapping[str, float]
) -> dict[str, Mask]:
    """Return the three parts on the series' grid.

    Parameters
    ----------
    found
        Of the stages ``lobes`` (left, right) and ``vessels``.
    geometry
        Grid of the series.
    thresholds
        By stage.
    """
    masks = {name: np.zeros(geometry.shape, dtype=np.bool_) for name in PARTS}
    if "lobes" not in found:
        return masks
    for part, probability in slabs_back(found, geometry):
        left, right = probability["lobes"]
        inside = left + right > thresholds["lobes"]
        vessel = np.zeros_like(inside)
        if "vessels" in probability:
            vessel = inside & (probability["vessels"][0] > thresholds["vessels"])
        masks[VESSELS][part] = vessel
        masks[LEFT][part] = inside & ~vessel & (left >= right)
        masks[RIGHT][part] = inside & ~vessel & (left < right)
    return masks


def parts_in(
    seg: DecodedSeg, geometry: VolumeGeometry, *, original: DecodedSeg | None = None
) -> tuple[dict[str, Mask], list[str]]:
    """Return the three parts in a segmentation, and in words what of it is none of them.

    A segment is told by its tracking ID; else by that of the original's segment with its label, and else by words in
    its own label. Where segments overlap a vessel comes first, then the right lobe.

    Parameters
    ----------
    seg
        A reader's.
    geometry
        Grid of the series.
    original
        The segmentation that it corrects.
    """
    known = {one.label: one.tracking_id for one in original.segments} if original else {}
    masks = {name: np.zeros(geometry.shape, dtype=np.bool_) for name in PARTS}
    strays = []
    for segment in seg.segments:
        names = (segment.tracking_id, known.get(segment.label, ""), _by_words(segment.label))
        name = next((each for each in names if each in masks), "")
        if name:
            masks[name] |= seg.volume(segment.number, geometry)
        else:
            strays.append(
                f"Segment {segment.number} is neither lobe nor vessel and was not measured: call it left lobe, right "
                "lobe or vessels"
            )
    masks[RIGHT] &= ~masks[VESSELS]
    masks[LEFT] &= ~(masks[VESSELS] | masks[RIGHT])
    return masks, strays


def _by_words(label: str) -> str:
    words = label.lower()
    told = [name for name, sign in ((LEFT, "left"), (RIGHT, "right"), (VESSELS, "vessel")) if sign in words]
    return told[0] if len(told) == 1 else ""


def remnant_of(wanted: str, *, source: str = "OVERREAD_REMNANT") -> str:
    """Return the lobe that remains, by ``left`` or ``right``; left if nothing is said.

    Raises
    ------
    SpecError
        If it is neither.
    """
    if wanted not in {"", "left", "right"}:
        raise SpecError(f"{wanted!r} is no lobe: write left or right, the lobe that remains.", source=source)
    return wanted or "left"


def measure_liver(masks: Mapping[str, Mask], geometry: VolumeGeometry, *, remnant: str) -> tuple[Measurement, ...]:
    """Return the volumes of the parts, their sum, and the future liver remnant.

    The remnant is the share in percent of the lobe that stays in the tissue of both lobes; vessels are no functional
    tissue. It is 0 where there is no liver.

    Parameters
    ----------
    masks
        By part.
    geometry
        Their grid.
    remnant
        ``left`` or ``right``.
    """
    volumes = {name: volume_ml(masks[name], geometry) for name in PARTS}
    functional = volumes[LEFT] + volumes[RIGHT]
    share = 100.0 * volumes[f"{remnant}_lobe"] / functional if functional else 0.0
    return (
        *(
            Measurement(
                roi=name,
                name=f"{name}_ml",
                value=volumes[name],
                unit="mL",
                code=VOLUME,
            )
            for name in PARTS
        ),
        Measurement(roi=ORGAN, name="total_ml", value=sum(volumes.values()), unit="mL"),
        Measurement(roi=ORGAN, name="remnant_pct", value=share, unit="%"),
    )


def doubts_about(masks: Mapping[str, Mask], geometry: VolumeGeometry, *, expected: Plausible) -> list[str]:
    """Say in words what speaks against a segmented liver: its size, a missing lobe, loose pieces, a cut-off scan."""
    volumes = {name: volume_ml(masks[name], geometry) for name in PARTS}
    total, said = sum(volumes.values()), []
    look = "Look at the mask before using the numbers"
    if expected.smallest_ml is not None and total < expected.smallest_ml:
        said.append(
            f"Implausible volume: the liver has {total:.0f} mL, expected at least {expected.smallest_ml:g} mL. {look}"
        )
    if expected.largest_ml is not None and total > expected.largest_ml:
        said.append(
            f"Implausible volume: the liver has {total:.0f} mL, expected at most {expected.largest_ml:g} mL. {look}"
        )
    for name in (LEFT, RIGHT):
        title = name.replace("_", " ")
        if volumes[name] < _MISSING_ML:
            said.append(f"The {title} is missing or nearly so ({volumes[name]:.0f} mL). {look}")
            continue
        labels, count = components(masks[name])
        loose = 1.0 - int(np.bincount(labels.ravel())[1:].max()) / int(masks[name].sum())
        if loose > _LOOSE:
            said.append(f"The {title} is in {count} pieces, {loose:.0%} of it apart from the largest. {look}")
    ends = [name for name in PARTS if masks[name][0].any() or masks[name][-1].any()]
    if ends:
        said.append(
            "The liver reaches the first or last slice: the scan may end inside it, and its volume be too small"
        )
    return said
