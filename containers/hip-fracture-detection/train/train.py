"""Trains the finder and the classifier on synthetic radiographs. One thread; goes on where it was interrupted."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from images import ANTERIOR, LATERAL, OTHER, SPACING_MM, Example, load_set
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from overread.operators import film, keras_nets
from overread.operators.keras_card import DetectionCard, load_detection_card

MODEL: Final = Path(__file__).parents[1] / "model"
_BATCH: Final = 16
_SPREAD_CELLS: Final = 1.1
Array = NDArray[np.float32]


def finder_example(example: Example, card: DetectionCard, rng: np.random.Generator) -> tuple[Array, tuple[Array, ...]]:
    """Return input, map and view of one image: shifted, enlarged, sometimes turned by a quarter or a half."""
    spec = card.finder
    scale = float(rng.uniform(0.9, 1.1))
    small = film.at_spacing(example.image.astype(np.float32) / 255.0, SPACING_MM * scale, spec.pixel_mm)
    small = np.clip(small, 0.0, 1.0) ** float(rng.uniform(0.6, 1.6)) * float(rng.uniform(0.7, 1.1))
    image, (x, y) = film.centred(small.astype(np.float32), spec.window)
    shift = rng.integers(-6, 7, 2)
    image = np.roll(image, shift, axis=(0, 1))
    image = image + rng.normal(0.0, rng.uniform(0.0, 0.03), image.shape).astype(np.float32)
    heads = example.heads * SPACING_MM * scale / spec.pixel_mm + (x + shift[1], y + shift[0])
    target = np.zeros((spec.window[0] // spec.cells, spec.window[1] // spec.cells, 2), np.float32)
    view = {ANTERIOR: "upright", LATERAL: "lateral", OTHER: "other"}[example.kind]
    quarter = int(rng.integers(1, 4)) if example.kind == ANTERIOR and rng.uniform() < 0.3 else 0
    if example.kind == ANTERIOR and not quarter:
        cells_y, cells_x = np.mgrid[0 : target.shape[0], 0 : target.shape[1]] * spec.cells + (spec.cells - 1) / 2
        for side in range(2):
            if np.isfinite(heads[side]).all():
                squared = (cells_x - heads[side][0]) ** 2 + (cells_y - heads[side][1]) ** 2
                target[:, :, side] = np.exp(-squared / (2 * (_SPREAD_CELLS * spec.cells) ** 2))
    if quarter:
        image, view = np.rot90(image, quarter), f"turned-{90 * quarter}"
    return image[:, :, None], (target, np.array(keras_nets.VIEWS.index(view)), np.array(view == "upright", np.float32))


def classifier_example(
    hip: tuple[Example, int], card: DetectionCard, rng: np.random.Generator
) -> tuple[Array, tuple[Array, ...]]:
    """Return the window around one hip and its class: not quite in the middle, not quite upright."""
    example, side = hip
    spec = card.classifier
    near = rng.normal(0.0, 4.0, 2)
    values = film.joint_window(
        example.image.astype(np.float32) / 255.0,
        at=(float(example.heads[side][0] + near[0]), float(example.heads[side][1] + near[1])),
        flip=side == 0,
        window=spec.window,
        medial=spec.medial_mm,
        above=spec.above_mm,
        turn_degrees=float(rng.normal(0.0, 4.0)),
        scale=float(rng.uniform(0.92, 1.08)),
    )
    values = np.clip(values, 0.0, 1.0) ** float(rng.uniform(0.65, 1.5))
    if rng.uniform() < 0.4:
        values = gaussian_filter(values, rng.uniform(0.0, 0.8))
    values = film.evened(values.astype(np.float32))
    values = values + rng.normal(0.0, rng.uniform(0.0, 0.10), values.shape).astype(np.float32)
    return values[:, :, None].astype(np.float32), (np.array(example.classes[side], np.int64),)


def batches(examples: list[Any], make: Callable[..., Any], card: DetectionCard, seed: int) -> Iterator[Any]:
    """Yield batches for ever, each example once before any comes again."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(examples))
        for start in range(0, len(order) - _BATCH + 1, _BATCH):
            made = [make(examples[i], card, rng) for i in order[start : start + _BATCH]]
            inputs = np.stack([image for image, _ in made])
            yield inputs, [np.stack(column) for column in zip(*(targets for _, targets in made), strict=True)]


def train(
    name: str,
    card: DetectionCard,
    examples: list[Any],
    *,
    steps: int,
    limit_s: float,
    folder: Path,
    start: Path | None = None,
) -> None:
    """Train one network for so many steps, or as long as the time allows, and leave its weights in the folder.

    It begins with the weights in the file `start`, or with random ones; a checkpoint in the folder comes first.
    """
    tf = keras_nets.tensorflow(threads=1)
    if name == "finder":
        network = keras_nets.build_finder(card.finder)
        make: Callable[..., Any] = finder_example
    else:
        network, make = keras_nets.build_classifier(card.classifier, len(card.classes)), classifier_example
    rate = tf.keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=100, alpha=0.01)
    optimizer = tf.keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=1.0)
    optimizer.build(network.trainable_variables)
    store = tf.train.Checkpoint(network=network, optimizer=optimizer)
    manager = tf.train.CheckpointManager(store, str(folder / f"{name}-checkpoints"), max_to_keep=1)
    if start is not None:
        keras_nets.set_weights(start, {name: network})
    if manager.latest_checkpoint:
        store.restore(manager.latest_checkpoint)

    @tf.function  # type: ignore[untyped-decorator]
    def step(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            found = network(inputs, training=True)
            loss = _finder_loss(tf, found, targets) if name == "finder" else _class_loss(tf, found, targets)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    begun, recent, done = time.monotonic(), [], int(optimizer.iterations)
    for inputs, targets in batches(examples, make, card, seed=done):
        if done >= steps or time.monotonic() - begun > limit_s:
            break
        recent.append(float(step(inputs, [tf.constant(t) for t in targets])))
        done += 1
        if done % 50 == 0:
            print(f"{name} {done}/{steps} loss {np.mean(recent):.4f} {time.monotonic() - begun:.0f} s", flush=True)
            recent.clear()
        if done % 100 == 0:
            manager.save()
            keras_nets.save_networks(folder / f"{name}.npz", {name: network})
    manager.save()
    keras_nets.save_networks(folder / f"{name}.npz", {name: network})
    said = {"steps": done, "seconds_of_last_run": round(time.monotonic() - begun), "examples": len(examples)}
    (folder / f"{name}.json").write_text(json.dumps(said))


def _finder_loss(tf: Any, found: Any, targets: Any) -> Any:
    logits, view = found
    wanted, kind, upright = targets
    each = tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=logits) * (1.0 + 30.0 * wanted)
    where = tf.reduce_mean(each, axis=(1, 2, 3)) * upright
    what = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=kind, logits=view)
    return 10.0 * tf.reduce_mean(where) + tf.reduce_mean(what)


def _class_loss(tf: Any, found: Any, targets: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets[0], logits=found))


def main() -> None:
    """Train what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=("finder", "classifier"))
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="checkpoints and weights")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--limit-s", type=float, default=1800.0)
    parser.add_argument("--start", type=Path, help="weights to begin with, such as ../model/weights.npz")
    arguments = parser.parse_args()
    card = load_detection_card(MODEL)
    examples: list[Any] = load_set("train", arguments.images)
    if arguments.network == "classifier":
        examples = [(e, side) for e in examples for side in range(2) if e.classes[side] >= 0]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    train(
        arguments.network,
        card,
        examples,
        steps=arguments.steps,
        limit_s=arguments.limit_s,
        folder=arguments.folder,
        start=arguments.start,
    )


if __name__ == "__main__":
    main()
