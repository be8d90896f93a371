"""Train both networks on synthetic exams: ``python train.py --anatomies mni152 colin27 --out all``.

First the one that finds the brain in a head, on coarse voxels; then, on exams prepared with what that one finds, the
one that finds lesions.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from exams import ExamPool
from monai.inferers.utils import sliding_window_inference
from monai.losses.dice import DiceCELoss
from torch import nn

from overread.operators.card import Extraction, NetworkSpec, load_card
from overread.operators.predict import EXTRACT, build_module

_MODEL = Path(__file__).resolve().parent.parent / "model"
_WARM_UP = 150
_EMA = 0.995
_ON_LESION = (True, False)
"""The patches of a batch."""
Batch = tuple[torch.Tensor, torch.Tensor]
State = dict[str, torch.Tensor]


def main() -> None:
    """Render, train both, write weights.pt and training.json."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    card = load_card(_MODEL)
    began = time.monotonic()
    pool = ExamPool(
        options.anatomies,
        size=options.pool,
        images=options.iterations > 0,
        rng=np.random.default_rng(options.seed),
        rules=card.preprocessing,
        padding=card.inference.padding_value,
    )
    rendered_s = time.monotonic() - began
    print(f"{options.pool} exams rendered in {rendered_s:.0f} s", flush=True)
    extract = card.preprocessing.extract
    if extract is None:
        raise SystemExit("The card names no network that finds the brain: there is nothing to train.")
    started_brain, started_lesion = _start(options.start)
    brain, brain_log = fit(
        extract.network,
        lambda: _batch([pool.heads.draw()]),
        iterations=options.brain_iterations,
        rate=options.rate,
        start=started_brain,
    )
    if options.iterations:
        overlap = pool.extract(_finder(extract, brain, padding=card.inference.padding_value))
        print(
            f"brain found in the training exams: Dice {np.mean(overlap):.4f}, least {np.min(overlap):.4f}", flush=True
        )
        brain_log["dice_on_training_exams"] = round(float(np.mean(overlap)), 4)
    side = card.inference.window[0]
    lesion, lesion_log = fit(
        card.network,
        lambda: _batch([pool.patch(side, on_lesion=on_lesion) for on_lesion in _ON_LESION]),
        iterations=options.iterations,
        rate=options.rate,
        start=started_lesion,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    torch.save({**lesion, **{EXTRACT + name: value for name, value in brain.items()}}, options.out / "weights.pt")
    log = {
        "anatomies": options.anatomies,
        "seed": options.seed,
        "exams": options.pool,
        "threads": options.threads,
        "minutes": round((time.monotonic() - began) / 60.0, 1),
        "minutes_of_processor": round(time.process_time() / 60.0, 1),
        "minutes_rendering": round(rendered_s / 60.0, 1),
        "brain": brain_log,
        "lesion": lesion_log,
    }
    if options.start:
        log["goes_on_from"] = json.loads((options.start / "training.json").read_text("utf-8"))
    (options.out / "training.json").write_text(json.dumps(log, indent=2) + "\n", "utf-8")
    print(json.dumps(log), flush=True)


def fit(
    spec: NetworkSpec, batch: Callable[[], Batch], *, iterations: int, rate: float, start: State | None = None
) -> tuple[State, dict[str, Any]]:
    """Train a network and return the moving average of its weights: less noise than the last step's.

    Parameters
    ----------
    spec
        The network, from the card.
    batch
        Returns images and masks (batch, 1, slices, rows, columns).
    iterations
        Steps; the learning rate falls to nearly nothing over them.
    rate
        Highest learning rate, after the warm-up.
    start
        Weights to go on from.
    """
    network = _network(spec)
    if start:
        network.load_state_dict(start)
    if not iterations:
        return network.state_dict(), {"iterations": 0}
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    loss_of = DiceCELoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    losses: list[float] = []
    began = time.monotonic()
    for iteration in range(iterations):
        for group in optimizer.param_groups:
            group["lr"] = rate * _schedule(iteration, iterations)
        image, mask = batch()
        loss = loss_of(network(image), mask)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimizer.step()
        _follow(average, network, decay=min(_EMA, iteration / (iteration + 20)))
        losses.append(float(loss.detach()))
        if (iteration + 1) % 100 == 0:
            spent = time.monotonic() - began
            print(f"{iteration + 1} iterations, {spent:.0f} s, loss {np.mean(losses[-100:]):.3f}", flush=True)
    minutes = round((time.monotonic() - began) / 60.0, 1)
    last = round(float(np.mean(losses[-200:])), 4)
    return average, {"iterations": iterations, "minutes": minutes, "loss_last_200": last}


def _start(folder: Path | None) -> tuple[State | None, State | None]:
    """Return the weights in a folder that `main` wrote, of the brain's and of the lesion's network."""
    if folder is None:
        return None, None
    state: State = torch.load(folder / "weights.pt", weights_only=True)
    brain = {name.removeprefix(EXTRACT): state.pop(name) for name in list(state) if name.startswith(EXTRACT)}
    return brain, state


def _network(spec: NetworkSpec) -> nn.Module:
    """Return the network, its last bias set so that it begins by calling nearly nothing a lesion or brain."""
    network: nn.Module = build_module(spec).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    last = [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)][-1]
    if last.bias is None:
        raise SystemExit(
            "The network's last layer has no bias: training would not start; choose an architecture with one."
        )
    nn.init.constant_(last.bias, -3.0)
    return network


def _finder(extract: Extraction, state: State, *, padding: float) -> Callable[[Any], Any]:
    """Return what turns a head's z-scores into probabilities of brain, as the image does."""
    module = build_module(extract.network)
    module.load_state_dict(state)
    module.eval()

    def probability(scores: Any) -> Any:
        tensor = torch.from_numpy(np.ascontiguousarray(scores))[None, None]
        with torch.inference_mode():
            logits: Any = sliding_window_inference(tensor, extract.window, 1, module, cval=padding)
        return torch.sigmoid(logits)[0, 0].numpy()

    return probability


def _batch(pairs: list[tuple[Any, Any]]) -> Batch:
    image = torch.from_numpy(np.stack([np.ascontiguousarray(p[0]) for p in pairs])[:, None])
    mask = torch.from_numpy(np.stack([p[1].astype(np.float32) for p in pairs])[:, None])
    return image.to(memory_format=torch.channels_last_3d), mask


def _follow(average: State, network: nn.Module, *, decay: float) -> None:
    for name, value in network.state_dict().items():
        average[name].lerp_(value, 1.0 - decay)


def _schedule(iteration: int, iterations: int) -> float:
    warm = min(1.0, (iteration + 1) / _WARM_UP)
    return warm * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * iteration / iterations)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anatomies", nargs="+", default=["mni152", "colin27"])
    parser.add_argument("--out", type=Path, required=True, help="folder for weights.pt and training.json")
    parser.add_argument("--start", type=Path, help="folder with weights to go on from")
    parser.add_argument("--brain-iterations", type=int, default=1500)
    parser.add_argument("--iterations", type=int, default=2600, help="of the network that finds lesions")
    parser.add_argument("--rate", type=float, default=8e-3, help="learning rate after the warm-up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pool", type=int, default=60, help="exams to draw from")
    return parser.parse_args()


if __name__ == "__main__":
    main()
