"""Can a program tell the source of a mask by its shape? A logistic regression, judged on exams it has not seen.

Features are held against those of the other masks of the same exam, as if somebody laid them side by side: that is
more than a reader can do, so what it can't tell a reader can hardly tell either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_RIDGE: Final = 1.0
_STEPS: Final = 25
_BOOTSTRAPS: Final = 2000
_SEED: Final = 7
_MIN_EXAMS: Final = 4
_SHOWN: Final = 3
_TIE: Final = 1e-12


@dataclass(frozen=True)
class Shaped:
    """The features of one mask, and whose it is."""

    exam: str
    source: str
    features: Mapping[str, float]


@dataclass(frozen=True)
class Telling:
    """How well one source is told from the others.

    Parameters
    ----------
    source
        Told from all others.
    auc
        Probability that the program ranks a mask of the source before another of the same exam. 0.5: by chance.
    low, high
        95 % interval, by drawing exams anew.
    features
        Those that tell most by themselves, with the AUC of each.
    exams
        Number of them.
    """

    source: str
    auc: float
    low: float
    high: float
    features: Mapping[str, float]
    exams: int


def tell_sources(masks: Sequence[Shaped]) -> tuple[Telling, ...]:
    """Return, for each source, how well it is told from the others by shape.

    Each exam is judged by a regression that has seen the others alone. Exams with one source say nothing and are left
    out.

    Returns
    -------
    tuple of Telling
        Empty with fewer than four exams, or one source.
    """
    by_exam: dict[str, list[Shaped]] = {}
    for mask in sorted(masks, key=lambda one: (one.exam, one.source)):
        by_exam.setdefault(mask.exam, []).append(mask)
    exams = [found for found in by_exam.values() if len({mask.source for mask in found}) > 1]
    if len(exams) < _MIN_EXAMS:
        return ()
    names = sorted({name for found in exams for mask in found for name in mask.features})
    values = [_beside(found, names) for found in exams]
    sources = sorted({mask.source for found in exams for mask in found})
    # With two sources the one is told as well as the other.
    return tuple(_tell(source, exams, values, names) for source in (sources if len(sources) > 2 else sources[:1]))  # noqa: PLR2004


def _tell(source: str, exams: Sequence[Sequence[Shaped]], values: Sequence[Values], names: Sequence[str]) -> Telling:
    truth = [np.array([mask.source == source for mask in found]) for found in exams]
    usable = [i for i, mine in enumerate(truth) if mine.any() and not mine.all()]
    scores = []
    for held_out in usable:
        seen = [i for i in usable if i != held_out]
        weights = _fit(np.vstack([values[i] for i in seen]), np.concatenate([truth[i] for i in seen]))
        scores.append(_pairs(values[held_out] @ weights, truth[held_out]))
    won = np.array(scores)
    rng = np.random.default_rng(_SEED)
    drawn = won[rng.integers(0, len(won), (_BOOTSTRAPS, len(won)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    alone = {}
    for column, name in enumerate(names):
        wins, pairs = np.sum([_pairs(values[i][:, column], truth[i]) for i in usable], axis=0)
        alone[name] = float(max(wins / pairs, 1 - wins / pairs))
    best = sorted(alone, key=lambda name: -alone[name])[:_SHOWN]
    return Telling(
        source=source,
        auc=float(won[:, 0].sum() / won[:, 1].sum()),
        low=float(low),
        high=float(high),
        features={name: round(alone[name], 3) for name in best},
        exams=len(usable),
    )


def _beside(found: Sequence[Shaped], names: Sequence[str]) -> Values:
    """Return the features of the masks of an exam beside their mean; 0 where there is none."""
    raw = np.array([[mask.features.get(name, np.nan) for name in names] for mask in found], dtype=np.float64)
    known = np.isfinite(raw)
    means = np.where(known, raw, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, raw - means, 0.0)


def _pairs(scores: Values, mine: NDArray[np.bool_]) -> tuple[float, float]:
    """Return (pairs won, pairs) of the source's masks against the others'; a tie is half a win."""
    difference = scores[mine][:, None] - scores[~mine][None, :]
    return float((difference > _TIE).sum() + 0.5 * (abs(difference) <= _TIE).sum()), float(difference.size)


def _fit(values: Values, mine: NDArray[np.bool_]) -> Values:
    """Return the weights of a ridge logistic regression (Newton's steps), for values as they are."""
    scale = np.maximum(values.std(axis=0), 1e-9)
    design = np.hstack([values / scale, np.ones((len(values), 1))])
    weights = np.zeros(design.shape[1])
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[-1] = 1e-6
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - mine) + penalty * weights
        hessian = (design.T * (p * (1 - p))) @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:  # noqa: PLR2004 - as good as still
            break
    return np.asarray(np.where(values.std(axis=0) > 1e-9, weights[:-1] / scale, 0.0))  # noqa: PLR2004
