"""Errors that become HTTP answers. Status and text are XNAT's own where XNAT has some."""

from __future__ import annotations

from overread.errors import OverreadError

CHALLENGE = {"www-authenticate": 'Basic realm="XNAT Protected Area"'}


class HubError(OverreadError):
    """An answer other than success.

    Parameters
    ----------
    status
        HTTP status code.
    reason
        Text of the answer: what is wrong, where, what to do.
    headers
        Further headers.
    """

    def __init__(self, status: int, reason: str, *, headers: dict[str, str] | None = None) -> None:
        self.status, self.reason, self.headers = status, reason, headers or {}
        super().__init__(f"{status} {reason}")


def bad_request(reason: str) -> HubError:
    """400: the request itself is wrong."""
    return HubError(400, reason)


def forbidden(reason: str = "The user may not do this.") -> HubError:
    """403: the caller is known, but not allowed."""
    return HubError(403, reason)


def not_found(what: str) -> HubError:
    """404: there is none, or the caller may not know of it."""
    return HubError(404, f"Unable to identify {what}")


def conflict(reason: str) -> HubError:
    """409: something else stands in its place."""
    return HubError(409, reason)


def unprocessable(reason: str) -> HubError:
    """422: understood, but it can't be done with this content."""
    return HubError(422, reason)
