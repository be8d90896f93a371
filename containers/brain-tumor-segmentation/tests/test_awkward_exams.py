"""Exams as they come from real departments, each through the image's own entry: the right mask, or one line why not."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import gdcm
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from helpers.containers import Run, main_of, run_main
from helpers.exam_files import write_series
from helpers.threshold_model import write_model
from overread.dicom.geometry import geometry_of
from overread.dicom.multiframe import single_frames
from overread.dicom.seg import decode_seg
from overread.synthetic import awkward
from overread.synthetic.phantoms import Box, make_case

SHAPE, SPACING = (24, 40, 36), (2.0, 1.0, 1.25)
CASE = make_case(SHAPE, SPACING)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Any:
    module = main_of("brain-tumor-segmentation")
    module.MODEL = write_model(
        tmp_path_factory.mktemp("model"), inference__window=[48, 48, 48], preprocessing__spacing_mm=list(SPACING)
    )
    return module


@pytest.fixture
def run(image, tmp_path):
    def start(datasets, **environ) -> Run:
        return run_main(image.segment_exam, write_series(tmp_path / "in", datasets), tmp_path / "out", **environ)

    return start


def mask_of(done: Run, images: list[Dataset]) -> np.ndarray:
    assert (done.code, done.error) == (0, ""), done.error
    assert done.result["status"] == "ok", done.result["reason"]
    return decode_seg(dcmread(done.output / "seg.dcm")).volume(1, geometry_of(single_frames(images)))


def in_gdcm_syntax(images: list[Dataset], kind: Any, tmp_path) -> list[Dataset]:
    """Return images that another toolkit compressed."""
    found: list[Dataset] = []
    (tmp_path / "plain").mkdir()
    for number, ds in enumerate(images):
        plain, packed = tmp_path / "plain" / f"{number}.dcm", tmp_path / "plain" / f"{number}.packed.dcm"
        ds.save_as(plain, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(kind))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(packed))
        assert writer.Write()
        found.append(dcmread(packed))
    return found


@pytest.mark.parametrize(
    "change",
    [
        awkward.implicit,
        awkward.signed,
        awkward.with_overlays,
        lambda images: awkward.in_syntax(images, DeflatedExplicitVRLittleEndian),
        lambda images: awkward.in_syntax(images, RLELossless),
        lambda images: list(reversed(awkward.copies(images))),
        lambda images: [*images, *awkward.localizer(images, "FLAIR localizer")],
        lambda images: [
            *images,
            *awkward.as_series([*images, *images[:0]], "FLAIR MPR", number=9, image_type="DERIVED\\SECONDARY\\MPR"),
        ],
    ],
    ids=["implicit", "signed", "overlays", "deflated", "rle", "any-order", "localizer", "derived"],
)
def test_the_mask_is_exact(run, change):
    images = change(CASE.datasets)
    np.testing.assert_array_equal(mask_of(run(images), CASE.datasets), CASE.mask)


@pytest.mark.parametrize("kind", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "JPEG2000"])
def test_what_another_toolkit_compressed_is_read(run, kind, tmp_path):
    images = in_gdcm_syntax(CASE.datasets, getattr(gdcm.TransferSyntax, kind), tmp_path)
    assert images[0].file_meta.TransferSyntaxUID.is_encapsulated
    np.testing.assert_array_equal(mask_of(run(images), CASE.datasets), CASE.mask)


def test_a_slope_for_each_image_is_applied(run):
    mask = mask_of(run(awkward.rescaled(CASE.datasets)), CASE.datasets)
    np.testing.assert_array_equal(mask, CASE.mask)


@pytest.mark.parametrize("orientation", ["axial", "oblique"])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, RLELossless])
def test_enhanced_multi_frame(run, orientation, syntax):
    case = make_case(SHAPE, SPACING, orientation=orientation)
    whole = awkward.enhanced(case.datasets)
    (whole,) = awkward.in_syntax([whole], syntax) if syntax else [whole]
    done = run([whole])
    mask = mask_of(done, [whole])
    assert 2 * (mask & case.mask).sum() / (mask.sum() + case.mask.sum()) > (0.999 if orientation == "axial" else 0.92)
    seg = dcmread(done.output / "seg.dcm")
    assert [i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence] == [
        whole.SOPInstanceUID
    ]
    frames = [
        g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for g in seg.PerFrameFunctionalGroupsSequence
    ]
    for number, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = whole.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0].ImagePositionPatient
        assert group.PlanePositionSequence[0].ImagePositionPatient == place
    assert done.result["inputs"][0]["instances"] == SHAPE[0]


def test_thick_slices(run, image, tmp_path):
    case = make_case((12, 64, 60), (6.0, 0.8, 0.9))
    mask = mask_of(run(case.datasets), case.datasets)
    assert 2 * (mask & case.mask).sum() / (mask.sum() + case.mask.sum()) > 0.85


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: awkward.without(images, 7, 8), "2 of 24 slices are missing, first after slice 7"),
        (awkward.unequal, "Slice distances run from 2.000 to 2.800 mm"),
        (awkward.doubled, "Two images lie at the same position"),
        (lambda images: [awkward.enhanced(images, repeat=2)], "Two images lie at the same position"),
    ],
    ids=["missing", "unequal", "doubled", "enhanced-time-points"],
)
def test_what_is_no_volume_is_refused_with_the_reason(run, change, message):
    done = run(change(CASE.datasets))
    assert done.code == 1
    assert message in done.error
    assert done.error.count("\n") == 1
    assert "result.json" not in done.files


def broken(change) -> list[Dataset]:
    images = awkward.copies(CASE.datasets)
    for ds in images:
        change(ds)
    return images


def no_position(ds: Dataset) -> None:
    del ds.ImagePositionPatient


def no_number(ds: Dataset) -> None:
    ds.ImagePositionPatient = None
    ds.PixelSpacing = ["0", "0"]


def colours(ds: Dataset) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 3, "RGB"


def enormous(ds: Dataset) -> None:
    ds.Rows = ds.Columns = 65535


def half(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_position, "lacks the 3 numbers"),
        (no_number, "PixelSpacing"),
        (colours, "has colours"),
        (enormous, "more than can be worked on"),
        (half, "cut off or damaged"),
    ],
)
def test_broken_headers_are_refused_with_the_reason(run, change, message):
    done = run(broken(change))
    assert done.code == 1
    assert message in done.error
    assert done.error.count("\n") == 1


def test_of_two_flairs_the_rule_chooses_and_says_why(run):
    fewer = awkward.as_series(CASE.datasets[:20], "FLAIR fast", number=2)
    done = run([*fewer, *CASE.datasets])
    assert done.result["inputs"][0]["series_instance_uid"] == CASE.datasets[0].SeriesInstanceUID
    assert "chosen of 2 by most_instances" in done.out


def test_of_two_flairs_the_whole_one_is_taken_with_a_warning(run):
    whole = awkward.as_series(CASE.datasets[:20], "FLAIR repeated", number=2)
    done = run([*awkward.without(CASE.datasets, 5), *whole])
    assert done.result["inputs"][0]["series_instance_uid"] == whole[0].SeriesInstanceUID
    (warning,) = done.result["warnings"]
    assert "1 of 24 slices are missing" in warning


@pytest.mark.parametrize("optional", [False, True])
def test_a_missing_t1_is_what_the_card_says(image, optional, tmp_path):
    t1 = {"where": [{"tag": "SeriesDescription", "matches": "(?i)t1"}], "at_least": 5}
    usual = image.MODEL
    rules = json.loads(
        json.dumps({"flair": {"where": [{"tag": "SeriesDescription", "matches": "(?i)flair"}]}, "t1": t1})
    )
    image.MODEL = write_model(tmp_path / "model", inputs=rules, optional=["t1"] if optional else [])
    try:
        done = run_main(image.segment_exam, write_series(tmp_path / "in", CASE.datasets), tmp_path / "out")
    finally:
        image.MODEL = usual
    assert done.code == 0
    assert done.result["status"] == ("ok" if optional else "not-applicable")
    said = done.result["warnings"][0] if optional else done.result["reason"]
    assert "t1: no series fits" in said


@pytest.mark.slow
def test_memory_is_that_of_the_series_in_use(run, image, tmp_path):
    """An exam of which a seventh is needed: what is allocated does not grow with the rest."""
    case = make_case((24, 128, 128), SPACING)
    used_bytes = case.mask.size * 4
    folder = write_series(tmp_path / "in", case.datasets)
    for number in range(2, 8):
        write_series(folder / str(number), awkward.as_series(case.datasets, f"T2 {number}", number=number))
    tracemalloc.start()
    try:
        done = run_main(image.segment_exam, folder, tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.code == 0
    assert peak < 16 * used_bytes + 10e6


@pytest.mark.parametrize(
    ("lesions", "plausible", "message"),
    [
        (None, {"largest_ml": 0.1}, "Implausible volume: "),
        (None, {"most_pieces": 1}, "marked 2 separate areas"),
        ([Box(start=(0, 0, 0), stop=(4, 3, 3))], {"inside_body": 0.9}, "outside the head or body"),
        (None, {"largest_ml": 500.0, "most_pieces": 2, "inside_body": 0.9}, ""),
    ],
)
def test_an_implausible_result_carries_a_warning(image, tmp_path, lesions, plausible, message):
    usual = image.MODEL
    image.MODEL = write_model(
        tmp_path / "model", inference__window=[48, 48, 48], preprocessing__spacing_mm=list(SPACING), plausible=plausible
    )
    case = make_case(SHAPE, SPACING, lesions=lesions)
    try:
        done = run_main(image.segment_exam, write_series(tmp_path / "in", case.datasets), tmp_path / "out")
    finally:
        image.MODEL = usual
    assert done.code == 0
    assert [message in warning for warning in done.result["warnings"]] == ([True] if message else [])
    xml = (done.output / "assessor.xml").read_text("utf-8")
    assert (message in xml) is True


def test_on_a_cpu_two_runs_are_the_same_to_the_bit(image, tmp_path):
    folder = write_series(tmp_path / "in", CASE.datasets)
    runs = [run_main(image.segment_exam, folder, tmp_path / name) for name in ("one", "two")]
    first, second = (dcmread(done.output / "seg.dcm") for done in runs)
    assert first.PixelData == second.PixelData
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert runs[0].result["measurements"] == runs[1].result["measurements"]
