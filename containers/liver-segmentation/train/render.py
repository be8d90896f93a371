"""Render exams for training: ``python render.py --first 0 --count 100 --out pool``.

Each becomes one file: portal venous HU and lobes on the first network's voxels, and, in the box around the liver, HU
and vessels on the second's. They are brought there by the image's own operator.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.dicom.geometry import VolumeGeometry
from overread.operators.card import load_card_as
from overread.operators.cascade import CascadeCard, to_spacing
from overread.operators.resample import Matrix
from overread.synthetic.abdomen import VESSELS, draw_abdomen, labels_of
from overread.synthetic.ct import draw_look, render
from overread.synthetic.mr import ImageGrid, Triple, centred_grid

MODEL = Path(__file__).resolve().parent.parent / "model"
_SLICES_MM = (1.5, 1.5, 2.0, 2.5, 3.0, 5.0)
_PIXEL_MM = 1.4
_UP_MM = (215.0, 290.0)
"""Least and most of what a scan covers from feet to head."""


def main() -> None:
    """Render and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, required=True, help="first seed")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    card = load_card_as(CascadeCard, MODEL)
    for seed in range(options.first, options.first + options.count):
        began = time.monotonic()
        sample = exam(seed, card)
        part = options.out / f"{seed}.part"
        with part.open("wb") as file:
            np.savez(file, **sample)  # type: ignore[arg-type]
        part.rename(options.out / f"{seed}.npz")
        print(f"{seed}: {time.monotonic() - began:.1f} s", flush=True)


def exam(seed: int, card: CascadeCard) -> dict[str, NDArray[np.int16] | NDArray[np.uint8]]:
    """Return one exam's arrays, (slices, rows, columns) along the card's axes."""
    rng = np.random.default_rng([seed, 0x7EA1])
    body, look = draw_abdomen(seed), draw_look("portal", seed)
    spacing = (float(rng.choice(_SLICES_MM)), _PIXEL_MM, _PIXEL_MM)
    grid = scan_grid(body.half_mm, spacing, up_mm=float(rng.uniform(*_UP_MM)), rng=rng)
    image, _ = render(body, grid, look, seed=seed)
    geometry = geometry_of_grid(grid)
    lobes, vessels = card.stages["lobes"], card.stages["vessels"]
    coarse, affine = to_spacing(image, geometry, axes=card.axes, spacing_mm=lobes.spacing_mm, outside=lobes.hu.low)
    truth = body.lobes(grid_at(affine, coarse.shape))
    found = np.argwhere(truth > 0)
    ends = [found.min(axis=0) @ affine[:3, :3].T + affine[:3, 3], found.max(axis=0) @ affine[:3, :3].T + affine[:3, 3]]
    margin = vessels.margin_mm
    box = (np.min(ends, axis=0) - margin, np.max(ends, axis=0) + margin)
    fine, near = to_spacing(
        image, geometry, axes=card.axes, spacing_mm=vessels.spacing_mm, outside=vessels.hu.low, box=box
    )
    labels = labels_of(body.tissues(grid_at(near, fine.shape)))
    return {
        "coarse": np.rint(coarse).astype(np.int16),
        "lobes": truth,
        "fine": np.rint(fine).astype(np.int16),
        "vessels": (labels == VESSELS).astype(np.uint8),
        "liver": (labels > 0).astype(np.uint8),
    }


def scan_grid(half_mm: tuple[float, float], spacing: Triple, *, up_mm: float, rng: np.random.Generator) -> ImageGrid:
    """Return the grid of an axial scan of the upper abdomen, a little off centre, with air around the body."""
    extent = (up_mm, 2 * half_mm[1] + 24.0, 2 * half_mm[0] + 24.0)
    shape = tuple(int(np.ceil(e / s)) for e, s in zip(extent, spacing, strict=True))
    x, y, z = rng.uniform(-10.0, 10.0, 3)
    return centred_grid((shape[0], shape[1], shape[2]), spacing, orientation="axial", centre_mm=(x, y, z - 6.0))


def grid_at(affine: Matrix, shape: tuple[int, ...]) -> ImageGrid:
    """Return a grid whose axes run up, back and left as what the generators draw on."""
    steps = affine[:3, :3]
    if not np.allclose(steps, [[0, 0, steps[0, 2]], [0, steps[1, 1], 0], [steps[2, 0], 0, 0]]) or steps.min() < 0:
        raise SystemExit("The card's axes must be [S, P, L]: the truth is drawn on axial grids.")
    return ImageGrid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(float(steps[2, 0]), float(steps[1, 1]), float(steps[0, 2])),
        row_cosine=(1.0, 0.0, 0.0),
        column_cosine=(0.0, 1.0, 0.0),
        origin_mm=(float(affine[0, 3]), float(affine[1, 3]), float(affine[2, 3])),
    )


def geometry_of_grid(grid: ImageGrid) -> VolumeGeometry:
    """Return the grid as the image knows it."""
    return VolumeGeometry(
        shape=grid.shape,
        affine_lps=grid.affine_lps,
        spacing_mm=grid.spacing_mm,
        sop_instance_uids=tuple(str(k) for k in range(grid.shape[0])),
        frame_of_reference_uid="",
    )


if __name__ == "__main__":
    main()
