"""What images do beside a network: choosing series, reading a volume, writing a SEG, volumes from it; beside peers."""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from bench.conftest import Results
from helpers.segments import LESION
from overread.dicom.seg import write_seg
from overread.dicom.segments import describe
from overread.dicom.volumes import volumes_ml
from overread.operators.load import load_folder
from overread.operators.volume import read_volume
from overread.synthetic import awkward
from overread.synthetic.phantoms import make_mr_series

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore"),  # peers warn of what they lack
]

SERIES, SLICES, SIDE, ROUNDS = 10, 200, 512, 3
TAGS: Final = [
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "SeriesDescription",
    "Modality",
]


def beside(ours: Callable[[], Any], theirs: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return seconds of each, one after the other in every round, so that noise hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in ("Overread", *theirs)}
    for _ in range(ROUNDS):
        for name, work in {"Overread": ours, **theirs}.items():
            began = time.perf_counter()
            work()
            taken[name].append(round(time.perf_counter() - began, 4))
    return taken


def peer(module: str) -> Any:
    """Return a peer's module, None where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exam of 2,000 instances and 1 GB."""
    folder = tmp_path_factory.mktemp("exam")
    images = make_mr_series((SLICES, SIDE, SIDE), (1.0, 0.5, 0.5))
    for number in range(1, SERIES + 1):
        (folder / str(number)).mkdir()
        series = awkward.as_series(images, f"FLAIR {number}", number=number)
        for ds in series:
            ds.save_as(folder / str(number) / f"{str(ds.SOPInstanceUID)[-12:]}.dcm", enforce_file_format=True)
        del series
    return folder


def by_pydicom(folder: Path) -> int:
    found = {
        (ds.SeriesInstanceUID, ds.SOPInstanceUID)
        for path in sorted(folder.rglob("*.dcm"))
        for ds in [dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))]
    }
    return len(found)


def test_choosing_and_reading(exam: Path, results: Results) -> None:
    folder = load_folder(exam)
    assert [series.summary.instances for series in folder.series] == [SLICES] * SERIES
    assert by_pydicom(exam) == SERIES * SLICES
    results["images_choose_s"] = beside(lambda: load_folder(exam), {"pydicom": lambda: by_pydicom(exam)})

    series = folder.series[0]
    ours = read_volume(series).values
    place = series.paths[0].parent
    theirs: dict[str, Callable[[], Any]] = {}
    if sitk := peer("SimpleITK"):

        def by_simpleitk() -> Any:
            return sitk.GetArrayFromImage(sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place))))

        np.testing.assert_array_equal(by_simpleitk(), ours)
        theirs["SimpleITK"] = by_simpleitk
    if transforms := peer("monai.transforms"):

        def by_monai() -> Any:
            return transforms.LoadImage(image_only=True, reader="PydicomReader")(str(place))

        assert sorted(by_monai().shape) == sorted(ours.shape)
        theirs["MONAI LoadImage"] = by_monai
    results["images_read_s"] = beside(lambda: read_volume(series), theirs)
    results["images_all_s"] = beside(lambda: all_but_inference(exam, place.parent / "seg"), {})


def all_but_inference(exam: Path, target: Path) -> None:
    """Do what an image does beside its network: choose, read, write a mask, measure it."""
    volume = read_volume(load_folder(exam).series[0])
    bright = volume.values > np.quantile(volume.values[::10, ::10, ::10], 0.9)
    write_seg(volume.images, {1: bright}, [LESION]).save_as(target, enforce_file_format=True)
    assert volumes_ml(dcmread(target))[1] > 0


def masks_of(shape: tuple[int, int, int]) -> dict[int, np.ndarray[Any, Any]]:
    masks = {number: np.zeros(shape, dtype=np.bool_) for number in (1, 2, 3)}
    for number, mask in masks.items():
        mask[20 * number : 20 * number + 143, 100:200, 60 * number : 60 * number + 40] = True
    return masks


def by_highdicom(images: list[Dataset], masks: dict[int, np.ndarray[Any, Any]]) -> Dataset:
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=np.stack([mask.astype(np.uint8) for mask in masks.values()], axis=-1),
        segmentation_type="BINARY",
        segment_descriptions=[describe(dataclasses.replace(LESION, number=n)) for n in masks],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="M",
        manufacturer_model_name="N",
        software_versions="1",
        device_serial_number="1",
    )


def volumes_by_highdicom(path: Path) -> dict[int, float]:
    seg = hd.seg.segread(path)
    volume = seg.get_volume(combine_segments=False)
    voxel_ml = float(np.prod(volume.spacing)) / 1000
    return {n: float(volume.array[..., n - 1].sum()) * voxel_ml for n in seg.segment_numbers}


def test_segmentations(tmp_path: Path, results: Results) -> None:
    shape = (300, SIDE, SIDE)
    images = make_mr_series((300, 8, 8), (1.0, 0.5, 0.5))
    for ds in images:
        ds.Rows = ds.Columns = SIDE
        del ds.PixelData
    masks = masks_of(shape)
    segments = [dataclasses.replace(LESION, number=n) for n in masks]
    path = tmp_path / "seg.dcm"

    def ours() -> None:
        write_seg(images, masks, segments).save_as(path, enforce_file_format=True)

    def theirs() -> None:
        by_highdicom(images, masks).save_as(tmp_path / "theirs.dcm")

    results["images_seg_write_s"] = beside(ours, {"highdicom": theirs})
    truth = {n: float(mask.sum()) * 0.25 / 1000 for n, mask in masks.items()}
    for measured in (
        volumes_ml(dcmread(path)),
        volumes_by_highdicom(path),
        volumes_ml(dcmread(tmp_path / "theirs.dcm")),
    ):
        assert measured == pytest.approx(truth)
    results["images_seg_volumes_s"] = beside(
        lambda: volumes_ml(dcmread(path)), {"highdicom": lambda: volumes_by_highdicom(path)}
    )
