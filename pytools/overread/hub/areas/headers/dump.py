"""An object's header as XNAT tells it: a row for each element, and for those of a sequence's items, one level deep."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from pydicom.datadict import dictionary_description, keyword_dict
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from overread.hub.arrival.objects import read_file_meta, read_header, text
from overread.hub.errors import bad_request

COLUMNS: Final = ("tag1", "tag2", "vr", "value", "desc")
Row = dict[str, str]

_LONGEST: Final = 255
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_ESCAPES: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
_HEX_DIGITS: Final = 8


def read_field(name: str) -> int:
    """Return the tag that a keyword, or eight hexadecimal digits, means.

    Raises
    ------
    HubError
        400: it is neither.
    """
    if name in keyword_dict:
        return int(keyword_dict[name])
    digits = name.replace(",", "").strip("()")
    if len(digits) == _HEX_DIGITS:
        try:
            return int(digits, 16)
        except ValueError:
            pass
    raise bad_request(f"field={name[:64]!r}: a keyword such as PatientID, or a tag such as 00100020.")


def dump(path: Path, fields: Collection[int] = ()) -> list[Row]:
    """Return the rows of a file.

    Parameters
    ----------
    path
        A DICOM file. Its pixel data, and what comes behind them, are not read.
    fields
        Tags of the elements that are wanted; all if there are none.

    Raises
    ------
    DataError
        It can't be read.
    """
    with path.open("rb") as stream:
        meta = read_file_meta(stream)
        dataset = read_header(stream, transfer_syntax_uid=text(meta, "TransferSyntaxUID")).dataset
    return [
        row
        for part in (meta, dataset)
        for tag in sorted(part.keys())
        if not fields or int(tag) in fields
        for row in _rows(part, tag)
    ]


def _rows(dataset: Dataset, tag: BaseTag) -> Iterator[Row]:
    element = _element(dataset, tag)
    if element is None:
        return
    name = _written(tag)
    if element.VR != "SQ":
        yield _row(element, name, "")
        return
    for item in element.value:
        yield _row(element, name, name)
        for inner in sorted(item.keys()):
            nested = _element(item, inner)
            if nested is not None:
                yield _row(nested, name, _written(inner))


def _element(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        return dataset[tag]
    except Exception:  # noqa: BLE001 - bytes that are no value of their type: XNAT passes over them as well
        return None


def _row(element: DataElement, tag1: str, tag2: str) -> Row:
    values = (tag1, tag2, str(element.VR), _value(element), _description(element.tag).translate(_ESCAPES))
    return dict(zip(COLUMNS, values, strict=True))


def _value(element: DataElement) -> str:
    value: Any = element.value
    if element.VR == "SQ" or value is None:
        return ""
    if element.VR in _BINARY and isinstance(value, bytes):
        return "\\".join(f"{byte:02X}" for byte in value[: _LONGEST // 3])
    values = value if element.VM > 1 else [value]
    return "\\".join(str(one) for one in values)[:_LONGEST].translate(_ESCAPES)


def _description(tag: BaseTag) -> str:
    if tag.is_private:
        return "?"
    try:
        return dictionary_description(tag)
    except KeyError:
        return "?"


def _written(tag: int) -> str:
    known = Tag(tag)
    return f"({known.group:04X},{known.element:04X})"
