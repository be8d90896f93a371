"""Which faults pass by themselves: a run that met one is tried again."""

from __future__ import annotations

import errno

from sqlalchemy.exc import OperationalError

from overread.errors import TemporaryRunnerError

_PASSING = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY,
    errno.EROFS, errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip


def is_temporary(problem: BaseException) -> bool:
    """Whether the same may work later: no room, too much open, a share or a database that doesn't answer."""
    if isinstance(problem, OSError):
        return problem.errno in _PASSING
    return isinstance(problem, TemporaryRunnerError | OperationalError)


def told(problem: BaseException) -> str:
    """Return what a fault says, in words for a run's history."""
    if isinstance(problem, OSError):
        return f"{problem.strerror or type(problem).__name__}."
    if isinstance(problem, OperationalError):
        return f"The database can't be used: {problem.orig}."
    return str(problem)
