"""Our segmentations, read back by dcmqi: voxel by voxel at the same places of the patient."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from helpers.segments import seg_of
from overread.dicom.geometry import geometry_of
from overread.synthetic.mr import Orientation
from overread.synthetic.phantoms import make_case

_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_dcmqi_finds_every_voxel_where_we_put_it(orientation: Orientation, tmp_path: Path) -> None:
    case = make_case((16, 24, 20), (2.0, 1.0, 1.25), orientation=orientation)
    seg_of(case).save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    program = Path(sys.executable).with_name("segimage2itkimage")
    command = [str(program), "--inputDICOM", str(tmp_path / "seg.dcm"), "--outputDirectory", str(tmp_path)]
    done = subprocess.run(
        [*command, "--outputType", "nii", "--prefix", "read"], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("read-*.nii.gz")
    read: Any = nibabel.load(path)
    found = places(np.argwhere(np.asarray(read.dataobj) > 0), read.affine)
    affine = geometry_of(case.datasets).affine_lps
    ours = places(np.argwhere(case.mask), affine) @ _TO_RAS
    assert len(found) == len(ours) > 0
    np.testing.assert_allclose(ordered(found), ordered(ours), atol=2e-2)


def places(indices: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return where voxels lie, in mm."""
    return np.asarray(indices @ affine[:3, :3].T + affine[:3, 3])


def ordered(points: np.ndarray) -> np.ndarray:
    """Return points in one order, whatever the order and rounding they came in."""
    keys = np.round(points @ np.array([[1.0, 0.31, 0.17], [0.13, 1.0, 0.29], [0.37, 0.11, 1.0]]), 1)
    return np.asarray(points[np.lexsort(keys.T)])
