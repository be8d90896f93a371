"""A study's datatype: what a result holds, in YAML, from which XNAT's schema documents are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from overread.errors import SpecError
from overread.plugins.names import INHERITED, RESERVED_DISPLAY_IDS, RESERVED_FILES, RESERVED_PREFIXES, SQL_WORDS
from overread.study.fields import FieldName, Form, RelativePath, Spec, Whole, YesNo
from overread.study.problems import Location, Problem, dotted, line_of, problems_of
from overread.study.yamltext import parse_yaml

NAMESPACE = "http://overread/xnat/"
_DEFAULT_LENGTH = 255  # what XNAT makes of a plain xs:string
# XNAT puts these words into SQL and properties files without escaping them.
_PlainText = Annotated[
    str, Form(r"[A-Za-z0-9][A-Za-z0-9 .,:;()/+-]*", "use plain letters, digits and blanks"), Field(max_length=120)
]
ModelT = TypeVar("ModelT", bound="Fields")


class FieldSpec(Spec):
    """One field of a result."""

    name: FieldName
    type: Literal["string", "float", "integer", "boolean", "date"]
    title: _PlainText = Field(description="Head of the column.")
    unit: Annotated[str, Form(r"[!-~]{1,32}", "write a UCUM unit such as mL, or '1' for a number")] | None = None
    max_length: Annotated[Whole, Field(ge=1, le=100_000)] | None = Field(
        None, description="Of a string; 255 if not given."
    )
    values: tuple[str, ...] = Field((), description="A string is one of these.")
    list: YesNo = Field(default=False, description="Shown in XNAT's lists of results.")

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type != "string" and (self.max_length is not None or self.values):
            raise PydanticCustomError(
                "type",
                "a {kind} has neither max_length nor values",
                {"kind": self.type, "mend": "make it a string, or drop them"},
            )
        if self.unit and self.type not in {"float", "integer"}:
            raise PydanticCustomError("type", "a {kind} has no unit", {"kind": self.type, "mend": "drop the unit"})
        return self

    @property
    def is_number(self) -> bool:
        """A float or an integer."""
        return self.type in {"float", "integer"}

    @property
    def length(self) -> int:
        """Most characters that a string may have."""
        return self.max_length or _DEFAULT_LENGTH

    @property
    def header(self) -> str:
        """Title with unit."""
        return f"{self.title} [{self.unit}]" if self.unit and self.unit != "1" else self.title


class Fields(Spec):
    """A file of fields that several datatypes have in common."""

    fields: tuple[FieldSpec, ...] = Field(min_length=1)


class DataTypeSpec(Fields):
    """A datatype as its file says it, before the included fields are put in."""

    prefix: Annotated[str, Form(r"[a-z][a-z0-9]{1,20}", "write one short lower-case word")]
    type: Annotated[str, Form(r"[a-z][A-Za-z0-9]{1,30}", "write one word such as resultData")]
    element: Annotated[str, Form(r"[A-Z][A-Za-z0-9]{1,30}", "write one word such as Result")]
    extends: Literal["xnat:imageAssessorData"]
    singular: _PlainText
    plural: _PlainText
    code: Annotated[str, Form(r"[A-Z][A-Z0-9]{0,7}", "write up to eight capitals")]
    description: _PlainText
    include: tuple[RelativePath, ...] = ()


@dataclass(frozen=True)
class DataType:
    """A datatype with all its fields.

    Parameters
    ----------
    spec
        Names and words.
    fields
        All fields in the order of their elements, included ones first.
    source
        File that it was read from.
    """

    spec: DataTypeSpec
    fields: tuple[FieldSpec, ...]
    source: str

    @property
    def xsi_type(self) -> str:
        """XNAT's name, such as ``braintumor:resultData``."""
        return f"{self.spec.prefix}:{self.spec.type}"

    @property
    def sql_name(self) -> str:
        """Name of table and display document, such as ``braintumor_resultData``."""
        return f"{self.spec.prefix}_{self.spec.type}"

    @property
    def namespace(self) -> str:
        """Its last segment is the prefix: XNAT's Event Service builds the type's name from it."""
        return NAMESPACE + self.spec.prefix

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numeric fields."""
        return tuple(item.name for item in self.fields if item.is_number)


def read_datatype(path: Path) -> DataType | tuple[Problem, ...]:
    """Read a datatype with all that it includes, or say everything that is wrong with it.

    Raises
    ------
    SpecError
        A file is missing or no YAML.
    """
    main = _parse(path, DataTypeSpec)
    if isinstance(main, tuple):
        return main
    parts: list[_Part[Any]] = []
    for index, name in enumerate(main.spec.include):
        if not (path.parent / name).is_file():
            return (main.problem(("include", index), f"there is no file {name}", "check the path"),)
        included = _parse(path.parent / name, Fields)
        if isinstance(included, tuple):
            return included
        parts.append(included)
    parts.append(main)
    problems = tuple(sorted(set(_lint(main, parts))))
    fields = tuple(item for part in parts for item in part.spec.fields)
    return problems or DataType(main.spec, fields, str(path))


def load_datatype(path: Path) -> DataType:
    """Read a datatype with all that it includes.

    Raises
    ------
    SpecError
        With the first thing that is wrong.
    """
    result = read_datatype(path)
    if isinstance(result, DataType):
        return result
    first, *others = result
    raise first.error(others=len(others))


@dataclass(frozen=True)
class _Part(Generic[ModelT]):
    """One file of a datatype, and its lines."""

    spec: ModelT
    source: str
    lines: Mapping[Location, int]

    def problem(self, location: Location, message: str, mend: str) -> Problem:
        line = line_of(location, self.lines)
        return Problem(self.source, line, dotted(location), message, mend)


def _parse(path: Path, model: type[ModelT]) -> _Part[ModelT] | tuple[Problem, ...]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise SpecError("is not UTF-8 text; save it as UTF-8", source=str(path)) from None
    except OSError as error:
        raise SpecError(f"can't be read ({error.strerror}); check the path", source=str(path)) from None
    document = parse_yaml(text, source=str(path))
    try:
        return _Part(model.model_validate(document.value), str(path), document.lines)
    except ValidationError as error:
        return problems_of(error, model=model, source=str(path), lines=document.lines)


def _lint(main: _Part[DataTypeSpec], parts: Sequence[_Part[Any]]) -> Iterator[Problem]:
    """Hold a datatype to rules of XNAT that a single field can't know."""
    prefix = main.spec.prefix
    if prefix in RESERVED_PREFIXES or f"{prefix}.xsd" in RESERVED_FILES:
        yield main.problem(("prefix",), f"'{prefix}' belongs to XNAT or one of its plugins", "choose another word")
    seen: set[str] = set()
    for part in parts:
        for index, item in enumerate(part.spec.fields):
            for message, mend in _field_faults(item, main.spec, seen):
                yield part.problem(("fields", index), message, mend)
            seen.add(item.name)


def _field_faults(item: FieldSpec, spec: DataTypeSpec, seen: set[str]) -> Iterator[tuple[str, str]]:
    if item.name in seen:
        yield f"'{item.name}' stands twice, here or in an included file", "drop or rename one"
    if item.name in INHERITED:
        yield f"{spec.extends} has '{item.name}' already", "use that, or rename"
    elif item.name in SQL_WORDS:
        yield f"'{item.name}' is a word of SQL, and XNAT names the column so", "rename it"
    elif item.name.upper() in RESERVED_DISPLAY_IDS:
        yield f"'{item.name}' is a column that XNAT's lists have already", "rename it"
    too_long = [value for value in item.values if len(value) > item.length]
    if too_long:
        yield f"the value {too_long[0]!r} is longer than {item.length}", "shorten it, or raise max_length"
