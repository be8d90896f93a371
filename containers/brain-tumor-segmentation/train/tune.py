"""Compare post-processing rules on exams of the training anatomies, never on those that are reported.

``python tune.py --weights one`` prints Dice and false volume for thresholds, smallest components and what is
kept; the choice is written into ``model/card.yaml`` by hand.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from evaluate import dice, geometry_of_grid, held_out, network_of

from overread.operators.card import Postprocessing
from overread.operators.measure import lesion_mask

_FIRST_SEED = 2_000_000
"""Other exams than those of evaluate.py."""
_KEEP: tuple[Literal["largest", "all"], ...] = ("largest", "all")


def main() -> None:
    """Print one line per rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--anatomies", nargs="+", default=["colin27"])
    parser.add_argument("--lesions", type=int, default=16)
    parser.add_argument("--healthy", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = network_of(options.weights)
    seen = []
    for exam in held_out(options.anatomies, options.lesions, options.healthy, first_seed=_FIRST_SEED):
        geometry = geometry_of_grid(exam.images.grid)
        seen.append((network.probability(exam.images.flair, geometry), geometry, exam.images))
    for threshold, smallest_ml, keep in itertools.product((0.5, 0.6), (0.2, 0.5, 1.0), _KEEP):
        rules = Postprocessing(threshold=threshold, connectivity=26, minimum_component_ml=smallest_ml, keep=keep)
        masks = [lesion_mask(probability, geometry, rules=rules) for probability, geometry, _ in seen]
        pairs = [(mask, images) for mask, (_, _, images) in zip(masks, seen, strict=True)]
        score = np.mean([dice(mask, images.mask) for mask, images in pairs if images.mask.any()])
        bias = np.mean([mask.sum() / images.mask.sum() - 1 for mask, images in pairs if images.mask.any()])
        false_ml = max((mask.sum() * i.grid.voxel_ml for mask, i in pairs if not i.mask.any()), default=0.0)
        print(
            f"threshold {threshold} smallest {smallest_ml} mL keep {keep:7}: Dice {score:.4f}, volume {bias:+.1%}, "
            f"false {false_ml:.2f} mL",
            flush=True,
        )


if __name__ == "__main__":
    main()
