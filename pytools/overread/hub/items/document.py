"""An item's XML document, read: hostile input, checked against the datatypes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from overread.hub.errors import bad_request, unprocessable
from overread.hub.items.fields import is_related
from overread.hub.schemas import ChildType, DataType, SchemaRegistry
from overread.hub.schemas.model import Node

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_SCAN_BASE, _EXPERIMENT_BASE = "xnat:imageScanData", "xnat:experimentData"


@dataclass
class Document:
    """What one document says.

    Parameters
    ----------
    xsi_type
        Datatype of the item.
    fields
        Text by path, identity (``ID``, ``label``, ``project``) included.
    children
        Repeated elements by path.
    scans, assessors
        Items of their own within a session's document.
    """

    xsi_type: str
    fields: dict[str, str] = field(default_factory=dict)
    children: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    scans: list[Document] = field(default_factory=list)
    assessors: list[Document] = field(default_factory=list)


def read_document(schemas: SchemaRegistry, xml: bytes) -> Document:
    """Read an item's document.

    Files and shares named in it are passed over: they are made by routes of their own, with rights of their own.

    Parameters
    ----------
    schemas
        The datatypes.
    xml
        The document. Its root is a type's root element (``xnat:MRSession``), or says ``xsi:type``.

    Raises
    ------
    HubError
        422 if it can't be read, 400 if it holds what its datatype does not have.
    """
    try:
        root = fromstring(xml)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as problem:
        raise unprocessable(f"The document is not readable as XML: {problem}") from problem
    namespace, local = _split(root.tag)
    kind = schemas.by_proper_name(f"{schemas.prefix(namespace)}:{local}")
    return _Reader(schemas).item(root, kind, local)


@dataclass(frozen=True)
class _Reading:
    """What is being filled: values of an item of type `kind`."""

    kind: DataType
    fields: dict[str, str]
    document: Document


class _Reader:
    def __init__(self, schemas: SchemaRegistry) -> None:
        self._schemas = schemas

    def item(self, element: Element, declared: DataType | None, where: str) -> Document:
        """Read `element` as an item, of its own ``xsi:type`` if it names one that is allowed."""
        kind = self._type_of(element, declared, where)
        document = Document(kind.name)
        self._read(element, kind.nodes, "", _Reading(kind, document.fields, document))
        return document

    def _type_of(self, element: Element, declared: DataType | None, where: str) -> DataType:
        named = element.get(f"{_XSI}type")
        if named is None:
            if declared is None:
                raise bad_request(f"{where}: no data type has this element as its root. Is its plugin installed?")
            return declared
        kind = self._schemas.type(named)
        if kind is None or (declared is not None and not self._schemas.is_a(named, declared.name)):
            raise bad_request(f"{where}: xsi:type {named!r} can't stand there.")
        return kind

    def _read(self, element: Element, nodes: tuple[Node, ...], prefix: str, into: _Reading) -> None:
        known = {(node.attribute, node.name): node for node in nodes}
        for name, value in element.attrib.items():
            if name.startswith("{"):  # xsi:type, xsi:schemaLocation
                continue
            if (True, name) not in known:
                raise self._unknown(into.kind, prefix + name, nodes)
            into.fields[prefix + name] = value
        for below in element:
            if not isinstance(below.tag, str):
                continue
            local = _split(below.tag)[1]
            node = known.get((False, local))
            if node is None:
                raise self._unknown(into.kind, prefix + local, nodes)
            self._element(below, node, prefix + local, into)

    def _element(self, element: Element, node: Node, path: str, into: _Reading) -> None:
        if node.repeated:
            self._repeated(element, into.kind.children[path], path, into.document)
        elif node.type_name:
            declared = self._schemas.known(into.kind.typed.get(path, node.type_name))
            self._read(element, declared.nodes, f"{path}/", into)
        else:
            if node.simple is not None:
                into.fields[path] = element.text or ""
            self._read(element, node.nodes, f"{path}/", into)

    def _repeated(self, element: Element, child: ChildType, path: str, document: Document) -> None:
        declared = self._schemas.known(child.xsi_type)
        if self._schemas.is_a(declared.name, _SCAN_BASE):
            document.scans.append(self.item(element, declared, path))
        elif self._schemas.is_a(declared.name, _EXPERIMENT_BASE):
            document.assessors.append(self.item(element, declared, path))
        elif not is_related(self._schemas, child):
            document.children.setdefault(path, []).append(self._child(element, child, declared, path))

    def _child(self, element: Element, child: ChildType, declared: DataType, where: str) -> dict[str, Any]:
        inner = Document(declared.name)
        kind = self._type_of(element, declared, where)
        self._read(element, kind.nodes, "", _Reading(kind, inner.fields, inner))
        if child.text:
            inner.fields[child.text] = element.text or ""
        return {**inner.fields, **inner.children}

    def _unknown(self, kind: DataType, path: str, nodes: tuple[Node, ...]) -> Exception:
        near = difflib.get_close_matches(path.rpartition("/")[2], [node.name for node in nodes], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return bad_request(f"{kind.name} has no field {path!r}.{hint}")


def _split(tag: str) -> tuple[str, str]:
    if tag.startswith("{"):
        namespace, _, local = tag[1:].partition("}")
        return namespace, local
    return "", tag
