"""Finds the joints on an exam's radiographs and says what each has, as a detection card says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from overread.operators import film
from overread.operators.keras_card import DetectionCard
from overread.operators.keras_nets import SIDES, VIEWS, load_networks, tensorflow
from overread.operators.radiographs import Placed, RadiographImage, Refused
from overread.operators.result import Box, Finding

Array = NDArray[np.float32]

_SURE: Final = 0.8
"""So probable must an upright view be where an image was turned or inverted to get it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A joint on an image: where (x, y, pixels of the upright image), how sure its map is, and its class' logits."""

    image: RadiographImage
    side: str
    peak: float
    box: Box
    logits: NDArray[np.float64]


@dataclass(kw_only=True)
class Detection:
    """What was found on the images of an exam.

    Parameters
    ----------
    findings
        One per side that is seen, right before left.
    used
        Images that show a joint.
    refused
        Images that do not, and why.
    warnings
        What the reader should know.
    """

    findings: tuple[Finding, ...] = ()
    used: list[RadiographImage] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Detector:
    """A trained model, ready to run."""

    def __init__(self, folder: Path, card: DetectionCard) -> None:
        tensorflow()
        self.card = card
        self._finder, self._classifier = load_networks(folder, card)

    def examine(self, images: Sequence[RadiographImage], *, finding: str) -> Detection:
        """Look at all images and put together what they say of each side.

        Parameters
        ----------
        images
            Of one exam.
        finding
            What a finding is called.
        """
        detection = Detection()
        seen: list[Seen] = []
        for image in images:
            name = f"series {image.header.get('SeriesNumber', '?')}"
            found = self._look_at(image, name, detection)
            detection.warnings += [f"{name}: {note}" for note in image.notes if found]
            if found:
                seen += found
                detection.used.append(image)
        detection.findings = tuple(
            self._together([one for one in seen if one.side == side], side, finding)
            for side in SIDES
            if any(one.side == side for one in seen)
        )
        return detection

    def view_of(self, values: Array, spacing_mm: float) -> tuple[NDArray[np.float64], Array, tuple[float, float]]:
        """Return probabilities of `VIEWS`, the map of each side, and where the image begins in the finder's input."""
        window, start = self._finder_input(values, spacing_mm)
        maps, views = self._run(self._finder, window[None, :, :, None])
        return _softmax(views[0]), 1.0 / (1.0 + np.exp(-maps[0])), start

    def classify(self, values: Array, spacing_mm: float, at: tuple[float, float], side: str) -> NDArray[np.float64]:
        """Return the logits of the classes of a joint at (x, y), pixels of `values`, divided by the temperature."""
        spec = self.card.classifier
        window = film.joint_window(
            film.at_spacing(values, spacing_mm, spec.pixel_mm),
            at=(at[0] * spacing_mm / spec.pixel_mm, at[1] * spacing_mm / spec.pixel_mm),
            flip=side == "right",
            window=spec.window,
            medial=spec.medial_mm / spec.pixel_mm,
            above=spec.above_mm / spec.pixel_mm,
        )
        (logits,) = self._run(self._classifier, film.evened(window)[None, :, :, None])
        return np.asarray(logits[0], dtype=np.float64) / spec.temperature

    def places(
        self, maps: Array, start: tuple[float, float], spacing_mm: float
    ) -> Mapping[str, tuple[float, float, float]]:
        """Return (x, y, height) of each side's peak that is high enough, in pixels of the image."""
        spec = self.card.finder
        found: dict[str, tuple[float, float, float]] = {}
        for number, side in enumerate(SIDES):
            plane = maps[:, :, number]
            row, column = np.unravel_index(int(np.argmax(plane)), plane.shape)
            peak = float(plane[row, column])
            if peak < spec.peak:
                continue
            rows = slice(max(row - 2, 0), row + 3)
            columns = slice(max(column - 2, 0), column + 3)
            weight = plane[rows, columns].astype(np.float64)
            ys, xs = np.mgrid[rows, columns][:, : weight.shape[0], : weight.shape[1]]
            scale = spec.pixel_mm / spacing_mm
            middle = (spec.cells - 1) / 2.0
            x = ((xs * weight).sum() / weight.sum()) * spec.cells + middle - start[0]
            y = ((ys * weight).sum() / weight.sum()) * spec.cells + middle - start[1]
            found[side] = (float(x * scale), float(y * scale), peak)
        return found

    def _look_at(self, image: RadiographImage, name: str, detection: Detection) -> list[Seen]:
        spacing = image.spacing_mm or self.card.field_mm / max(image.placed.values.shape)
        placed, probabilities, maps, start, note = self._upright(image.placed, spacing)
        view = VIEWS[int(np.argmax(probabilities))]
        if placed is None:
            reason = "it is a lateral view" if view == "lateral" else "it shows no hip from the front"
            detection.refused.append(Refused(name=name, reason=reason))
            return []
        places = self.places(maps, start, spacing)
        if image.side and set(places) == set(SIDES) - {image.side}:
            reason = f"it says {image.side} but looks like the other side: mirrored, or mislabelled"
            detection.refused.append(Refused(name=name, reason=reason))
            return []
        if not places:
            detection.refused.append(Refused(name=name, reason="no hip was found on it"))
            return []
        if note:
            detection.warnings.append(f"{name}: {note}")
        if image.spacing_mm is None:
            detection.warnings.append(f"{name}: its pixels have no size, {spacing:.2f} mm were assumed")
        return [
            Seen(
                image=image,
                side=side,
                peak=peak,
                box=self._box(image, placed, (x, y), side, spacing),
                logits=self.classify(placed.values, spacing, (x, y), side),
            )
            for side, (x, y, peak) in places.items()
        ]

    def _upright(self, placed: Placed, spacing: float) -> tuple[Placed | None, Any, Array, tuple[float, float], str]:
        """Return the image as the finder takes it for upright, turned or inverted if need be; None if it never does."""
        probabilities, maps, start = self.view_of(placed.values, spacing)
        best = VIEWS[int(np.argmax(probabilities))]
        if best == "upright" and probabilities[0] >= self.card.finder.view:
            return placed, probabilities, maps, start, ""
        if best == "lateral":
            return None, probabilities, maps, start, ""
        tried = []
        for inverted in (False, True):
            base = Placed(values=1.0 - placed.values, back=placed.back) if inverted else placed
            for quarters in range(4):
                if inverted or quarters:
                    other = base.turned(quarters)
                    tried.append((quarters, inverted, other, *self.view_of(other.values, spacing)))
        quarters, inverted, other, chances, other_maps, other_start = max(tried, key=lambda one: float(one[3][0]))
        if chances[0] < _SURE:
            return None, probabilities, maps, start, ""
        said = [f"it lay turned by {90 * quarters} degrees against what its header says"] if quarters else []
        said += ["black and white were the other way round than its header says"] if inverted else []
        return other, chances, other_maps, other_start, " and ".join(said)

    def _finder_input(self, values: Array, spacing_mm: float) -> tuple[Array, tuple[int, int]]:
        return film.centred(film.at_spacing(values, spacing_mm, self.card.finder.pixel_mm), self.card.finder.window)

    @staticmethod
    def _run(network: Any, inputs: Array) -> list[Array]:
        outputs = network(inputs, training=False)
        return [np.asarray(o) for o in (outputs if isinstance(outputs, list | tuple) else [outputs])]

    def _box(self, image: RadiographImage, placed: Placed, at: tuple[float, float], side: str, spacing: float) -> Box:
        """Return the box around a joint, in pixels of the image as it is stored."""
        spec = self.card.box
        right = side == "right"
        left_mm, right_mm = (spec.lateral_mm, spec.medial_mm) if right else (spec.medial_mm, spec.lateral_mm)
        rows, columns = placed.values.shape
        corners = []
        for dx, dy in ((-left_mm, -spec.above_mm), (right_mm, spec.below_mm)):
            x = min(max(at[0] + dx / spacing, 0.0), columns - 1.0)
            y = min(max(at[1] + dy / spacing, 0.0), rows - 1.0)
            corners.append(placed.stored(x, y))
        (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
        return Box(
            sop_instance_uid=image.uid,
            x=round(float(x0), 1),
            y=round(float(y0), 1),
            width=round(float(x1 - x0), 1),
            height=round(float(y1 - y0), 1),
        )

    def _together(self, seen: Sequence[Seen], side: str, finding: str) -> Finding:
        """Return what several images of one joint say: the mean of their log-probabilities, and the clearest box."""
        chances = _softmax(np.mean([np.log(_softmax(one.logits) + 1e-9) for one in seen], axis=0))
        best = int(np.argmax(chances))
        return Finding(
            name=finding,
            side=side,
            cls=self.card.classes[best],
            confidence=round(float(chances[best]), 4),
            box=max(seen, key=lambda one: one.peak).box,
        )


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = np.exp(np.asarray(logits, dtype=np.float64) - float(np.max(logits)))
    return np.asarray(shifted / shifted.sum())
