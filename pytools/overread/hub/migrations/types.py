"""Column types of the tables, frozen for migrations: `overread.hub.models.base` says why they are as they are."""

from __future__ import annotations

from sqlalchemy import BigInteger, DateTime, Integer, String

TEXT = String().with_variant(String(collation="C"), "postgresql")
INT = BigInteger().with_variant(Integer, "sqlite")
TIME = DateTime()
