"""From an XSD, as XNAT's and its plugins' are written, to types whose bases are not resolved yet.

Read are top-level complex and simple types, sequences, attributes, extensions, restrictions and root elements: what
XNAT itself makes tables of. XML from a plugin jar is hostile input like any other, so defusedxml reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from overread.errors import SpecError
from overread.hub.schemas.model import FieldType, Kind, Node

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_XS = "{http://www.w3.org/2001/XMLSchema}"
_XDAT = "{http://nrg.wustl.edu/xdat}"
_LONG_TEXT = 2**31 - 1
_KINDS: Mapping[str, tuple[Kind, int]] = {
    "integer": ("integer", 0), "int": ("integer", 0), "short": ("integer", 0), "long": ("long", 0),
    "nonNegativeInteger": ("integer", 0), "positiveInteger": ("integer", 0),
    "float": ("float", 0), "double": ("float", 0), "decimal": ("float", 0), "boolean": ("boolean", 0),
    "date": ("date", 0), "time": ("time", 0), "dateTime": ("dateTime", 0), "string": ("string", 255),
    "anyURI": ("string", _LONG_TEXT), "token": ("string", 255), "normalizedString": ("string", 255),
    "ID": ("string", 255), "NMTOKEN": ("string", 255), "base64Binary": ("string", _LONG_TEXT),
}  # fmt: skip
_DEEPEST = 12


@dataclass(frozen=True)
class RawType:
    """A complex type as its XSD has it; `base` is the name of what it extends, or ""."""

    name: str
    base: str
    abstract: bool
    nodes: tuple[Node, ...]
    source: str


@dataclass(frozen=True)
class Schema:
    """What one XSD defines."""

    source: str
    prefix: str
    namespace: str
    prefixes: Mapping[str, str]
    types: Mapping[str, RawType]
    roots: Mapping[str, str]  # type name to root element name
    imports: tuple[str, ...] = field(default=())


def parse_xsd(text: bytes, *, source: str) -> Schema:
    """Read one XSD.

    Parameters
    ----------
    text
        The document.
    source
        Where it comes from, for messages.

    Raises
    ------
    SpecError
        It is no XSD of the kind that XNAT loads.
    """
    try:
        root = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError) as problem:
        raise SpecError(f"not readable as XML: {problem}", source=source) from problem
    prefixes = _prefixes(text, source)
    namespace = root.get("targetNamespace", "")
    prefix = next((name for name, uri in prefixes.items() if uri == namespace), "")
    if root.tag != f"{_XS}schema" or not prefix:
        raise SpecError(
            'no XSD that XNAT takes: the root must be <xs:schema targetNamespace="URI" xmlns:PREFIX="URI" ...>',
            source=source,
        )
    reader = _Reader(source, prefix, {e.get("name", ""): e for e in root.findall(f"{_XS}simpleType")})
    types = {}
    for element in root.findall(f"{_XS}complexType"):
        raw = reader.complex_type(element)
        types[raw.name] = raw
    roots = {element.get("type", ""): f"{prefix}:{element.get('name')}" for element in root.findall(f"{_XS}element")}
    imports = tuple(e.get("schemaLocation", "") for e in root.findall(f"{_XS}import"))
    return Schema(source, prefix, namespace, prefixes, types, roots, imports)


def _prefixes(text: bytes, source: str) -> dict[str, str]:
    # ElementTree forgets prefixes. XNAT's own loader and xnatpy look at the literal <xs:schema ...> too.
    found = re.search(rb"<xs:schema([^>]*)>", text)
    if found is None:
        raise SpecError("the schema element must be written with the prefix xs: (<xs:schema ...>)", source=source)
    pairs = re.findall(r'xmlns:([\w-]+)="([^"]*)"', found[1].decode("utf-8", "replace"))
    return dict(pairs)


class _Reader:
    """Reads the types of one XSD."""

    def __init__(self, source: str, prefix: str, simple_types: Mapping[str, Element]) -> None:
        self._source, self._prefix, self._simple = source, prefix, simple_types

    def complex_type(self, element: Element) -> RawType:
        """Read one named complex type."""
        name = f"{self._prefix}:{element.get('name')}"
        extension = element.find(f"{_XS}complexContent/{_XS}extension")
        body = element if extension is None else extension
        base = "" if extension is None else extension.get("base", "")
        marks = element.findall(f"{_XS}annotation/{_XS}appinfo/{_XDAT}element")
        abstract = any(mark.get("abstract") == "true" for mark in marks)
        return RawType(name, base, abstract, tuple(self._content(body, name, 0)), self._source)

    def _content(self, body: Element, where: str, depth: int) -> Iterator[Node]:
        """Read attributes first, then elements, as XNAT writes them."""
        if depth > _DEEPEST:
            raise SpecError(f"elements are nested deeper than {_DEEPEST}", source=self._source, path=where)
        for attribute in body.findall(f"{_XS}attribute"):
            name = attribute.get("name", "")
            yield Node(name, self._prefix, attribute=True, simple=self._simple_of(attribute, f"{where}/{name}"))
        for group in body:
            if group.tag in {f"{_XS}sequence", f"{_XS}all", f"{_XS}choice"}:
                yield from self._group(group, where, depth)

    def _group(self, group: Element, where: str, depth: int) -> Iterator[Node]:
        for element in group:
            if element.tag in {f"{_XS}sequence", f"{_XS}all", f"{_XS}choice"}:
                yield from self._group(element, where, depth + 1)
            elif element.tag == f"{_XS}element":
                yield self._element(element, where, depth)

    def _element(self, element: Element, where: str, depth: int) -> Node:
        name = element.get("name", "")
        if not name:
            raise SpecError("an element without a name", source=self._source, path=where)
        where = f"{where}/{name}"
        repeated = element.get("maxOccurs", "1") != "1"
        anonymous = element.find(f"{_XS}complexType")
        if anonymous is not None:
            texts = anonymous.find(f"{_XS}simpleContent/{_XS}extension")
            if texts is None:
                nodes = tuple(self._content(anonymous, where, depth + 1))
                return Node(name, self._prefix, repeated=repeated, nodes=nodes)
            text = self._named(texts.get("base", "xs:string"), where)
            return Node(
                name, self._prefix, repeated=repeated, simple=text, nodes=tuple(self._content(texts, where, depth + 1))
            )
        declared = element.get("type", "")
        if declared.startswith("xs:") or not declared or declared.partition(":")[2] in self._simple:
            return Node(name, self._prefix, repeated=repeated, simple=self._simple_of(element, where))
        return Node(name, self._prefix, repeated=repeated, type_name=declared)

    def _simple_of(self, element: Element, where: str) -> FieldType:
        inner = element.find(f"{_XS}simpleType")
        if inner is not None:
            return self._restricted(inner, where)
        return self._named(element.get("type", "xs:string"), where)

    def _named(self, declared: str, where: str) -> FieldType:
        prefix, _, name = declared.partition(":")
        if prefix == "xs":
            if name not in _KINDS:
                raise SpecError(f"type {declared} is not one that XNAT stores", source=self._source, path=where)
            kind, length = _KINDS[name]
            return FieldType("", kind, length or 64)
        if name in self._simple:
            return self._restricted(self._simple[name], where)
        if declared == "xdat:jsonb":
            return FieldType("", "string", _LONG_TEXT)
        raise SpecError(f"unknown simple type {declared}", source=self._source, path=where)

    def _restricted(self, simple_type: Element, where: str) -> FieldType:
        restriction = simple_type.find(f"{_XS}restriction")
        if restriction is None:
            raise SpecError("a simple type must be a restriction", source=self._source, path=where)
        found = self._named(restriction.get("base", "xs:string"), where)
        choices = tuple(e.get("value", "") for e in restriction.findall(f"{_XS}enumeration"))
        length = restriction.find(f"{_XS}maxLength")
        lowest, highest = restriction.find(f"{_XS}minInclusive"), restriction.find(f"{_XS}maxInclusive")
        try:
            return replace(
                found,
                choices=choices,
                max_length=found.max_length if length is None else int(length.get("value", "")),
                minimum=found.minimum if lowest is None else float(lowest.get("value", "")),
                maximum=found.maximum if highest is None else float(highest.get("value", "")),
            )
        except ValueError as problem:
            raise SpecError(f"a bound is no number: {problem}", source=self._source, path=where) from problem
