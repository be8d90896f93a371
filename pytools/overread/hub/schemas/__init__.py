"""Datatypes: XSDs of ours and of plugins, read once, looked up often."""

from overread.hub.schemas.model import ChildType, DataType, FieldType
from overread.hub.schemas.registry import SchemaRegistry

__all__ = ["ChildType", "DataType", "FieldType", "SchemaRegistry"]
