"""The JSON Schema of ``command.json``, published as ``schemas/command.schema.json``.

It is computed from the model, and says what the Container Service takes: optional keys may be null or empty, and a
server adds an ``id`` to each part.
"""

from __future__ import annotations

from typing import Any

from overread.commands.model import Command

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL: dict[str, Any] = {"type": "null"}


def command_schema() -> dict[str, Any]:
    """Return the schema of one command document."""
    document = Command.model_json_schema(by_alias=True)
    for part in (document, *document.get("$defs", {}).values()):
        if part.get("type") == "object":
            _open(part)
    # XNAT fills it in from the image whose label holds the command
    document["required"].remove("image")
    document["properties"]["image"] = _optional(document["properties"]["image"])
    return {
        "$schema": DIALECT,
        "$id": "urn:overread:command.schema.json",
        **document,
        "title": "Command of XNAT's Container Service",
    }


def _open(part: dict[str, Any]) -> None:
    required = set(part.get("required", ()))
    for key, schema in part["properties"].items():
        if key not in required:
            part["properties"][key] = _optional(schema)
    part["properties"].setdefault("id", {"type": "integer", "description": "Given by the server; not to be written."})


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a key also be null, or empty text, which both mean that it is not said."""
    about: dict[str, Any] = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in about}
    choices = [choice for choice in rest.get("anyOf", [rest]) if choice != _NULL]
    return {**about, "anyOf": [*choices, _NULL, {"const": ""}]}
