"""What one step of a plan is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from overread.xnat.connection import Request

Action = Literal["create", "update", "unchanged", "wait", "refuse", "note"]
_MAX_NAMED, _MAX_VALUE = 3, 40


@dataclass(frozen=True)
class Step:
    """One thing that a study needs on a server.

    Parameters
    ----------
    name
        What it is, such as ``receiver BTS:8104``; the same in every plan of the study.
    action
        ``create``, ``update``, ``unchanged``; ``wait`` when it depends on an id that an earlier step brings;
        ``refuse`` when the server lacks what no request can bring; ``note`` for what is only said.
    detail
        What is different, what it waits for, or what to do.
    requests
        What is sent for it.
    """

    name: str
    action: Action
    detail: str = ""
    requests: tuple[Request, ...] = ()


def covers(have: Any, want: Any) -> bool:
    """Tell whether a server's document says all that ours says; what it says besides does not matter.

    Notes
    -----
    Numbers and yes/no are compared with their text: XNAT answers one or the other.
    """
    if isinstance(want, Mapping):
        return isinstance(have, Mapping) and all(covers(have.get(key), value) for key, value in want.items())
    if isinstance(want, (list, tuple)):
        same_kind = isinstance(have, Sequence) and not isinstance(have, str)
        return same_kind and len(have) == len(want) and all(map(covers, have, want))
    if have is None or want is None:
        return have in {None, ""} and want in {None, ""}
    return str(have).lower() == str(want).lower() if isinstance(want, bool) else str(have) == str(want)


def differences(have: Any, want: Any) -> str:
    """Say in words in what a server's document differs from ours: ``key: theirs -> ours``, the first few of them."""
    found = list(_different(have, want, ""))
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    return ", ".join(found[:_MAX_NAMED]) + more


def _different(have: Any, want: Any, path: str) -> Iterator[str]:
    if covers(have, want):
        return
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        for key in want:
            yield from _different(have.get(key), want[key], f"{path}.{key}" if path else str(key))
    elif isinstance(want, (list, tuple)) and isinstance(have, Sequence) and len(have) == len(want):
        for index, (theirs, ours) in enumerate(zip(have, want, strict=True)):
            yield from _different(theirs, ours, f"{path}[{index}]")
    else:
        yield f"{path}: {_shown(have)} -> {_shown(want)}"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, Mapping):
        return f"{len(value)} keys"
    if isinstance(value, (list, tuple)):
        return f"{len(value)} items"
    text = str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 3] + "..."
