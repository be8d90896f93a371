"""Which faults pass by themselves, so that the same is tried again; and which of them are a full disk."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy.exc import OperationalError

from overread.errors import TemporaryRunnerError

_PASSING = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY,
    errno.EROFS, errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip

_DISK_FULL = "53100"  # of Postgres


def is_temporary(problem: BaseException) -> bool:
    """Whether the same may work later: no room, too much open, a share or a database that doesn't answer."""
    if isinstance(problem, OSError):
        return problem.errno in _PASSING
    return isinstance(problem, TemporaryRunnerError | OperationalError)


def is_full(problem: BaseException) -> bool:
    """Whether there is no room: on our disk, or on that of the database."""
    if isinstance(problem, OSError):
        return problem.errno in {errno.ENOSPC, errno.EDQUOT}
    cause = problem.orig if isinstance(problem, OperationalError) else None
    return (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(cause, "sqlstate", None) == _DISK_FULL
    )


def told(problem: BaseException) -> str:
    """Return what a fault says, in words for a run's history."""
    if isinstance(problem, OSError):
        return f"{problem.strerror or type(problem).__name__}."
    if isinstance(problem, OperationalError):
        return f"The database can't be used: {problem.orig}."
    return str(problem)
