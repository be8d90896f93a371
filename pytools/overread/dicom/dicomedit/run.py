"""Runs scripts on datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydicom import config
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

from overread.dicom.dicomedit import script as ast
from overread.dicom.dicomedit.functions import FUNCTIONS, Text, hash_uid, matches
from overread.dicom.dicomedit.tagpath import TagPath, find, make
from overread.errors import DataError

_WHOLE: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_REAL: Final = frozenset({"FL", "FD"})
_BYTES: Final = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN", "OB or OW"})
_ENCODED: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""These are written in the dataset's own character set (PS3.5 6.1.2.2)."""
_UNREADABLE: Final = (
    AttributeError, KeyError, LookupError, NotImplementedError, OverflowError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def apply_script(script: ast.Script, dataset: Dataset, variables: Mapping[str, str]) -> None:
    """Run a script on a dataset, which is changed.

    Parameters
    ----------
    script
        What `parse_script` returned.
    dataset
        With all its attributes.
    variables
        Values of the variables that the script wants.

    Raises
    ------
    DataError
        A statement can't be carried out, with its line. The dataset may have been changed in part: throw it away.
    """
    runner = _Runner(dataset, dict(variables))
    runner.run(script.statements)
    _check_whole(dataset)


def _check_whole(dataset: Dataset) -> None:
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if not dataset.get(keyword):
            raise DataError("The script leaves the object without this attribute: keep it, or give it a new value.",
                            tag=keyword)  # fmt: skip


class _Runner:
    def __init__(self, dataset: Dataset, variables: dict[str, Text]) -> None:
        self._dataset, self._variables = dataset, variables

    def run(self, statements: tuple[ast.Statement, ...]) -> None:
        """Run statements in order."""
        for statement in statements:
            try:
                self._do(statement)
            except DataError:
                raise
            except _UNREADABLE as problem:
                reason = str(problem) if isinstance(problem, ValueError) else f"it failed ({type(problem).__name__})"
                raise DataError(f"Line {statement.line} of the script could not be carried out: {reason}.") from problem

    def _do(self, statement: ast.Statement) -> None:
        match statement:
            case ast.Assign(path=path, value=value, only_existing=only_existing):
                self._assign(path, self._value(value), only_existing=only_existing)
            case ast.SetVariable(name=name, value=value):
                self._variables[name] = self._value(value)
            case ast.Delete(path=path):
                for holder, tag in list(find(self._dataset, path)):
                    del holder[tag]
            case ast.RemoveAllPrivateTags():
                self._dataset.remove_private_tags()
            case ast.HashUids(paths=paths):
                self._hash(paths)
            case ast.If(branches=branches):
                for condition, inner in branches:
                    if condition is None or self._holds(condition):
                        self.run(inner)
                        break

    def _assign(self, path: TagPath, value: Text, *, only_existing: bool) -> None:
        if value is None:  # as DicomEdit: what is not there is not assigned
            return
        places = list(find(self._dataset, path)) if only_existing else [make(self._dataset, path)]
        for holder, tag in places:
            _write(self._dataset, holder, tag, value)

    def _hash(self, paths: tuple[TagPath, ...]) -> None:
        places = {(id(holder), tag): (holder, tag) for path in paths for holder, tag in find(self._dataset, path)}
        for holder, tag in places.values():
            text = _read(holder, tag)
            if text:
                hashed = "\\".join(hash_uid(part) if part else "" for part in text.split("\\"))
                _write(self._dataset, holder, tag, hashed)

    def _holds(self, condition: ast.Condition) -> bool:
        left = self._value(condition.left)
        if condition.operator == "":
            return left == "true"
        right = self._value(condition.right)
        by_pattern = condition.operator in {"~", "!~"}
        equal = matches(left, right or "") if by_pattern else left is not None and left == right
        return equal is (condition.operator in {"=", "~"})

    def _value(self, value: ast.Value) -> Text:
        match value:
            case ast.Constant(text=text):
                return text
            case ast.Variable(name=name):
                return self._variables[name]
            case ast.Attribute(path=path):
                return next((_read(holder, tag) for holder, tag in find(self._dataset, path)), None)
            case ast.Call(name=name, arguments=arguments, line=line):
                try:
                    return FUNCTIONS[name].apply([self._value(one) for one in arguments])
                except ValueError as problem:
                    raise DataError(f"Line {line} of the script: {name} could not be done: {problem}.") from problem


def _read(holder: Dataset, tag: BaseTag) -> str:
    """Return a value as text; several are joined with a backslash. Nobody compares bytes or sequences."""
    element = holder[tag]
    value = element.value
    if element.VR == "SQ" or value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip(" \0")
    parts = value if isinstance(value, MultiValue | list) else [value]
    return "\\".join(str(part).strip(" \0") for part in parts)


def _write(dataset: Dataset, holder: Dataset, tag: BaseTag, text: str) -> None:
    vr = _vr(holder, tag)
    if vr == "SQ":
        holder[tag] = DataElement(tag, vr, Sequence())  # as DicomEdit: a sequence is made, no text is put into it
        return
    if vr in _ENCODED and not text.isascii():
        _check_charset(dataset, text)
    holder[tag] = DataElement(tag, vr, _converted(vr, text), validation_mode=config.IGNORE)


def _vr(holder: Dataset, tag: BaseTag) -> str:
    """Return the value representation: the one that is there, else the dictionary's, else UN."""
    if tag in holder:
        return str(holder[tag].VR)
    try:
        if not tag.is_private:
            return dictionary_VR(tag).split(" or ")[0]
        creator = str(holder[BaseTag(tag.group << 16 | tag.element >> 8)].value)
        return private_dictionary_VR(tag, creator)
    except KeyError:
        return str(VR.UN)


def _converted(vr: str, text: str) -> object:
    if vr in _BYTES:
        content = text.encode()
        return content + b"\0" * (len(content) % 2)
    if not text:
        return None if vr in _WHOLE | _REAL | {"AT", "DS", "IS"} else ""
    parts = text.split("\\")
    if vr in _WHOLE:
        numbers: list[object] = [int(part) for part in parts]
    elif vr in _REAL:
        numbers = [float(part) for part in parts]
    elif vr == "AT":
        numbers = [int(part.strip("()").replace(",", ""), 16) for part in parts]
    else:
        return text
    return numbers if len(numbers) > 1 else numbers[0]


def _check_charset(dataset: Dataset, text: str) -> None:
    charset = dataset.get("SpecificCharacterSet")
    if not any(_encodes(text, encoding) for encoding in (convert_encodings(charset) if charset else ("ascii",))):
        raise ValueError("the value can't be written in the object's character set; use plain letters")


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
