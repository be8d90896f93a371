"""Parts of the liver: volumes, remnant, doubts, and parts read from what a reader saved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from overread.dicom.geometry import geometry_of
from overread.dicom.seg import decode_seg, write_seg
from overread.errors import SpecError
from overread.operators import liver
from overread.operators.card import Plausible
from overread.operators.cascade import Found
from overread.synthetic.phantoms import make_mr_series

SHAPE, SPACING = (20, 40, 50), (5.0, 4.0, 4.0)
IMAGES = make_mr_series(SHAPE, SPACING)
GEOMETRY = geometry_of(IMAGES)
EXPECTED = Plausible(smallest_ml=500.0, largest_ml=3500.0)


def parts(**boxes: tuple[slice, slice, slice]) -> dict[str, np.ndarray]:
    masks = {name: np.zeros(SHAPE, dtype=bool) for name in liver.PARTS}
    for name, box in boxes.items():
        masks[name][box] = True
    return masks


WHOLE = parts(
    left_lobe=(slice(3, 15), slice(5, 25), slice(26, 46)),
    right_lobe=(slice(3, 15), slice(5, 35), slice(4, 26)),
)
SMALL = parts(
    left_lobe=(slice(5, 9), slice(5, 15), slice(26, 36)),
    right_lobe=(slice(5, 9), slice(5, 15), slice(4, 26)),
)
LARGE = parts(
    left_lobe=(slice(1, 19), slice(0, 40), slice(20, 50)),
    right_lobe=(slice(1, 19), slice(0, 40), slice(0, 20)),
)
VOXEL_ML = 0.08


def test_remnant_is_the_share_of_the_lobe_that_stays():
    masks = {**WHOLE, liver.VESSELS: np.zeros(SHAPE, dtype=bool)}
    masks[liver.VESSELS][16, 5:10, 5:10] = True
    left, right = 12 * 20 * 20 * VOXEL_ML, 12 * 30 * 22 * VOXEL_ML
    for remnant, share in (("left", left / (left + right)), ("right", right / (left + right))):
        found = {m.name: m.value for m in liver.measure_liver(masks, GEOMETRY, remnant=remnant)}
        assert found["left_lobe_ml"] == pytest.approx(left)
        assert found["right_lobe_ml"] == pytest.approx(right)
        assert found["vessels_ml"] == pytest.approx(25 * VOXEL_ML)
        assert found["total_ml"] == pytest.approx(left + right + 25 * VOXEL_ML)
        assert found["remnant_pct"] == pytest.approx(100 * share)  # vessels are no tissue that works


def test_no_liver_is_nothing_not_a_division_by_zero():
    found = {m.name: m.value for m in liver.measure_liver(parts(), GEOMETRY, remnant="left")}
    assert set(found.values()) == {0.0}


def test_remnant_must_be_a_lobe():
    assert [liver.remnant_of(wanted) for wanted in ("", "left", "right")] == ["left", "left", "right"]
    with pytest.raises(SpecError, match="write left or right"):
        liver.remnant_of("caudate")


def test_a_plausible_liver_raises_no_doubt():
    assert liver.doubts_about(WHOLE, GEOMETRY, expected=EXPECTED) == []


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (SMALL, "expected at least 500 mL"),
        (LARGE, None),
        ({**WHOLE, liver.LEFT: np.zeros(SHAPE, dtype=bool)}, "left lobe is missing"),
        ({**WHOLE, liver.RIGHT: WHOLE[liver.RIGHT] & (np.arange(40) % 10 < 8)[None, :, None]}, "right lobe is in"),
        ({**WHOLE, liver.VESSELS: parts(vessels=(slice(0, 15), slice(8, 9), slice(8, 9)))[liver.VESSELS]},
         "reaches the first or last slice"),
    ],
)  # fmt: skip
def test_doubts_are_said(masks, said):
    found = liver.doubts_about(masks, GEOMETRY, expected=EXPECTED)
    if said is None:
        assert found == []  # 2880 mL is much, but within bounds
        found = liver.doubts_about(masks, GEOMETRY, expected=Plausible(largest_ml=2500.0))
        said = "expected at most 2500 mL"
    assert len(found) == 1
    assert said in found[0]


def test_parts_never_overlap_and_vessels_are_only_inside():
    affine = GEOMETRY.affine_lps
    lobes = np.zeros((2, *SHAPE), dtype=np.float32)
    lobes[0][WHOLE[liver.LEFT]] = 0.9
    lobes[1][WHOLE[liver.RIGHT]] = 0.9
    vessels = np.zeros((1, *SHAPE), dtype=np.float32)
    vessels[0, 8, :, 10:40] = 0.8
    found = {"lobes": Found(probability=lobes, affine=affine), "vessels": Found(probability=vessels, affine=affine)}
    masks = liver.parts_of(found, GEOMETRY, thresholds={"lobes": 0.5, "vessels": 0.5})
    assert np.sum(list(masks.values()), axis=0).max() == 1
    inside = WHOLE[liver.LEFT] | WHOLE[liver.RIGHT]
    np.testing.assert_array_equal(masks[liver.VESSELS], (vessels[0] > 0.5) & inside)
    np.testing.assert_array_equal(masks[liver.LEFT], WHOLE[liver.LEFT] & ~masks[liver.VESSELS])


def test_nothing_found_is_three_empty_parts():
    masks = liver.parts_of({}, GEOMETRY, thresholds={})
    assert [mask.any() for mask in masks.values()] == [False, False, False]


def test_segments_are_told_by_tracking_id_or_by_words():
    segments = [replace(one, tracking_uid=f"2.25.{one.number}", algorithm_type="SEMIAUTOMATIC",
                        algorithm_name="x", algorithm_version="1") for one in liver.SEGMENTS]  # fmt: skip
    masks = {segment.number: WHOLE.get(segment.tracking_id, parts()["vessels"]) for segment in segments}
    masks[3][8, 10, 10:30] = True
    saved = decode_seg(write_seg(IMAGES, masks, segments), geometry=GEOMETRY)
    assert [segment.laterality.meaning if segment.laterality else "" for segment in saved.segments] == [
        "Left", "Right", "",
    ]  # fmt: skip
    found, strays = liver.parts_in(saved, GEOMETRY)
    assert strays == []
    np.testing.assert_array_equal(found[liver.LEFT], WHOLE[liver.LEFT] & ~masks[3])  # a vessel comes first
    named = [replace(one, tracking_id="", tracking_uid="", label=label)
             for one, label in zip(segments, ("My LEFT part", "Right", "Spleen"), strict=True)]  # fmt: skip
    found, strays = liver.parts_in(decode_seg(write_seg(IMAGES, masks, named), geometry=GEOMETRY), GEOMETRY)
    np.testing.assert_array_equal(found[liver.RIGHT], WHOLE[liver.RIGHT])
    assert not found[liver.VESSELS].any()
    assert len(strays) == 1
    assert strays[0].startswith("Segment 3 is neither lobe nor vessel")
