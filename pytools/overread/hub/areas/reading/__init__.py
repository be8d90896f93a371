"""What readers said of results, which cases they have still to read, and masks that say there is nothing."""

from overread.hub.areas.reading import empty, routes

ROUTES = [*routes.ROUTES, *empty.ROUTES]
