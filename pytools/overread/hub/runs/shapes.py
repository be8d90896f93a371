"""Whether a command document has lists, objects and texts where they must be: what all further checks rely on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LISTS = ("mounts", "inputs", "outputs", "xnat", "secrets")
_WRAPPER_LISTS = ("external-inputs", "derived-inputs", "output-handlers")
_MAPS = ("environment-variables", "ports", "container-labels", "ulimits", "generic-resources")
_TEXTS = (
    "name", "label", "description", "version", "type", "image", "command-line", "working-directory", "container-name",
    "schema-version", "visibility", "path", "mount", "glob", "matcher", "parser", "replacement-key", "xsi-type",
    "command-line-flag", "command-line-separator", "multiple-delimiter", "true-value", "false-value", "format",
    "content", "provides-value-for-command-input", "provides-files-for-command-mount", "derived-from-wrapper-input",
    "derived-from-xnat-object-property", "via-setup-command", "via-wrapup-command", "accepts-command-output",
    "as-a-child-of", "gpus", "runtime", "hash",
)  # fmt: skip
_TEXT_LISTS = ("select-values", "contexts", "tags")
_FLAGS = ("required", "writable", "multiple", "load-children", "sensitive", "user-settable", "advanced",
          "override-entrypoint")  # fmt: skip
_NUMBERS = ("reserve-memory", "limit-memory", "limit-cpu", "shm-size")


def shape_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Find what has the wrong shape, with where it stands."""
    yield from item_problems(document, "")
    for key in _MAPS:
        value = document.get(key)
        if value is not None and not isinstance(value, dict):
            yield f"{key} must be an object."
    for key in _LISTS:
        yield from _list(document, key, "")
    for place, wrapper in enumerate(_objects(document.get("xnat"))):
        for key in _WRAPPER_LISTS:
            yield from _list(wrapper, key, f"xnat[{place}].")


def _list(holder: Mapping[str, Any], key: str, where: str) -> Iterator[str]:
    value = holder.get(key)
    if value is None:
        return
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        yield f"{where}{key} must be a list of objects."
        return
    for place, item in enumerate(value):
        yield from item_problems(item, f"{where}{key}[{place}].")


def item_problems(item: Mapping[str, Any], where: str) -> Iterator[str]:
    """Find what has the wrong shape in one input, output, mount or handler; `where` is put before each key."""
    for key in _TEXTS:
        if not isinstance(item.get(key), str | None):
            yield f"{where}{key} must be text."
    for key in _TEXT_LISTS:
        value = item.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
            yield f"{where}{key} must be a list of texts."
    for key in _FLAGS:
        if not isinstance(item.get(key), bool | None):
            yield f"{where}{key} must be true or false."
    for key in _NUMBERS:
        value = item.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            yield f"{where}{key} must be a number."
    if not isinstance(item.get("default-value"), str | int | float | bool | None):
        yield f"{where}default-value must be text."


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
