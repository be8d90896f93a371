"""What one step of a plan is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from overread.xnat.connection import Request

Action = Literal["create", "update", "unchanged", "wait", "refuse"]


@dataclass(frozen=True)
class Step:
    """One thing that a study needs on a server.

    Parameters
    ----------
    name
        What it is, such as ``receiver BTS:8104``; the same in every plan of the study.
    action
        ``create``, ``update``, ``unchanged``; ``wait`` when it depends on an id that an earlier step brings;
        ``refuse`` when the server lacks what no request can bring.
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


def differences(have: Mapping[str, Any], want: Mapping[str, Any]) -> str:
    """Name the keys of which a server's document says otherwise than ours."""
    return ", ".join(key for key in want if not covers(have.get(key), want[key]))
