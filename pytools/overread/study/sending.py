"""How far a report has come on its way to a DICOM node, and what is to be done next. Nothing is sent here.

::

    waiting -- taken --> sent -- answered for --> committed
       |                  |                           (without storage commitment, sent is the end)
       | not taken for good     not answered for, time and again
       +------> refused <------+

``held``: it was made while the study was not live, and stays where it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

State = Literal["held", "waiting", "sent", "committed", "refused"]
Step = Literal["store", "ask"]
STATES: Final[tuple[State, ...]] = get_args(State)

_RETRY_S: Final = (30.0, 3600.0)
"""First and longest pause before something is sent again."""
_ASK_S: Final = (600.0, 86400.0)
"""First and longest time for which an answer to storage commitment is waited."""
_MAX_UNKEPT: Final = 3
"""So often a node may say that it has not kept what it had taken."""
_MAX_REASON: Final = 300


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A report on its way to one node.

    Parameters
    ----------
    state
        How far it is.
    reason
        Why it waits, is held or refused; what the node said.
    at
        When this was written, ISO 8601 in UTC.
    next_at
        Not to be tried before; empty where nothing is to be done.
    attempts
        Tries of the step that is to be done, without success.
    unkept
        So often the node has said that it did not keep it.
    transaction
        UID under which storage commitment was asked for.
    objects
        (SOP class, SOP instance) of what the node has taken.
    """

    state: State = "waiting"
    reason: str = ""
    at: str = ""
    next_at: str = ""
    attempts: int = 0
    unkept: int = 0
    transaction: str = ""
    objects: tuple[tuple[str, str], ...] = ()

    def as_document(self) -> dict[str, Any]:
        """Return it as XNAT keeps it."""
        return asdict(self)


def read_delivery(document: object) -> Delivery:
    """Read what XNAT keeps; what can't be read counts as not sent, since sending twice does no harm."""
    if not isinstance(document, Mapping) or document.get("state") not in STATES:
        return Delivery()
    objects = document.get("objects")
    pairs = [pair for pair in objects if isinstance(pair, list)] if isinstance(objects, list) else []
    return Delivery(
        state=document["state"],
        reason=_line(document.get("reason")),
        at=_line(document.get("at")),
        next_at=_line(document.get("next_at")),
        attempts=_whole(document.get("attempts")),
        unkept=_whole(document.get("unkept")),
        transaction=_line(document.get("transaction")),
        objects=tuple((str(pair[0]), str(pair[1])) for pair in pairs if len(pair) == 2),  # noqa: PLR2004 - a pair
    )


def next_step(delivery: Delivery, *, commitment: bool, now: dt.datetime) -> Step | None:
    """Return what is to be done now, None if nothing is."""
    if delivery.next_at and delivery.next_at > _text(now):
        return None
    if delivery.state == "waiting":
        return "store"
    return "ask" if delivery.state == "sent" and commitment else None


def held(mode: str, *, now: dt.datetime) -> Delivery:
    """Return a report that was made while the study was in another mode than live."""
    return Delivery(state="held", reason=f"made while the study was in mode {mode}", at=_text(now))


def stored(delivery: Delivery, objects: tuple[tuple[str, str], ...], *, now: dt.datetime) -> Delivery:
    """Return it after the node has taken all of it."""
    return replace(
        delivery, state="sent", reason="", at=_text(now), next_at="", attempts=0, transaction="", objects=objects
    )


def not_stored(delivery: Delivery, reason: str, *, for_good: bool, now: dt.datetime) -> Delivery:
    """Return it after the node has not taken it: it is away or full, or (`for_good`) does not want it."""
    if for_good:
        return replace(delivery, state="refused", reason=reason[:_MAX_REASON], at=_text(now), next_at="")
    return replace(
        delivery,
        state="waiting",
        reason=reason[:_MAX_REASON],
        at=_text(now),
        next_at=_later(now, _RETRY_S, delivery.attempts),
        attempts=delivery.attempts + 1,
    )


def asked(delivery: Delivery, transaction: str, reason: str, *, now: dt.datetime) -> Delivery:
    """Return it after the node was asked to answer for it, or (`reason`) could not be, which is tried again sooner."""
    return replace(
        delivery,
        reason=reason[:_MAX_REASON],
        at=_text(now),
        transaction=transaction or delivery.transaction,
        next_at=_later(now, _RETRY_S if reason else _ASK_S, delivery.attempts),
        attempts=delivery.attempts + 1,
    )


def answered(delivery: Delivery, failed: Mapping[str, str], *, now: dt.datetime) -> Delivery:
    """Return it after the node has answered that it keeps all, or not those in `failed` (SOP instance: why)."""
    missing = {uid: why for uid, why in failed.items() if uid in {instance for _, instance in delivery.objects}}
    if not missing and failed:
        return delivery  # it speaks of objects that it was not asked about
    if not missing:
        return replace(delivery, state="committed", reason="", at=_text(now), next_at="", attempts=0)
    reason = f"taken, but not kept: {', '.join(sorted(set(missing.values())))}"
    again = replace(delivery, unkept=delivery.unkept + 1, attempts=0, transaction="")
    return not_stored(again, reason, for_good=again.unkept >= _MAX_UNKEPT, now=now)


def _later(now: dt.datetime, pause_s: tuple[float, float], attempts: int) -> str:
    first, longest = pause_s
    return _text(now + dt.timedelta(seconds=min(longest, first * 2.0 ** min(attempts, 20))))


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")


def _line(value: object) -> str:
    return str(value or "")[:_MAX_REASON]


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
