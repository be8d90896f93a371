"""The site's file of DICOM nodes: what a study's manifest can't know."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from overread.study.fields import AeTitle, Form, Spec, Whole
from overread.study.problems import problems_of
from overread.study.yamltext import parse_yaml

Host = Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}", "write a host name or an address")]
Port = Annotated[Whole, Field(ge=1, le=65535)]


class Node(Spec):
    """Where a DICOM node listens."""

    host: Host
    port: Port


class Nodes(Spec):
    """The nodes by their AE titles, and who we are to them."""

    ae_title: AeTitle = Field("OVERREAD", description="Ours: nodes must know it.")
    port: Port | None = Field(
        None, description="Where nodes report storage commitment on an association of their own; without it, none can."
    )
    nodes: dict[AeTitle, Node] = Field(min_length=1, description="By AE title.")


def read_nodes(text: str, *, source: str) -> Nodes:
    """Read the file.

    Raises
    ------
    SpecError
        It does not say what it must.
    """
    document = parse_yaml(text, source=source)
    try:
        return Nodes.model_validate(document.value)
    except ValidationError as error:
        first, *_ = problems_of(error, model=Nodes, source=source, lines=document.lines)
        raise first.error() from None
