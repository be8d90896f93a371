"""All errors that Overread raises on purpose.

::

    OverreadError
    ├── SpecError           a file of ours is wrong: manifest, schema, form, command
    ├── DataError           an image, a segmentation or a result is wrong
    ├── ArchiveError        XNAT or the hub answered otherwise than asked
    │   ├── NotFound
    │   ├── Conflict
    │   ├── Denied
    │   └── Unavailable     try again later
    └── RunnerError         a container run went wrong
        ├── TemporaryRunnerError   the same run may work later
        └── PermanentRunnerError   it won't

A message says what is wrong, where, and what to do. It never holds a patient's name, birth date or accession number.
"""

from __future__ import annotations


class OverreadError(Exception):
    """Base of every error that a user can do something about. The command line prints it on one line."""

    exit_code = 1


class SpecError(OverreadError):
    """A file of ours (manifest, schema, form, command) does not say what it must.

    Parameters
    ----------
    message
        What is wrong and what to do.
    source
        File in which it stands.
    path
        Where in the file, as a dotted path such as ``arrival.series.flair.where[0].tag``.
    """

    exit_code = 2

    def __init__(self, message: str, *, source: str = "", path: str = "") -> None:
        self.source, self.path, self.message = source, path, message
        super().__init__(": ".join(part for part in (source, path, message) if part))


class DataError(OverreadError):
    """An image, a segmentation or a result can't be used.

    Parameters
    ----------
    message
        What is wrong and what to do.
    uid
        UID of the study, series or object concerned.
    tag
        DICOM keyword concerned.
    """

    def __init__(self, message: str, *, uid: str = "", tag: str = "") -> None:
        self.uid, self.tag, self.message = uid, tag, message
        where = " ".join(part for part in (uid, tag) if part)
        super().__init__(f"{where}: {message}" if where else message)


class ArchiveError(OverreadError):
    """XNAT, or the hub that stands in for it, answered otherwise than asked."""


class NotFound(ArchiveError):  # noqa: N818 - the name is the answer
    """There is no such object, or it is not ours to see."""


class Conflict(ArchiveError):  # noqa: N818
    """Something else stands in its place."""


class Denied(ArchiveError):  # noqa: N818
    """The user may not do this."""


class Unavailable(ArchiveError):  # noqa: N818
    """The server does not answer now; ``retry_after_s`` says when to try again."""

    def __init__(self, message: str, *, retry_after_s: float = 5.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class RunnerError(OverreadError):
    """A container run went wrong."""


class TemporaryRunnerError(RunnerError):
    """The same run may work later (no room, engine away)."""


class PermanentRunnerError(RunnerError):
    """The same run will fail again (wrong command, missing image)."""
