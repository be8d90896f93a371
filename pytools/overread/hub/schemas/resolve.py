"""From the raw types of all XSDs to datatypes with everything they inherit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from overread.errors import SpecError
from overread.hub.schemas.model import ChildType, DataType, FieldType, Node
from overread.hub.schemas.parse import RawType, Schema

_TEXT_FIELDS = {"addParam": "addField"}
"""Repeated elements whose text XNAT keeps under another name than the element's own."""


def resolve(schemas: Iterable[Schema]) -> dict[str, DataType]:
    """Return all datatypes by name, those made up for repeated elements without a type of their own included.

    Raises
    ------
    SpecError
        A base or a type is missing, or a type contains itself.
    """
    return _Resolver(list(schemas)).all()


class _Resolver:
    def __init__(self, schemas: list[Schema]) -> None:
        self._raw: dict[str, RawType] = {}
        self._roots: dict[str, str] = {}
        self._namespaces: dict[str, str] = {}
        for schema in schemas:
            self._raw.update(schema.types)
            self._roots.update(schema.roots)
            self._namespaces[schema.prefix] = schema.namespace
        self._done: dict[str, DataType] = {}
        self._open: list[str] = []

    def all(self) -> dict[str, DataType]:
        """Resolve everything."""
        for name in self._raw:
            self._type(name, self._raw[name].source)
        return self._done

    def _type(self, name: str, source: str) -> DataType:
        if name in self._done:
            return self._done[name]
        raw = self._raw.get(name)
        if raw is None:
            raise SpecError(f"type {name} is defined nowhere", source=source)
        if name in self._open:
            raise SpecError(f"type {name} contains or extends itself", source=source)
        self._open.append(name)
        base = self._type(raw.base, raw.source) if raw.base else None
        collected = _Collected()
        self._collect(raw.nodes, "", name, collected, raw.source)
        self._open.pop()
        result = DataType(
            name=name,
            namespace=self._namespaces[name.partition(":")[0]],
            bases=(base.name, *base.bases) if base else (),
            proper_name=self._roots.get(name, ""),
            abstract=raw.abstract,
            nodes=((*base.nodes, *raw.nodes) if base else raw.nodes),
            fields={**(base.fields if base else {}), **collected.fields},
            children={**(base.children if base else {}), **collected.children},
            typed={**(base.typed if base else {}), **collected.typed},
        )
        self._done[name] = result
        return result

    def _collect(self, nodes: Iterable[Node], prefix: str, owner: str, into: _Collected, source: str) -> None:
        for node in nodes:
            path = prefix + node.name
            if node.repeated:
                into.children[path] = self._child(node, path, owner, source)
            elif node.type_name:
                self._collect_named(node.type_name, path, into, source)
            else:
                if node.simple is not None:
                    into.fields[path] = replace(node.simple, path=path)
                self._collect(node.nodes, path + "/", owner, into, source)

    def _collect_named(self, type_name: str, path: str, into: _Collected, source: str) -> None:
        inner = self._type(type_name, source)
        if inner.abstract:
            inner = self._concrete(inner, source)
            into.typed[path] = inner.name
        for below, kind in inner.fields.items():
            into.fields[f"{path}/{below}"] = replace(kind, path=f"{path}/{below}")
        for below, child in inner.children.items():
            into.children[f"{path}/{below}"] = replace(child, path=f"{path}/{below}")

    def _concrete(self, abstract: DataType, source: str) -> DataType:
        for name, raw in self._raw.items():
            if raw.base == abstract.name and not raw.abstract:
                return self._type(name, source)
        raise SpecError(f"type {abstract.name} is abstract and nothing extends it", source=source)

    def _child(self, node: Node, path: str, owner: str, source: str) -> ChildType:
        text = _TEXT_FIELDS.get(node.name, node.name) if node.simple is not None else ""
        if node.type_name:
            if node.type_name not in self._raw:
                raise SpecError(f"type {node.type_name} is defined nowhere", source=source, path=f"{owner}/{path}")
            return ChildType(path, node.type_name)
        name = f"{owner}_{node.name}"
        collected = _Collected()
        self._collect(node.nodes, "", name, collected, source)
        if node.simple is not None:
            collected.fields[text] = replace(node.simple, path=text)
        self._done[name] = DataType(
            name=name,
            namespace=self._namespaces[name.partition(":")[0]],
            bases=(),
            proper_name="",
            abstract=False,
            nodes=node.nodes,
            fields=collected.fields,
            children=collected.children,
            typed=collected.typed,
            made_up=True,
        )
        return ChildType(path, name, text)


class _Collected:
    """What is found below one type."""

    def __init__(self) -> None:
        self.fields: dict[str, FieldType] = {}
        self.children: dict[str, ChildType] = {}
        self.typed: dict[str, str] = {}


def by_prefix(types: Mapping[str, DataType]) -> dict[str, str]:
    """Return namespace URI to prefix."""
    return {kind.namespace: kind.prefix for kind in types.values()}
