"""Who reads what, in which arm, in which order, and when: decided by the study's seed alone.

Pure and stable. Cases are dealt one after another, in the order in which they came, and what a case was dealt depends
on the cases before it only: the next one changes nothing of it. The same cases, seats and seed give the same allocation
on every machine.

- Each case goes to those of a group who have the fewest; so loads of those who were there from the start differ by one
  at most. Who joins later starts as if he had as many as the one with the fewest, and is not made to catch up.
- Who leaves keeps what he has read. What he had and did not read goes to the others, at the moment he left.
- Arms are balanced by permuted blocks for each reader.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from overread.study.reading import AIDED, UNAIDED, Reading


@dataclass(frozen=True)
class Seat:
    """A reader of a group, for as long as he is one.

    Parameters
    ----------
    reader
        Login.
    first
        So many cases had come when he joined.
    last
        So many had come when he left; None as long as he is there.
    returned
        Cases that he had been dealt and had not read when he left.
    """

    reader: str
    first: int = 0
    last: int | None = None
    returned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dealt:
    """A case that a reader was dealt; `turn` counts the reader's cases from 0."""

    case: str
    reader: str
    turn: int


@dataclass(frozen=True)
class Allotted:
    """One reading: one reader, one case, once.

    Parameters
    ----------
    case
        The exam.
    reader, role
        Login, and what he does: ``reader``, ``gate`` or ``adjudicator``.
    arm
        ``aided``, ``unaided``, or empty where there are none.
    source
        Who made the segmentation that is judged, or empty.
    period
        From 1: a reading of a later period waits until those of the case before it are read, and for the wash-out.
    repeat
        0, or 1 for a case that is read again unknowingly.
    turn
        How many cases the reader was dealt before.
    rank
        Sorts the reader's readings.
    """

    case: str
    reader: str
    role: str
    arm: str
    source: str
    period: int
    repeat: int
    turn: int
    rank: tuple[int, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """What makes the reading what it is; from these its code is made."""
        return (self.case, self.role, self.reader, self.arm, self.source, str(self.repeat))


def deal(cases: Sequence[str], seats: Sequence[Seat], *, per_case: int, seed: int, name: str) -> tuple[Dealt, ...]:
    """Deal cases to the readers of a group.

    Parameters
    ----------
    cases
        In the order in which they came, each once.
    seats
        The group, in any order.
    per_case
        So many read each case; fewer where there are fewer.
    seed, name
        Of the study, and of the group: ties are broken by them.

    Returns
    -------
    tuple of Dealt
        In the order of dealing.
    """
    loads: dict[str, int] = {}
    turns: dict[str, int] = {}
    holds: dict[str, set[str]] = {}
    dealt: list[Dealt] = []

    def give(case: str, now: int, count: int) -> None:
        there = [s.reader for s in seats if s.first <= now and (s.last is None or now < s.last)]
        for reader in sorted(there):
            if reader not in loads:
                loads[reader] = min((loads[r] for r in there if r in loads), default=0)
        free = [reader for reader in there if reader not in holds.get(case, set())]
        free.sort(key=lambda reader: (loads[reader], _number(seed, name, case, reader)))
        for reader in free[:count]:
            loads[reader] += 1
            turn = turns.get(reader, 0)
            turns[reader] = turn + 1
            holds.setdefault(case, set()).add(reader)
            dealt.append(Dealt(case, reader, turn))

    leavers = sorted((s for s in seats if s.last is not None), key=lambda s: (s.last, s.reader))
    for now in range(len(cases) + 1):
        for seat in leavers:
            if seat.last == now:
                for case in sorted(seat.returned, key=lambda c: _number(seed, name, "returned", c)):
                    give(case, now, 1)
        if now < len(cases):
            give(cases[now], now, per_case)
    gone = {(case, seat.reader) for seat in seats for case in seat.returned}
    return tuple(one for one in dealt if (one.case, one.reader) not in gone)


def allot(
    reading: Reading,
    cases: Sequence[str],
    seats: Mapping[str, Sequence[Seat]],
    *,
    arrived: Sequence[str] = (),
    disputed: Sequence[str] = (),
) -> tuple[Allotted, ...]:
    """Allot all readings of a study.

    Parameters
    ----------
    reading
        The study's block.
    cases
        Cases that readers get, in order: those that passed the gate, where there is one.
    seats
        Group -> who is in it.
    arrived
        Cases that the gate gets, in order.
    disputed
        Cases on which readers differed, in the order in which that was found.

    Returns
    -------
    tuple of Allotted
        By role, reader and rank; the order of `seats` makes no difference.
    """
    found: list[Allotted] = []
    seed = reading.order.seed
    for group in sorted(reading.groups):
        per_case = reading.groups[group].per_case
        for one in deal(cases, seats.get(group, ()), per_case=per_case, seed=seed, name=group):
            found += _readings(reading, one)
    for role, group, given in (
        ("gate", reading.gate.group if reading.gate else "", arrived),
        ("adjudicator", reading.adjudicate.group if reading.adjudicate else "", disputed),
    ):
        for one in deal(given, seats.get(group, ()), per_case=1, seed=seed, name=role) if group else ():
            found.append(Allotted(one.case, one.reader, role, "", "", 1, 0, one.turn, (one.turn,)))
    return tuple(sorted(found, key=lambda a: (a.role, a.reader, a.rank, a.parts)))


def due(
    allotted: Sequence[Allotted], submitted: Mapping[Allotted, datetime], *, reading: Reading, now: datetime
) -> dict[Allotted, datetime | None]:
    """Say when each reading may be given out.

    Parameters
    ----------
    allotted
        As `allot` gives them.
    submitted
        When those were sent that were read.
    reading
        The study's block.
    now
        This moment.

    Returns
    -------
    dict
        Reading -> when it may be given out, at once if that has passed; None as long as it waits for other readings.
    """
    washout = timedelta(days=reading.washout_days)
    by_reader: dict[str, list[datetime]] = {}
    by_case: dict[tuple[str, str, str], list[Allotted]] = {}
    for one in allotted:
        by_case.setdefault((one.role, one.reader, one.case), []).append(one)
        if one in submitted and one.role == "reader":
            by_reader.setdefault(one.reader, []).append(submitted[one])
    found: dict[Allotted, datetime | None] = {}
    for one in allotted:
        before = [b for b in by_case[one.role, one.reader, one.case] if b.period < one.period]
        if not before:
            found[one] = now
            continue
        sent = [submitted.get(b) for b in before]
        known = [at for at in sent if at is not None]
        if len(known) < len(sent):
            found[one] = None
            continue
        last = max(known)
        enough = not one.repeat or reading.repeats is None or (
            sum(at > last for at in by_reader.get(one.reader, ())) >= reading.repeats.after
        )  # fmt: skip
        found[one] = last + washout if enough else None
    return found


def differing(reading: Reading, answers: Mapping[Allotted, Mapping[str, object] | None]) -> tuple[str, ...]:
    """Find cases on which readers differ.

    Parameters
    ----------
    reading
        The study's block.
    answers
        Each reading's answers, None where it is not read yet.

    Returns
    -------
    tuple of str
        Cases of which all readings of an arm and source are read, by two or more, and a named answer is not the same;
        repeats do not count. In order of name.
    """
    if reading.adjudicate is None:
        return ()
    by_place: dict[tuple[str, str, str], list[Mapping[str, object] | None]] = {}
    for one, said in answers.items():
        if one.role == "reader" and not one.repeat:
            by_place.setdefault((one.case, one.arm, one.source), []).append(said)
    found: set[str] = set()
    for (case, _, _), given in by_place.items():
        whole = [said for said in given if said is not None]
        if len(whole) != len(given):
            continue
        for key in reading.adjudicate.differ:
            if len({str(said.get(key)) for said in whole}) > 1:
                found.add(case)
    return tuple(sorted(found))


def _readings(reading: Reading, dealt: Dealt) -> Iterator[Allotted]:
    """Make the readings of one case by one reader: arms, sources, and the repeat."""
    seed, reader, turn = reading.order.seed, dealt.reader, dealt.turn
    arms = _arms(reading, reader, turn)
    conditions = [(arm, source) for arm in arms for source in _sources(reading, reader, turn)]
    apart = reading.crossover is not None
    made: list[Allotted] = []
    for index, (arm, source) in enumerate(conditions):
        period = index + 1 if apart else 1
        rank = _rank(reading, dealt, index, period)
        made.append(Allotted(dealt.case, reader, "reader", arm, source, period, 0, turn, rank))
    yield from made
    if _repeats(reading, reader, turn):
        chosen = made[_number(seed, "which", reader, dealt.case) % len(made)]
        period = max(one.period for one in made) + 1
        yield replace(chosen, period=period, repeat=1, rank=_rank(reading, dealt, len(made), period))


def _arms(reading: Reading, reader: str, turn: int) -> tuple[str, ...]:
    """Return the arms in which a reader reads his next case, in order; balanced in each block of his cases."""
    arms = tuple(sorted(reading.arms, key=(UNAIDED, AIDED).index))
    if len(arms) == 1:
        return arms
    block, place = divmod(turn, reading.order.block)
    slots = _permutation(reading.order.block, reading.order.seed, "arms", reader, str(block))
    first = arms[slots[place] % len(arms)]
    if reading.crossover is None:
        return (first,)
    return (first, *(arm for arm in arms if arm != first))


def _sources(reading: Reading, reader: str, turn: int) -> tuple[str, ...]:
    """Return the sources in the order in which a reader gets them: each order comes as often as any other."""
    sources = sorted(reading.sources)
    if not sources:
        return ("",)
    block, place = divmod(turn, len(sources))
    shuffled = [sources[i] for i in _permutation(len(sources), reading.order.seed, "sources", reader, str(block))]
    return tuple(shuffled[place:] + shuffled[:place])


def _rank(reading: Reading, dealt: Dealt, index: int, period: int) -> tuple[int, ...]:
    """Return where a reading stands among the reader's.

    Sources of one case stand in rounds of one order, so that between two of them all other cases of the round are read.
    """
    order, reader, turn = reading.order, dealt.reader, dealt.turn
    block, place = divmod(turn, order.block)
    if order.kind == "fixed":
        within = place
    else:
        within = _permutation(order.block, order.seed, "order", reader, str(block))[place]
    if order.kind == "shuffled":
        # no blocks: what decides is a number of each case's own, which no other case changes
        return (period, index, _number(order.seed, "order", reader, dealt.case))
    return (period, block, index, within)


def _repeats(reading: Reading, reader: str, turn: int) -> bool:
    """Tell whether a reader's next case is one that he gets again; in each window the same share is."""
    rule = reading.repeats
    if rule is None:
        return False
    common = math.gcd(rule.pct, 100)
    window, picks = 100 // common, rule.pct // common
    number, place = divmod(turn, window)
    return _permutation(window, rule.seed, "repeats", reader, str(number))[place] < picks


def _number(seed: int, *parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join((str(seed), *parts)).encode()).digest()[:6])


def _permutation(size: int, seed: int, *parts: str) -> list[int]:
    """Shuffle 0 … size-1. Not by `random`, whose shuffle may be another in another version of Python."""
    return sorted(range(size), key=lambda index: _number(seed, *parts, str(index)))


__all__ = ["Allotted", "Dealt", "Seat", "allot", "deal", "differing", "due"]
