"""Which calls go into the audit trail, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy.orm import Session
from starlette.requests import Request

from overread.hub.access import Access
from overread.hub.audit import Entry, note
from overread.hub.sessions import address_of

if TYPE_CHECKING:
    from overread.hub.core import Hub
    from overread.hub.http import Route

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SESSION: Final = "/data/JSESSION"
_NO_DATA: Final = frozenset({_SESSION, "/data/auth", "/data/version"})
"""Routes of every client's small talk, which show nothing of anybody."""
_LAUNCHES: Final = ("/launch", "/bulklaunch", "/rerun")
_ARCHIVES: Final = ("application/zip", "application/gzip", "application/x-tar", "text/csv")


@dataclass
class About:
    """What a call turns out to be about: filled in by the checks of its rights.

    `item` is an ID that the hub gave, never a label; `hidden` says that it may not be seen, so that the answer is 404.
    """

    user: str = "guest"
    project: str = ""
    item: str = ""
    hidden: bool = False


class Audited:
    """Notes one call.

    Parameters
    ----------
    hub, route, request
        The hub, the row of its route table, and the call.
    """

    def __init__(self, hub: Hub, route: Route, request: Request) -> None:
        self._hub, self._route, self._request = hub, route, request
        self.about = About()

    def done(self, db: Session | None, status: int, headers: Mapping[str, str]) -> None:
        """Note a call that was answered: within its transaction `db` if that is kept, else (None) by itself."""
        if self._route.access is Access.PUBLIC or not self._tells():
            return
        entry = self._entry(self._action(headers, reads=db is None), status)
        if db is not None:
            note(db, entry)
        elif status < 400:  # noqa: PLR2004 - HTTP's errors
            self._hub.audit.write_once(entry)

    def refused(self, status: int) -> None:
        """Note a call that raised. Who is not logged in is told so, and no more; a reader's mistake is no act."""
        reads = self._route.writes is False or self._request.method in _READS
        if self._route.access is Access.PUBLIC or self.about.user == "guest" or status < 400:  # noqa: PLR2004
            return
        if reads and status not in {403, 500} and not self.about.hidden:
            return
        self._hub.audit.write_once(self._entry(self._action({}, reads=reads), status))

    def _tells(self) -> bool:
        if self._request.method not in _READS and self._route.writes is not False:
            return True
        path = self._route.path
        if path == _SESSION and self._request.method == "DELETE":
            return True
        return (
            bool(self.about.project or self.about.item)
            or self._route.access is Access.ADMIN
            or (path.startswith("/data/") and path not in _NO_DATA)
        )

    def _action(self, headers: Mapping[str, str], *, reads: bool) -> str:
        if self._route.path.endswith(_LAUNCHES) and self._request.method == "POST":
            return "launch"
        if self._route.path == _SESSION and self._request.method == "DELETE":
            return "logout"
        if reads:
            leaves = headers.get("content-disposition", "").startswith("attachment")
            return "export" if leaves or headers.get("content-type", "").startswith(_ARCHIVES) else "view"
        return "delete" if self._request.method == "DELETE" else "change"

    def _entry(self, action: str, status: int) -> Entry:
        refused = status in {401, 403} or self.about.hidden
        return Entry(
            self.about.user,
            action,
            outcome="done" if status < 400 else "refused" if refused else "failed",  # noqa: PLR2004
            status=status,
            method=self._request.method,
            route=self._route.path,
            project=self.about.project,
            item=self.about.item,
            address=address_of(self._request),
        )
