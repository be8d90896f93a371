"""Whether a run that was done again says the same as the first one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

PASSED_OVER = ("timings", "device")
"""What differs between any two machines."""

_LONGEST = 80


def differences(recorded: Any, new: Any, *, tolerance: float) -> list[str]:
    """Return what differs between two results, one line each, such as ``measurements[0].value: 12.5, now 12.9``.

    Parameters
    ----------
    recorded, new
        Documents of ``result.json``.
    tolerance
        Relative difference below which numbers count as equal.
    """
    strip = [
        {key: value for key, value in one.items() if key not in PASSED_OVER} if isinstance(one, Mapping) else one
        for one in (recorded, new)
    ]
    return list(_walk("", strip[0], strip[1], tolerance))


def _walk(where: str, recorded: Any, new: Any, tolerance: float) -> Iterator[str]:
    if isinstance(recorded, Mapping) and isinstance(new, Mapping):
        for key in [*recorded, *(key for key in new if key not in recorded)]:
            place = f"{where}.{key}" if where else str(key)
            if key not in new:
                yield f"{place}: {_shown(recorded[key])}, now missing"
            elif key not in recorded:
                yield f"{place}: not recorded, now {_shown(new[key])}"
            else:
                yield from _walk(place, recorded[key], new[key], tolerance)
    elif isinstance(recorded, list) and isinstance(new, list):
        if len(recorded) != len(new):
            yield f"{where}: {len(recorded)} entries, now {len(new)}"
        for number, (one, other) in enumerate(zip(recorded, new, strict=False)):
            yield from _walk(f"{where}[{number}]", one, other, tolerance)
    elif not _same(recorded, new, tolerance):
        yield f"{where}: {_shown(recorded)}, now {_shown(new)}"


def _same(recorded: Any, new: Any, tolerance: float) -> bool:
    if _is_number(recorded) and _is_number(new):
        return math.isclose(recorded, new, rel_tol=tolerance, abs_tol=tolerance)
    return type(recorded) is type(new) and bool(recorded == new)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
