"""Radiographs as files: greys, orientation, size and what is refused, without any network."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit

from overread.operators import film
from overread.operators.load import load_folder
from overread.operators.radiographs import Placed, read_radiographs
from overread.synthetic.hip_exams import radiograph_dataset
from overread.synthetic.mr import uid_from

VALUES = np.add.outer(np.linspace(0.0, 0.6, 40), np.linspace(0.0, 0.4, 30)).astype(np.float32)


def image(values=VALUES, *, number=1, inverted=False, **attributes):
    ds = radiograph_dataset(values, spacing_mm=0.5, inverted=inverted)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_from("study"), uid_from("series", number)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid_from("image", number))
    ds.SeriesNumber = ds.InstanceNumber = number
    ds.PatientOrientation = ["L", "F"]
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def read(tmp_path, *datasets, **rules):
    for number, ds in enumerate(datasets):
        ds.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    return read_radiographs(load_folder(tmp_path).series, **{"body_parts": ("PELVIS",), **rules})


def test_greys_are_the_same_whatever_the_photometric_interpretation(tmp_path):
    found = read(tmp_path, image(number=1), image(number=2, inverted=True))
    straight, inverted = found.images
    assert straight.placed.values == pytest.approx(VALUES, abs=2e-3)
    assert inverted.placed.values == pytest.approx(VALUES, abs=2e-3)
    assert straight.spacing_mm == 0.5


def test_a_lookup_table_comes_before_a_window(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = np.arange(4095, -1, -1, dtype=np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    found = read(tmp_path, image(VOILUTSequence=[table]))
    shown = found.images[0].placed.values
    assert shown[0, 0] > shown[-1, -1]


def test_a_lookup_table_is_asked_for_rescaled_values(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [8192, 0, 16]
    table.LUTData = np.where(np.arange(8192) < 4096, 0, 65535).astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    found = read(tmp_path, image(VOILUTSequence=[table], RescaleSlope="2", RescaleIntercept="0"))
    shown = found.images[0].placed.values
    assert shown == pytest.approx(np.where(VALUES < 0.5, 0.0, 1.0), abs=1e-6)


def test_a_window_that_hides_the_image_is_not_used(tmp_path):
    found = read(tmp_path, image(WindowCenter="9000", WindowWidth="10"))
    assert "its window hides most of it and was not used" in found.images[0].notes
    assert found.images[0].placed.values.std() > 0.1


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (["L", "F"], VALUES),
        (["R", "F"], VALUES[:, ::-1]),
        (["L", "H"], VALUES[::-1]),
        (["R", "H"], VALUES[::-1, ::-1]),
        (["F", "L"], VALUES.T),
        (["H", "L"], np.rot90(VALUES, -1)),
        (["F", "R"], np.rot90(VALUES, 1)),
    ],
)
def test_orientation_is_undone_and_places_lead_back(tmp_path, orientation, stored):
    found = read(tmp_path, image(np.ascontiguousarray(stored), PatientOrientation=orientation)).images[0]
    assert found.placed.values == pytest.approx(VALUES, abs=2e-3)
    x, y = found.placed.stored(7, 11)
    assert found.stored_values[round(y), round(x)] == pytest.approx(VALUES[11, 7], abs=2e-3)


@pytest.mark.parametrize("quarters", range(5))
def test_four_quarters_are_a_whole_turn(quarters):
    placed = Placed.of(VALUES).turned(quarters)
    assert np.array_equal(placed.values, np.rot90(VALUES, -quarters))
    x, y = placed.stored(3, 5)
    assert VALUES[round(y), round(x)] == placed.values[5, 3]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"ViewPosition": "LL"}, "lateral view (ViewPosition LL)"),
        ({"PatientOrientation": ["P", "F"]}, "lateral view (PatientOrientation)"),
        ({"BodyPartExamined": "CHEST"}, "another part of the body (BodyPartExamined CHEST)"),
        ({"NumberOfFrames": 2}, "several frames"),
    ],
)
def test_what_is_refused_by_its_header(tmp_path, attributes, reason):
    found = read(tmp_path, image(**attributes))
    assert not found.images
    assert reason in found.refused[0].reason
    assert found.refused[0].name == "image 1 of series 1"


def stored_with_loss():
    ds = image()
    picture = io.BytesIO()
    Image.fromarray(np.rint(255.0 * VALUES).astype(np.uint8)).save(picture, "JPEG", quality=90)
    ds.PixelData = encapsulate([picture.getvalue()])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.WindowCenter, ds.WindowWidth = 8, 8, 7, "128", "256"
    return ds


@pytest.mark.parametrize("make", [lambda: image(LossyImageCompression="01"), stored_with_loss])
def test_images_compressed_with_loss_carry_a_warning_or_are_refused_as_the_card_says(tmp_path, make):
    ds, plain = make(), image(VALUES.T.copy(), number=2)
    warned = read(tmp_path, ds, plain).images
    assert warned[0].notes == ("it was compressed with loss: a fine fracture line may be lost",)
    assert warned[0].placed.values == pytest.approx(VALUES, abs=0.05)
    assert warned[1].notes == ()
    found = read(tmp_path, ds, plain, lossy="refuse")
    assert [each.header.InstanceNumber for each in found.images] == [2]
    assert [each.reason for each in found.refused] == [
        "it was compressed with loss, which this model's card does not accept"
    ]


def test_blank_doubled_and_damaged_images(tmp_path):
    blank = image(np.zeros((20, 20), np.float32), number=3)
    cut = image(number=4)
    cut.PixelData = cut.PixelData[:100]
    found = read(tmp_path, image(number=1), image(number=2), blank, cut)
    assert len(found.images) == 1
    reasons = {each.name: each.reason for each in found.refused}
    assert reasons["image 2 of series 2"] == "the same pixels as image 1 of series 1"
    assert "blank" in reasons["image 3 of series 3"]
    assert "cut off" in reasons["image 4 of series 4"]


def test_without_orientation_or_size_it_says_so(tmp_path):
    ds = image(PatientOrientation=None)
    del ds.ImagerPixelSpacing
    found = read(tmp_path, ds).images[0]
    assert found.spacing_mm is None
    assert "PatientOrientation" in found.notes[0]


def test_a_window_around_a_right_joint_is_that_of_a_left_one():
    values = np.zeros((60, 80), np.float32)
    values[30, 50] = 1.0
    mirrored = values[:, ::-1]
    left = film.joint_window(values, at=(45, 28), flip=False, window=(20, 24), medial=6, above=8)
    right = film.joint_window(mirrored, at=(79 - 45, 28), flip=True, window=(20, 24), medial=6, above=8)
    assert left[10, 11] == 1.0
    assert np.array_equal(left, right)


def test_fewer_pixels_keep_the_places():
    values = np.zeros((81, 101), np.float32)
    values[38:43, 58:63] = 1.0
    small = film.at_spacing(values, 0.5, 2.0)
    assert small.shape == (21, 26)
    assert tuple(map(int, np.unravel_index(int(np.argmax(small)), small.shape))) == (10, 15)
