"""Radiographs to learn from, choose and calibrate with, and be judged by: made once, kept in a folder, 1 mm per pixel.

The sets share no seed. Choices are made on the set to validate, the temperature is fitted on the set to calibrate. The
seeds of the held-out set were fixed before the last training; earlier held-out sets (from 3,000,000 and from 7,000,000)
had been looked at by then and are not used any more.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from overread.operators.film import at_spacing
from overread.synthetic.hip_conditions import CLASSES
from overread.synthetic.hip_shape import SIDES
from overread.synthetic.other_radiographs import other_radiograph
from overread.synthetic.radiograph import Radiograph, Shot, make_person, take

FIRST_SEED: Final = {"train": 0, "validate": 5_000_000, "calibrate": 2_000_000, "test": 8_000_000}
SIZE: Final = {"train": 1800, "validate": 240, "calibrate": 240, "test": 400}
SPACING_MM: Final = 1.0
_BATCH: Final = 20
ANTERIOR, LATERAL, OTHER = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One image with what is to be learnt from it: places are (x, y) in pixels, NaN for a hip that is not seen."""

    image: NDArray[np.uint8]
    kind: int
    heads: NDArray[np.float32]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int8]
    severity: NDArray[np.float32]


def make_example(seed: int) -> Example:
    """Return the example of a seed: most are whole pelves, some one hip, lateral views, something else."""
    rng = np.random.default_rng((seed, 5))
    spacing = float(rng.uniform(0.7, 0.98))  # as real detectors, finer than what is looked at
    what = rng.choice(("pelvis", "hip", "lateral", "other"), p=(0.58, 0.20, 0.10, 0.12))
    if what == "other":
        pixels = at_spacing(other_radiograph(seed, spacing_mm=spacing), spacing, SPACING_MM)
        return _example(pixels, OTHER)
    person = make_person(seed)
    side = None if what == "pelvis" else SIDES[int(rng.integers(2))]
    shot = take(person, Shot(projection=what, side=side, spacing_mm=spacing, seed=1))
    pixels = at_spacing(shot.values, spacing, SPACING_MM)
    if what == "lateral":
        return _example(pixels, LATERAL)
    found = _example(pixels, ANTERIOR)
    _fill(found, shot, spacing, [person.hips[s].condition.severity for s in SIDES])
    return found


def _example(pixels: NDArray[np.float32], kind: int) -> Example:
    return Example(
        image=np.rint(255.0 * pixels).astype(np.uint8),
        kind=kind,
        heads=np.full((2, 2), np.nan, np.float32),
        boxes=np.full((2, 4), np.nan, np.float32),
        classes=np.full(2, -1, np.int8),
        severity=np.zeros(2, np.float32),
    )


def _fill(example: Example, shot: Radiograph, spacing: float, severity: list[float]) -> None:
    scale = spacing / SPACING_MM
    for i, side in enumerate(SIDES):
        if side in shot.heads:
            example.heads[i] = np.array(shot.heads[side]) * scale
            example.boxes[i] = np.array(shot.boxes[side]) * scale
            example.classes[i] = CLASSES.index(shot.truth[side])
            example.severity[i] = severity[i]


def make_set(name: str, folder: Path, *, limit_s: float, part: tuple[int, int] = (0, 1)) -> None:
    """Write a set in batches; what is there stays, so that an interrupted run goes on.

    Several processes share the work: `part` is (which of them this is, how many there are).
    """
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for start in range(0, SIZE[name], _BATCH):
        path = folder / f"{name}-{start:05d}.npz"
        mine = start // _BATCH % part[1] == part[0]
        if not mine or path.exists() or time.monotonic() - begun > limit_s:
            continue
        examples = [make_example(FIRST_SEED[name] + start + i) for i in range(_BATCH)]
        values = {f"image{i}": e.image for i, e in enumerate(examples)}
        for key in ("kind", "heads", "boxes", "classes", "severity"):
            values[key] = np.array([getattr(e, key) for e in examples])
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez_compressed(file, **values)  # type: ignore[arg-type]
        partial.rename(path)


def load_set(name: str, folder: Path) -> list[Example]:
    """Return the examples of a set that are there."""
    found: list[Example] = []
    for path in sorted(folder.glob(f"{name}-*.npz")):
        with np.load(path, allow_pickle=False) as batch:
            columns = {key: batch[key] for key in ("kind", "heads", "boxes", "classes", "severity")}
            found += [
                Example(
                    image=batch[f"image{i}"],
                    kind=int(columns["kind"][i]),
                    **{key: columns[key][i] for key in ("heads", "boxes", "classes", "severity")},
                )
                for i in range(len(columns["kind"]))
            ]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SIZE))
    parser.add_argument("--limit-s", type=float, default=3600.0)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("WHICH", "OF"))
    arguments = parser.parse_args()
    for each in arguments.sets:
        make_set(each, arguments.folder, limit_s=arguments.limit_s, part=tuple(arguments.part))
