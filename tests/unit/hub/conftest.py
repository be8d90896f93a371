"""The hub's fixture, for all tests of this folder."""

from hub_fixture import hub

__all__ = ["hub"]
