"""Holds a datatype to what was released of it: XNAT's database only ever takes additions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from overread.errors import SpecError
from overread.plugins.datatype import DataType, FieldSpec

RELEASED = "released"  # folder beside a datatype's file, with the XSD of the last released version
_XS = "{http://www.w3.org/2001/XMLSchema}"
_DEFAULT_LENGTH = 255


@dataclass(frozen=True)
class Column:
    """What XNAT made of a field when it was released: type, most characters, allowed values."""

    type: str
    length: int = 0
    values: tuple[str, ...] = ()


def check_additive(datatype: DataType) -> None:
    """Refuse what XNAT could not follow.

    Notes
    -----
    XNAT adds tables and columns at its start. It neither renames, removes nor retypes one: what was stored would be
    out of reach, or no longer fit.

    Raises
    ------
    SpecError
        A field of the released schema is gone, or has another type, length, or fewer values.
    """
    path = Path(datatype.source).parent / RELEASED / f"{datatype.spec.prefix}.xsd"
    if not path.is_file():
        return
    faults = list(_faults(_read(path), _columns(datatype)))
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise SpecError(
            f"{faults[0]}{more}; XNAT only adds columns: put it back and add a field, or make a new datatype",
            source=datatype.source,
        )


def _faults(released: dict[str, Column], now: dict[str, Column]) -> Iterator[str]:
    for name, old in released.items():
        new = now.get(name)
        if new is None:
            yield f"'{name}' was released and is gone"
        elif new.type != old.type:
            yield f"'{name}' was released as {old.type} and is {new.type} now"
        elif new.length != old.length:
            yield f"'{name}' was released with {old.length} characters and has {new.length} now"
        elif lost := [value for value in old.values if value not in new.values] if new.values else []:
            yield f"'{name}' was released with the value {lost[0]!r}, which is gone"
        elif new.values and not old.values:
            yield f"'{name}' was released for any text and takes some values only now"


def _columns(datatype: DataType) -> dict[str, Column]:
    return {item.name: Column(item.type, _length(item), tuple(item.values)) for item in datatype.fields}


def _length(item: FieldSpec) -> int:
    if item.type != "string":
        return 0
    return _DEFAULT_LENGTH if item.values else item.length  # the schema of a field with values gives no length


def _read(path: Path) -> dict[str, Column]:
    try:
        root = defusedxml.ElementTree.fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException):
        raise SpecError("is no XML that can be read; restore it from the released jar", source=str(path)) from None
    return {
        str(item.get("name")): _column(item) for item in root.findall(f"{_XS}complexType//{_XS}sequence/{_XS}element")
    }


def _column(element: Element) -> Column:
    if (named := element.get("type")) is not None:
        return Column(named.removeprefix("xs:"), _DEFAULT_LENGTH if named == "xs:string" else 0)
    values = tuple(str(item.get("value")) for item in element.iter(f"{_XS}enumeration"))
    length = element.find(f".//{_XS}maxLength")
    return Column("string", int(str(length.get("value"))) if length is not None else _DEFAULT_LENGTH, values)
