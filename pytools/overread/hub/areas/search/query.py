"""A search document (``xdat:bundle``), read into what the database is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from sqlalchemy import ColumnElement, and_, or_

from overread.hub.areas.search.displays import display_path, result_key
from overread.hub.errors import unprocessable
from overread.hub.rest.columns import Column, Source
from overread.hub.schemas.values import parse_date
from overread.hub.sql import matches

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XDAT = "{http://nrg.wustl.edu/security}"
_NUMBERS = {"integer", "long", "float", "boolean"}
_DEEPEST = 20


@dataclass(frozen=True)
class SearchDocument:
    """What is asked for: the type of the rows, the fields to show, and the conditions as they were sent."""

    root: str
    fields: list[tuple[str, str]]  # element name and field id
    where: list[Element]


def read_search(text: bytes) -> SearchDocument:
    """Read a search document; 422 if it is none."""
    try:
        bundle = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as problem:
        raise unprocessable(f"The search is not readable as XML: {problem}") from problem
    root = bundle.findtext(f"{XDAT}root_element_name", "").strip()
    if bundle.tag not in {f"{XDAT}bundle", f"{XDAT}search", f"{XDAT}stored_search"} or not root:
        raise unprocessable("The search must be an xdat:bundle or xdat:search with a root_element_name.")
    fields = [
        (field.findtext(f"{XDAT}element_name", root).strip(), field.findtext(f"{XDAT}field_ID", "").strip())
        for field in bundle.findall(f"{XDAT}search_field")
    ]
    return SearchDocument(root, fields, bundle.findall(f"{XDAT}search_where"))


def find_column(source: Source, element: str, field: str) -> Column:
    """Return the column of a field: its id among the displays of `element`, or an XML path. 422 if there is none."""
    path = display_path(source.schemas, element, field)
    names = (f"{element}/{path}",) if path is not None else _as_in_lists(field)
    column = next((found for name in names if (found := source.column(name)) is not None), None)
    if column is None:
        raise unprocessable(f"{source.root} can't be searched by {field!r} of {element}.")
    return Column(
        result_key(source.schemas, source.root, column, field),
        column.expression,
        column.kind,
        column.needs,
        column.compare,
    )


def _as_in_lists(field: str) -> tuple[str, ...]:
    """Return names by which lists may know a field: ``INSERT_DATE`` is insert_date, ``GENDER_TEXT`` gender."""
    return field, field.lower(), field.lower().removesuffix("_text")


def conditions(source: Source, document: SearchDocument) -> tuple[list[ColumnElement[bool]], frozenset[str]]:
    """Return what rows must meet, and the tables it needs."""
    reader = _Conditions(source)
    return [found for where in document.where if (found := reader.group(where, 0)) is not None], reader.needs


class _Conditions:
    def __init__(self, source: Source) -> None:
        self._source = source
        self.needs: frozenset[str] = frozenset()

    def group(self, element: Element, depth: int) -> ColumnElement[bool] | None:
        """Read a set of criteria and of further sets."""
        if depth > _DEEPEST:
            raise unprocessable(f"Conditions are nested deeper than {_DEEPEST}.")
        parts = [self._criteria(one) for one in element.findall(f"{XDAT}criteria")]
        for inner in element.findall(f"{XDAT}child_set"):
            found = self.group(inner, depth + 1)
            if found is not None:
                parts.append(found)
        if not parts:
            return None
        return or_(*parts) if element.get("method", "AND").upper() == "OR" else and_(*parts)

    def _criteria(self, criteria: Element) -> ColumnElement[bool]:
        field = criteria.findtext(f"{XDAT}schema_field", "").strip()
        element, separator, path = re.sub(r"^([^/.]+)\.", r"\1/", field).partition("/")
        column = find_column(self._source, element if separator else self._source.root, path or field)
        self.needs |= column.needs
        comparison = criteria.findtext(f"{XDAT}comparison_type", "=").strip().upper()
        return _compare(column, comparison, criteria.findtext(f"{XDAT}value", "").strip(), field)


def _compare(column: Column, comparison: str, text: str, field: str) -> ColumnElement[bool]:
    expression = column.comparable
    if comparison in {"IS NULL", "IS"}:
        return or_(expression.is_(None), expression == "")
    if comparison == "IS NOT NULL":
        return and_(expression.is_not(None), expression != "")
    if comparison == "LIKE":
        return matches(expression, text.replace("\\", "\\\\"))
    if comparison == "IN":
        return expression.in_([_value(column, one.strip(), field) for one in text.split(",")])
    if comparison == "BETWEEN":
        low, separator, high = re.sub(r"\s+and\s+", "\n", text, count=1, flags=re.IGNORECASE).partition("\n")
        if not separator:
            raise unprocessable(f"{field}: BETWEEN wants a value such as '1 AND 5'.")
        return expression.between(_value(column, low, field), _value(column, high, field))
    value = _value(column, text, field)
    operators: dict[str, ColumnElement[bool]] = {
        "=": expression == value,
        "!=": expression != value,
        "<": expression < value,
        "<=": expression <= value,
        ">": expression > value,
        ">=": expression >= value,
    }
    if comparison not in operators:
        raise unprocessable(f"{field}: there is no comparison {comparison!r}.")
    return operators[comparison]


def _value(column: Column, text: str, field: str) -> str | float:
    try:
        if column.kind in _NUMBERS:
            return float({"true": "1", "false": "0"}.get(text.lower(), text))
        return parse_date(text).isoformat() if column.kind == "date" else text
    except ValueError as problem:
        raise unprocessable(f"{field}: {problem}") from problem
