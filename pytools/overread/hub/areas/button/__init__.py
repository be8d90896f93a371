"""The PACS button's secret, and the check of signed addresses: what the core plugin's ``ButtonApi`` does on XNAT."""

from overread.hub.areas.button.routes import ROUTES

__all__ = ["ROUTES"]
