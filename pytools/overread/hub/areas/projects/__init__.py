"""Projects: list, make, change, delete; accessibility and codes; members."""

from overread.hub.areas.projects.members import ROUTES as MEMBERS
from overread.hub.areas.projects.routes import ROUTES as PROJECTS

ROUTES = [*PROJECTS, *MEMBERS]

__all__ = ["ROUTES"]
