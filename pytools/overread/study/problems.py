"""What is wrong with a file of ours, in one line each: where it stands, what it is, how to mend it.

The hardest part is to say *where*: pydantic names a place by keys and indexes, a person looks for a line.
Both are given.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from overread.errors import SpecError

Location = tuple[str | int, ...]

_MAX_LISTED = 40
_MAX_SHOWN = 60
_NUMBER = ("is not a number", "write a number, without quotes")
_WHOLE = ("is not a whole number", "write a whole number, without quotes")
_BLOCK = ("stands where keys and values should", "write 'key: value' lines below it")
_LIST = ("stands where a list should", "write it as [a, b]")
# pydantic's error type -> (what is wrong with the value, how to mend it)
_WRONG_KIND = {
    "model_type": _BLOCK,
    "model_attributes_type": _BLOCK,
    "dict_type": _BLOCK,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "string_type": ("is not text", "put it in quotes"),
    "bool_type": ("is neither true nor false", "write true or false, without quotes"),
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
}


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in one place of one file.

    Parameters
    ----------
    source
        File name as the user gave it.
    line
        Line in that file, from 1; 0 when it is not known.
    path
        Dotted path in the file, such as ``arrival.series.flair.where[0].tag``; empty for the file as a whole.
    message
        What is wrong.
    mend
        What to do about it; may be empty when the message says it already.
    """

    source: str
    line: int
    path: str
    message: str
    mend: str = ""

    def __str__(self) -> str:
        """``source:line: path: message; mend``."""
        where = f"{self.source}:{self.line}" if self.line else self.source
        text = f"{self.message}; {self.mend}" if self.mend else self.message
        return ": ".join(part for part in (where, self.path, text) if part)

    @classmethod
    def of(cls, error: SpecError) -> Problem:
        """Take a problem out of the exception that carries it."""
        source, _, line = error.source.rpartition(":")
        if source and line.isdecimal():
            return cls(source, int(line), error.path, error.message)
        return cls(error.source, 0, error.path, error.message)

    def error(self, *, others: int = 0) -> SpecError:
        """Turn the problem into the exception that stops a program.

        Parameters
        ----------
        others
            How many more problems the file has; the message says so.
        """
        text = f"{self.message}; {self.mend}" if self.mend else self.message
        more = f" (and {others} more; `overread study check` lists all)" if others else ""
        where = f"{self.source}:{self.line}" if self.line else self.source
        return SpecError(text + more, source=where, path=self.path)


def dotted(location: Sequence[str | int]) -> str:
    """Write a location as a dotted path.

    Examples
    --------
    >>> dotted(("arrival", "accept", 0, "tag"))
    'arrival.accept[0].tag'
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known words, or list them all where none is near.

    Returns
    -------
    str
        ``did you mean 'x'?``, ``one of a, b, c``, or empty when nothing is known.
    """
    words = sorted(set(known))
    # Compared without case, because a wrong capital is the commonest slip.
    by_lower = {w.lower(): w for w in words}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    if near:
        return f"did you mean '{by_lower[near[0]]}'?"
    return f"one of {', '.join(words)}" if words and len(words) <= _MAX_LISTED else ""


def problems_of(
    error: ValidationError, *, model: type[BaseModel], source: str, lines: Mapping[Location, int]
) -> tuple[Problem, ...]:
    """Translate pydantic's findings into ours, ordered by place.

    Parameters
    ----------
    error
        What pydantic raised for ``model``.
    model
        The model that the file was held against; its fields are what a misspelt key is compared with.
    source
        File name.
    lines
        Line of each location in the file, as `overread.study.yamltext.parse_yaml` gives them.

    Returns
    -------
    tuple of Problem
        At least one.
    """
    found = [
        Problem(source=source, line=line_of(location, lines), path=dotted(location), message=message, mend=mend)
        for location, _, message, mend in words_of(error, model=model)
    ]
    return tuple(sorted(set(found)))


def words_of(error: ValidationError, *, model: type[BaseModel]) -> Iterator[tuple[Location, str, str, str]]:
    """Put pydantic's findings into words.

    Yields
    ------
    tuple
        Location, pydantic's own name for the kind of error, what is wrong, and how to mend it.
    """
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(_is_below(other["loc"], item["loc"]) for other in items):
            continue  # pydantic counts only the good items of a list: the bad ones are told anyway
        context: dict[str, Any] = item.get("ctx", {})
        # "[key]" is pydantic's word for "the key itself, not its value".
        location: Location = (*(part for part in item["loc"] if part != "[key]"), *context.get("at", ()))
        yield (location, item["type"], *_words(item, location, model))


def line_of(location: Location, lines: Mapping[Location, int]) -> int:
    """Find the line of a location, or of the nearest thing around it that the file has."""
    for end in range(len(location), -1, -1):
        if location[:end] in lines:
            return lines[location[:end]]
    return 0


def _words(item: ErrorDetails, location: Location, model: type[BaseModel]) -> tuple[str, str]:
    """Say in words what pydantic means by one of its error types: (what, mend)."""
    kind = item["type"]
    name = str(location[-1]) if location else "the file"
    if kind == "extra_forbidden":
        return f"unknown key '{name}'", did_you_mean(name, _keys_of(_model_at(model, location[:-1])))
    if kind == "missing":
        return "is missing", f"add '{name}'"
    if kind == "too_short":
        return "is empty", "name at least one"
    return _about_value(item)


def _about_value(item: ErrorDetails) -> tuple[str, str]:
    """Do the same for the error types that are about a value that is there."""
    kind, context, got = item["type"], item.get("ctx", {}), _show(item.get("input"))
    if kind == "literal_error":
        return f"{got} is not possible", f"one of {str(context.get('expected', '')).replace(' or ', ', ')}"
    if kind in _WRONG_KIND:
        what, mend = _WRONG_KIND[kind]
        return f"{got} {what}", mend
    if kind.startswith(("greater_than", "less_than", "string_too", "too_long", "finite_number")):
        return f"{got} is out of bounds", item["msg"].replace("Input should", "it must").replace(
            "String should", "it must"
        )
    return item["msg"].removeprefix("Value error, "), str(context.get("mend", ""))


def _show(value: object) -> str:
    """Show a value of the file shortly; long or nested ones by their kind only."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a yes/no value"
    if isinstance(value, dict):
        return "a block of keys"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def _is_below(location: Location, above: Location) -> bool:
    return len(location) > len(above) and location[: len(above)] == above


def _keys_of(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """Find the model that describes a location, or None where the file is free in its keys."""
    here: Any = model
    for part in location:
        here = _step(here, part)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _step(annotation: object, part: str | int) -> object:
    """Go one key or index down in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part in {field.alias, name}:
                return _plain(field.annotation)
        return None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return None
    # dict[str, X] by a key and tuple[X, ...] by an index both lead to the X.
    inner = arguments[1] if origin in {dict, Mapping} else arguments[0]
    return _plain(inner)


def _plain(annotation: object) -> object:
    """Take `Annotated` and `None` off an annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        rest = [a for a in get_args(annotation) if a is not type(None)]
        return _plain(rest[0]) if len(rest) == 1 else None
    return annotation
