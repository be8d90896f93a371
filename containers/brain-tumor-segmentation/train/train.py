"""Train the network on synthetic exams: ``python train.py --anatomies mni152 colin27 --out weights.pt``."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from exams import ExamPool
from monai.losses.dice import DiceCELoss
from torch import nn

from overread.operators.card import Normalisation

_CARD = Path(__file__).resolve().parent.parent / "model" / "card.yaml"
_WARM_UP = 150
_EMA = 0.995
_ON_LESION = (True, False)
"""The patches of a batch."""


def main() -> None:
    """Train for a number of iterations or minutes, whichever ends first, and write the weights."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    card = yaml.safe_load(_CARD.read_text("utf-8"))
    network = build_network(card["network"]).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    began = time.monotonic()
    pool = ExamPool(
        options.anatomies,
        size=options.pool,
        rng=np.random.default_rng(options.seed),
        rules=Normalisation.model_validate(card["preprocessing"]["normalisation"]),
        spacing_mm=tuple(card["preprocessing"]["spacing_mm"]),
        padding=float(card["inference"]["padding_value"]),
    )
    print(f"{options.pool} exams rendered in {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    side = card["inference"]["window"][0]
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.peak_rate, weight_decay=1e-4)
    loss_of = DiceCELoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    losses: list[float] = []
    iteration = 0
    while (progress := _progress(iteration, time.monotonic() - began, options)) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = options.peak_rate * _rate(iteration, progress)
        image, mask = _batch(pool, side)
        loss = loss_of(network(image), mask)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimizer.step()
        _follow(average, network, decay=min(_EMA, iteration / (iteration + 20)))
        losses.append(float(loss.detach()))
        iteration += 1
        if iteration % 100 == 0:
            spent = time.monotonic() - began
            print(f"{iteration} iterations, {spent:.0f} s, loss {np.mean(losses[-100:]):.3f}", flush=True)
        if iteration % 500 == 0:
            torch.save(average, options.out)
    torch.save(average, options.out)
    _write_log(options, iteration=iteration, seconds=time.monotonic() - began, losses=losses)


def build_network(spec: dict[str, Any]) -> nn.Module:
    """Return the network of the card, its last bias set so that it begins by calling nearly nothing a lesion."""
    module, _, name = str(spec["class"]).rpartition(".")
    network: nn.Module = getattr(importlib.import_module(module), name)(**spec["arguments"])
    last = [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)][-1]
    if last.bias is None:
        raise SystemExit(
            "The network's last layer has no bias: training would not start; choose an architecture with one."
        )
    nn.init.constant_(last.bias, -3.0)
    return network


def _batch(pool: ExamPool, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [pool.patch(side, on_lesion=on_lesion) for on_lesion in _ON_LESION]
    image = torch.from_numpy(np.stack([p[0] for p in pairs])[:, None])
    mask = torch.from_numpy(np.stack([p[1] for p in pairs])[:, None].astype(np.float32))
    return image.to(memory_format=torch.channels_last_3d), mask


def _follow(average: dict[str, torch.Tensor], network: nn.Module, *, decay: float) -> None:
    """Let the average of the weights follow the network: less noise than the last step's weights."""
    for name, value in network.state_dict().items():
        average[name].lerp_(value, 1.0 - decay)


def _progress(iteration: int, spent_s: float, options: argparse.Namespace) -> float:
    return max(iteration / float(options.iterations), spent_s / (60.0 * float(options.minutes)))


def _rate(iteration: int, progress: float) -> float:
    warm = min(1.0, (iteration + 1) / _WARM_UP)
    return warm * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0))))


def _write_log(options: argparse.Namespace, *, iteration: int, seconds: float, losses: list[float]) -> None:
    log = {
        "anatomies": options.anatomies,
        "seed": options.seed,
        "iterations": iteration,
        "minutes": round(seconds / 60.0, 1),
        "threads": options.threads,
        "loss_last_500": round(float(np.mean(losses[-500:])), 4),
    }
    Path(options.out).with_suffix(".json").write_text(json.dumps(log, indent=2) + "\n", "utf-8")
    print(json.dumps(log), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anatomies", nargs="+", default=["mni152", "colin27"])
    parser.add_argument(
        "--out", type=Path, required=True, help="where the weights go; a .json of the same name beside it"
    )
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=30.0, help="after rendering; ends earlier if they are over")
    parser.add_argument("--peak-rate", type=float, default=8e-3, help="learning rate after the warm-up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pool", type=int, default=18, help="exams to cut patches from")
    return parser.parse_args()


if __name__ == "__main__":
    main()
