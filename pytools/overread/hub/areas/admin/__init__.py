"""``/xapi/overread``: what the administration's pages need and XNAT's REST does not give.

Administrators see all, owners what is of their projects. Lists come in pages (``page``, ``size``).
"""

from overread.hub.areas.admin.runs import ROUTES as RUNS
from overread.hub.areas.admin.sessions import ROUTES as SESSIONS

ROUTES = [*SESSIONS, *RUNS]

__all__ = ["ROUTES"]
