"""Does anything that stands by a blinded copy go along with its source? Every fact is asked, not a list of suspects.

A fact is whatever can be read: an attribute of a file, its size, a field on the server. For each, its value, its
length, its presence, and (numbers, times, counted IDs) its order are held against the sources, exam by exam: what
differs between exams tells nothing, what differs between the copies of one exam may.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

_DRAWS: Final = 19_999
_ENUMERATED: Final = 20_000
"""So many allocations are tried one by one; of more, a sample."""
_LONG: Final = 80
_SEED: Final = 20_251
_EVEN_UID: Final = re.compile(r"2\.25\.\d{39}(?!\d)")
_MIN_EXAMS: Final = 2


@dataclass(frozen=True)
class Copy:
    """One blinded copy and all that can be read of it.

    Parameters
    ----------
    exam, source, code
        From the key.
    facts
        Path to value, as text.
    """

    exam: str
    source: str
    code: str
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Leak:
    """A fact that tells the source.

    Parameters
    ----------
    path
        Of the fact.
    kind
        ``value``, ``length``, ``presence`` or ``order``.
    p
        Probability of so strong an association, or a stronger one, if sources were allotted by lot within each exam.
    certain
        Each source has one value of its own throughout, so that it can be read off.
    example
        A value per source.
    """

    path: str
    kind: str
    p: float
    certain: bool
    example: Mapping[str, str]

    def __str__(self) -> str:
        """Return it in a sentence."""
        shown = ", ".join(f"{source}: {value or 'absent'}" for source, value in sorted(self.example.items()))
        how = "tells the source without fail" if self.certain else f"goes along with the source (p = {self.p:.2g})"
        return f"{self.path}: its {self.kind} {how}; {shown}"


@dataclass(frozen=True)
class Asked:
    """What was asked, and what came out.

    Parameters
    ----------
    leaks
        Facts that tell, the surest first.
    facts
        How many paths there are.
    varying
        How many questions were put: those where the copies of an exam differ.
    smallest_p
        What the most one-sided allocation would have come to: a larger one than `alpha` sees nothing but certain leaks.
    """

    leaks: tuple[Leak, ...]
    facts: int
    varying: int
    smallest_p: float


def find_leaks(copies: Sequence[Copy], *, alpha: float = 0.01) -> Asked:
    """Return the facts that go along with the source.

    A fact leaks when each source has a value of its own throughout at least two exams, or when the permutation test
    (sources allotted anew within each exam; all ways to do it, or a sample of 19,999) is significant after Holm's
    correction over all questions.

    Parameters
    ----------
    copies
        Of at least two sources and two exams; otherwise nothing can be told.
    alpha
        Probability of calling a clean study leaky.
    """
    copies = sorted(copies, key=lambda copy: (copy.exam, copy.code))
    paths = sorted({path for copy in copies for path in copy.facts})
    exams = _mixed_exams(copies)
    copies = [copy for copy in copies if copy.exam in exams]
    if len(exams) < _MIN_EXAMS:
        return Asked((), len(paths), 0, 1.0)
    labels = _allotments(copies)
    found: list[Leak] = []
    smallest = 1.0 / len(labels)
    for path in paths:
        values = [_normal(copy.facts[path], copy.code) if path in copy.facts else None for copy in copies]
        asked = list(_questions(path, values, copies, labels))
        found += asked
    return Asked(_told(found, alpha), len(paths), len(found), smallest)


def _told(asked: Sequence[Leak], alpha: float) -> tuple[Leak, ...]:
    """Return, for each path once, what is certain or significant (Holm)."""
    kept: dict[str, Leak] = {}
    running = 0.0
    for index, leak in enumerate(sorted(asked, key=lambda one: one.p)):
        running = max(running, min(1.0, (len(asked) - index) * leak.p))
        if (leak.certain or running <= alpha) and (leak.path not in kept or leak.certain > kept[leak.path].certain):
            kept[leak.path] = replace(leak, p=leak.p)
    return tuple(sorted(kept.values(), key=lambda leak: (not leak.certain, leak.p, leak.path)))


def _questions(
    path: str, values: Sequence[str | None], copies: Sequence[Copy], labels: NDArray[np.intp]
) -> Iterator[Leak]:
    example = {copy.source: _shown(value) for copy, value in zip(reversed(copies), reversed(values), strict=True)}
    lengths = [None if value is None else str(len(value)) for value in values]
    presence = ["absent" if value is None else "present" for value in values]
    seen: set[tuple[int, ...]] = set()
    for kind, answers in (("presence", presence), ("value", list(values)), ("length", lengths)):
        coded = _coded(answers)
        if coded in seen or not _differs(coded, copies):
            continue
        seen.add(coded)
        if max(coded) + 1 == len(coded):  # all different: only their order could tell
            continue
        certain = _certain(coded, copies)
        yield Leak(path, kind, _categorical(np.array(coded), labels), certain, example)
    ranks = _ranks(values, copies)
    if ranks is not None:
        yield Leak(path, "order", _ordinal(ranks, labels), certain=False, example=example)


def _mixed_exams(copies: Sequence[Copy]) -> set[str]:
    sources: dict[str, set[str]] = {}
    for copy in copies:
        sources.setdefault(copy.exam, set()).add(copy.source)
    return {exam for exam, found in sources.items() if len(found) > 1}


def _allotments(copies: Sequence[Copy]) -> NDArray[np.intp]:
    """Return allotments of sources to copies, the true one first: (allotments, copies), sources as numbers."""
    names = sorted({copy.source for copy in copies})
    blocks: dict[str, list[int]] = {}
    for copy in copies:
        blocks.setdefault(copy.exam, []).append(names.index(copy.source))
    ways = math.prod(_ways(block) for block in blocks.values())
    true = np.array([number for block in blocks.values() for number in block])
    if ways <= _ENUMERATED:
        each = [sorted(set(permutations(block))) for block in blocks.values()]
        rest = [[number for block in chosen for number in block] for chosen in product(*each)]
        return np.array([true.tolist(), *(row for row in rest if row != true.tolist())])
    rng = np.random.default_rng(_SEED)
    drawn = [np.tile(np.array(block), (_DRAWS, 1)) for block in blocks.values()]
    return np.vstack([true, np.hstack([rng.permuted(block, axis=1) for block in drawn])])


def _ways(block: Sequence[int]) -> int:
    return math.factorial(len(block)) // math.prod(math.factorial(n) for n in Counter(block).values())


def _categorical(coded: NDArray[np.int_], labels: NDArray[np.intp]) -> float:
    columns = np.eye(coded.max() + 1)[coded]
    totals = columns.sum(axis=0)
    statistic = np.zeros(len(labels))
    for source in range(labels.max() + 1):
        mine = labels == source
        statistic += ((mine @ columns) ** 2 / totals).sum(axis=1) / mine[0].sum()
    return _p(statistic)


def _ordinal(ranks: NDArray[np.float64], labels: NDArray[np.intp]) -> float:
    statistic = np.zeros(len(labels))
    for source in range(labels.max() + 1):
        mine = labels == source
        statistic += (mine @ ranks) ** 2 / mine[0].sum()
    return _p(statistic)


def _p(statistic: NDArray[np.float64]) -> float:
    return float(np.mean(statistic >= statistic[0] - 1e-9))


def _coded(answers: Sequence[str | None]) -> tuple[int, ...]:
    order: dict[str | None, int] = {}
    return tuple(order.setdefault(answer, len(order)) for answer in answers)


def _differs(coded: Sequence[int], copies: Sequence[Copy]) -> bool:
    """Return whether the copies of any exam differ."""
    first: dict[str, int] = {}
    return any(first.setdefault(copy.exam, value) != value for copy, value in zip(copies, coded, strict=True))


def _certain(coded: Sequence[int], copies: Sequence[Copy]) -> bool:
    values: dict[str, set[int]] = {}
    for copy, value in zip(copies, coded, strict=True):
        values.setdefault(copy.source, set()).add(value)
    return all(len(found) == 1 for found in values.values())


def _ranks(values: Sequence[str | None], copies: Sequence[Copy]) -> NDArray[np.float64] | None:
    """Return centred ranks within each exam, None where values have no order or do not differ."""
    numbers = [_number(value) for value in values]
    if any(number is None for number in numbers) or len({_stem(value or "") for value in values}) > 1:
        return None
    ranks = np.zeros(len(copies))
    for exam in {copy.exam for copy in copies}:
        places = [i for i, copy in enumerate(copies) if copy.exam == exam]
        own = np.array([float(numbers[i] or 0.0) for i in places])
        rank = np.array([(own < x).sum() + ((own == x).sum() - 1) / 2 for x in own])
        ranks[places] = rank - rank.mean()
    return ranks if ranks.any() else None


def _number(value: str | None) -> float | None:
    """Return a number, a moment's digits, or what a counted ID ends with."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        digits = "".join(re.findall(r"\d+", value))
        counted = re.fullmatch(r".*?(\d+)", value)
        if re.fullmatch(r"[\d :.,T+Z-]+", value) and digits:
            return float(digits.ljust(20, "0")[:20])
        return float(counted[1]) if counted and len(counted[1]) < _LONG else None
    return number if math.isfinite(number) else None


def _stem(value: str) -> str:
    return "" if re.fullmatch(r"[\d :.,T+Z-]+", value) or _is_float(value) else re.sub(r"\d+\Z", "", value)


def _is_float(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _normal(value: str, code: str) -> str:
    """Return a value without what differs by lot: the code, and UIDs of the one form that copies have."""
    return _EVEN_UID.sub("(uid)", value.replace(code, "(code)"))


def _shown(value: str | None) -> str:
    if value is None:
        return ""
    if len(value) <= _LONG:
        return value
    return f"{value[:20]}... ({len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()[:8]})"
