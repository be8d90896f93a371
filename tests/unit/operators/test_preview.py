from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from overread.dicom.geometry import geometry_of
from overread.operators.preview import preview_png
from overread.synthetic.phantoms import make_case


def pixels_of(case, mask=None, caption="Lesion 1.0 mL"):
    values = np.stack([ds.pixel_array for ds in case.datasets]).astype(np.float32)
    content = preview_png(
        values, case.mask if mask is None else mask, geometry_of(case.datasets), caption=caption, note="Not for use."
    )
    with Image.open(BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def red(pixels):
    return (pixels[..., 0] > 200) & (pixels[..., 1] < 120)


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_the_outline_lies_round_the_lesion_in_true_proportions(orientation):
    case = make_case((24, 40, 36), (2.0, 1.0, 1.5), orientation=orientation)
    pixels = pixels_of(case)
    k = int(np.argmax(case.mask.sum(axis=(1, 2))))
    scale = 640 / max(40 * 1.0, 36 * 1.5)
    rows, columns = np.nonzero(case.mask[k])
    found_rows, found_columns = np.nonzero(red(pixels))
    margin = (pixels.shape[1] - 36 * 1.5 * scale) / 2
    assert found_rows.min() == pytest.approx(rows.min() * scale, abs=4)
    assert found_rows.max() == pytest.approx((rows.max() + 1) * scale, abs=4)
    assert found_columns.min() == pytest.approx(columns.min() * 1.5 * scale + margin, abs=6)
    assert found_columns.max() == pytest.approx((columns.max() + 1) * 1.5 * scale + margin, abs=6)


def test_without_a_lesion_the_middle_is_shown_without_an_outline():
    case = make_case((24, 40, 36), lesions=[])
    pixels = pixels_of(case)
    assert not red(pixels).any()
    assert pixels[:400].std() > 10


def test_a_long_caption_is_cut_not_spilled():
    case = make_case((6, 20, 20))
    assert pixels_of(case, caption="x" * 400).shape[1] == 640


def test_a_constant_image_makes_a_picture():
    case = make_case((6, 20, 20))
    content = preview_png(
        np.full(case.mask.shape, 5, np.float32), case.mask, geometry_of(case.datasets), caption="a", note="b"
    )
    assert content.startswith(b"\x89PNG")
