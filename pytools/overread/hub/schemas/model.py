"""What a datatype is: its fields, in the order of its XSD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "integer", "long", "float", "boolean", "date", "time", "dateTime"]


@dataclass(frozen=True)
class FieldType:
    """One simple value.

    Parameters
    ----------
    path
        Where it stands below the type, such as ``investigator/lastname``. The text of an element that has attributes
        too stands at the element's own path.
    kind
        What its values are.
    max_length
        Longest text. XNAT stores ``xs:string`` as VARCHAR(255) unless the XSD says otherwise.
    choices
        The only values allowed, if there are any.
    minimum, maximum
        Bounds of a number.
    """

    path: str
    kind: Kind = "string"
    max_length: int = 255
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Node:
    """An element or attribute of an XSD, in its order.

    ``prefix`` stands for the namespace of the schema that declares it. Exactly one of `simple` (a value), `type_name`
    (a named complex type) and `nodes` (content of its own) says what it holds; `simple` together with `nodes` is a text
    with attributes.
    """

    name: str
    prefix: str
    attribute: bool = False
    repeated: bool = False
    simple: FieldType | None = None
    type_name: str = ""
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True)
class ChildType:
    """A repeated element, such as ``references/seriesUID``.

    ``xsi_type`` is the declared type, or for content without a name one made up as XNAT makes it up
    (``xnat:experimentData_field``). ``text`` is the field under which an element's own text is kept, "" if it has none.
    """

    path: str
    xsi_type: str
    text: str = ""


@dataclass(frozen=True)
class DataType:
    """A complex type, with what it inherits.

    Parameters
    ----------
    name
        Such as ``xnat:mrSessionData``.
    namespace
        URI behind the name's prefix.
    bases
        Names of what it extends, the nearest first.
    proper_name
        Its root element (``xnat:MRSession``), or "".
    abstract
        Whether items of exactly this type can't exist.
    nodes
        Attributes and elements, inherited ones first.
    fields
        All single values by path.
    children
        All repeated elements by path.
    typed
        Single elements whose declared type is abstract, by path, with the type that stands for it
        (``demographics``: ``xnat:demographicData``).
    made_up
        Whether it stands for the content of a repeated element without a type of its own.
    """

    name: str
    namespace: str
    bases: tuple[str, ...]
    proper_name: str
    abstract: bool
    nodes: tuple[Node, ...]
    fields: Mapping[str, FieldType]
    children: Mapping[str, ChildType]
    typed: Mapping[str, str]
    made_up: bool = False

    @property
    def prefix(self) -> str:
        """The part of the name before the colon."""
        return self.name.partition(":")[0]
