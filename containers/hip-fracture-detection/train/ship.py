"""Puts the weights of both networks into one file beside the card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

MODEL = Path(__file__).parents[1] / "model"


def ship(folder: Path) -> Path:
    """Return the path of the file, whose bytes depend on the weights alone."""
    arrays: dict[str, Any] = {}
    for name in ("finder", "classifier"):
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            arrays |= {key: stored[key] for key in stored.files}
    path = MODEL / "weights.npz"
    with path.open("wb") as file:
        np.savez(file, **{key: arrays[key] for key in sorted(arrays)})
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where train.py left its weights")
    print(ship(parser.parse_args().folder))
