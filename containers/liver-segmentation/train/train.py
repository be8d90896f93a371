"""Train one network of the cascade: ``python train.py --stage lobes --pool pool --out trained``.

It takes the exams that `render.py` has written, also while that still writes: the list is read anew now and then.
Whatever ends it, the last checkpoint is a whole set of weights.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from numpy.typing import NDArray
from render import MODEL
from torch import nn

from overread.operators.card import load_card_as
from overread.operators.cascade import CascadeCard, Stage, Window
from overread.operators.predict import build_module

_WARM_UP = 100
_EMA = 0.995
_CHECKPOINT = 100
_KEPT = 24
"""Exams in memory; every few steps another takes the place of the oldest."""
_RENEW = 12
_FIRST_BIAS = {"sigmoid": [-3.0], "softmax": [2.0, -1.0, -1.0]}
"""Begins by calling nearly nothing liver or vessel; with zeros it learns next to nothing in this time."""
Sample = tuple[NDArray[np.float32], NDArray[np.uint8]]
State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Exam:
    """What is used of one rendered exam; arrays (slices, rows, columns)."""

    image: NDArray[np.int16]
    truth: NDArray[np.uint8]
    wanted: NDArray[np.int64]
    """Voxels around which patches are cut."""


class Pool:
    """Exams in a folder, a few of them in memory."""

    def __init__(self, folder: Path, stage: str, rng: np.random.Generator) -> None:
        self._folder, self._stage, self._rng = folder, stage, rng
        self._exams: list[Exam] = []
        self.used: set[str] = set()
        while len(self._exams) < min(_KEPT, len(list(folder.glob("*.npz")))):
            self.renew()

    def renew(self) -> None:
        """Read another exam; forget the oldest."""
        paths = sorted(self._folder.glob("*.npz"))
        fresh = [path for path in paths if path.name not in self.used]
        path = fresh[0] if fresh else paths[int(self._rng.integers(len(paths)))]
        self.used.add(path.name)
        with np.load(path) as found:
            if self._stage == "lobes":
                image, truth = found["coarse"], found["lobes"]
                wanted = np.argwhere(truth > 0)
            else:
                image, truth = found["fine"], found["vessels"]
                wanted = np.argwhere(truth > 0)
        self._exams = [*self._exams[-(_KEPT - 1) :], Exam(image, truth, wanted[:: max(1, len(wanted) // 4000)])]

    def patch(self, stage: Stage, *, near: bool) -> Sample:
        """Return a window around a voxel that is wanted, or anywhere, as the network sees it."""
        rng = self._rng
        exam = self._exams[int(rng.integers(len(self._exams)))]
        window = np.array(stage.window)
        if near:
            middle = exam.wanted[int(rng.integers(len(exam.wanted)))] + rng.integers(-10, 11, 3)
        else:
            middle = rng.integers(0, exam.image.shape)
        room = np.array(exam.image.shape) - window
        start = np.where(room > 0, np.clip(middle - window // 2, 0, np.maximum(room, 0)), 0)
        box = tuple(slice(int(a), int(a + w)) for a, w in zip(start, window, strict=True))
        image, truth = exam.image[box].astype(np.float32), exam.truth[box]
        missing = [(0, int(w - n)) for w, n in zip(window, image.shape, strict=True)]
        seen = varied(image, stage.hu, rng)
        return np.pad(seen, missing, constant_values=-1.0), np.pad(truth, missing)


def varied(image: NDArray[np.float32], hu: Window, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return HU as the network sees them, a little brighter, steeper or noisier: each exam is seen many times."""
    other = (image - 100.0) * rng.uniform(0.9, 1.12) + 100.0 + rng.uniform(-14.0, 14.0)
    if rng.random() < 0.5:  # noqa: PLR2004 - half of them
        other = other + rng.uniform(0.0, 12.0) * rng.standard_normal(image.shape, dtype=np.float32)
    return hu.apply(other.astype(np.float32))


def main() -> None:
    """Train until the steps are done or the time is over."""
    options = _options()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    card = load_card_as(CascadeCard, MODEL)
    stage = card.stages[options.stage]
    pool = Pool(options.pool, options.stage, rng)
    network = _network(stage)
    if options.start:
        network.load_state_dict(torch.load(options.start / f"{options.stage}.pt", weights_only=True))
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-4)
    softmax = stage.network.activation == "softmax"
    loss_of = DiceCELoss(
        sigmoid=not softmax, softmax=softmax, to_onehot_y=softmax, include_background=not softmax, batch=True
    )
    losses: list[float] = []
    began = time.monotonic()

    def done() -> float:
        return float(max(len(losses) / options.iterations, (time.monotonic() - began) / (60.0 * options.minutes)))

    while (share := done()) < 1.0:
        warm = min(1.0, (len(losses) + 1) / _WARM_UP)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * warm * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * share)))
        image, truth = _batch([pool.patch(stage, near=k == 0 or rng.random() < 0.6) for k in range(options.batch)])  # noqa: PLR2004
        loss = loss_of(network(image), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimizer.step()
        decay = min(_EMA, len(losses) / (len(losses) + 20))
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1.0 - decay)
        losses.append(float(loss.detach()))
        if len(losses) % _RENEW == 0:
            pool.renew()
        if len(losses) % _CHECKPOINT == 0:
            _save(options, average, _log(options, losses, pool, began))
    _save(options, average, _log(options, losses, pool, began))


def _log(options: argparse.Namespace, losses: list[float], pool: Pool, began: float) -> dict[str, Any]:
    log = {
        "stage": options.stage,
        "seed": options.seed,
        "iterations": len(losses),
        "batch": options.batch,
        "rate": options.rate,
        "exams": len(pool.used),
        "minutes": round((time.monotonic() - began) / 60.0, 1),
        "minutes_of_processor": round(time.process_time() / 60.0, 1),
        "threads": 1,
        "loss_last_100": round(float(np.mean(losses[-100:])), 4),
    }
    if options.start:
        log["goes_on_from"] = json.loads((options.start / f"{options.stage}.json").read_text("utf-8"))
    print(json.dumps(log), flush=True)
    return log


def _save(options: argparse.Namespace, average: State, log: dict[str, Any]) -> None:
    """Write weights and log; a reader never sees half a file."""
    options.out.mkdir(parents=True, exist_ok=True)
    write: dict[str, Callable[[Path], Any]] = {
        "pt": lambda path: torch.save(average, path),
        "json": lambda path: path.write_text(json.dumps(log, indent=1) + "\n", "utf-8"),
    }
    for kind, store in write.items():
        part = options.out / f"{options.stage}.{kind}.part"
        store(part)
        part.rename(options.out / f"{options.stage}.{kind}")


def _network(stage: Stage) -> nn.Module:
    network: nn.Module = build_module(stage.network).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    last = [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)][-1]
    if last.bias is None:
        raise SystemExit("The network's last layer has no bias: training would not start; choose one that has.")
    with torch.no_grad():
        last.bias.copy_(torch.tensor(_FIRST_BIAS[stage.network.activation]))
    return network


def _batch(samples: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.from_numpy(np.stack([s[0] for s in samples])[:, None])
    truth = torch.from_numpy(np.stack([s[1] for s in samples])[:, None].astype(np.float32))
    return image.to(memory_format=torch.channels_last_3d), truth


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True, help="name of a stage of the card")
    parser.add_argument("--pool", type=Path, required=True, help="folder that render.py writes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder with weights to go on from")
    parser.add_argument("--iterations", type=int, default=4000, help="no more steps than these")
    parser.add_argument("--minutes", type=float, default=60.0, help="no more minutes than these")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rate", type=float, default=6e-3, help="learning rate after the warm-up")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
