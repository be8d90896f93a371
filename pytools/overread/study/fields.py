"""Kinds of values that our YAML and JSON files hold, each with its complaint in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from overread.study.keywords import nearest_keywords, value_representation
from overread.study.patterns import fault_of


class Spec(BaseModel):
    """What all parts of our files have in common: no unknown keys, no change after reading, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Form:
    """Text must match a pattern as a whole; if not, ``mend`` says in words what is wanted.

    Stands in `Annotated`, where a bare pattern would show the reader the expression alone.
    """

    pattern: str
    mend: str

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            shown = repr(text if len(text) <= 60 else text[:57] + "...")  # noqa: PLR2004 - the width of a line
            raise PydanticCustomError("form", "{got} can't be used here", {"got": shown, "mend": self.mend})
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the text has been read."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell editors the pattern."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}


# Representations that hold one short text or number and so can be compared (PS3.5 Table 6.2-1).
_COMPARABLE_VRS = frozenset(
    {
        "AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "SV", "TM",
        "UC", "UI", "UL", "US", "UT", "UV",
    }
)  # fmt: skip


def _known_keyword(keyword: str) -> str:
    vr = value_representation(keyword)
    if vr is None:
        near = nearest_keywords(keyword)
        mend = f"did you mean '{near[0]}'?" if near else "take the keyword of PS3.6, such as SeriesDescription"
        raise PydanticCustomError("keyword", "{got} is no DICOM keyword", {"got": repr(keyword), "mend": mend})
    if not _COMPARABLE_VRS.intersection(vr.split(" or ")):
        raise PydanticCustomError(
            "keyword", "{got} holds {vr}, which can't be compared", {"got": keyword, "vr": vr, "mend": "choose another"}
        )
    return keyword


def _harmless_pattern(pattern: str) -> str:
    fault = fault_of(pattern)
    if fault:
        raise PydanticCustomError("pattern", "{got} {fault}", {"got": repr(pattern), "fault": fault})
    return pattern


def _relative_path(path: str) -> str:
    if PurePosixPath(path).is_absolute() or "\\" in path or "\0" in path or path.startswith("~"):
        mend = "write it from this file's folder, with /"
        raise PydanticCustomError("path", "{got} is not a relative path", {"got": repr(path), "mend": mend})
    return path


def _text_or_number(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        mend = "put yes/no words in quotes"
        raise PydanticCustomError("scalar", "is neither text nor a number", {"mend": mend}) from None


Scalar = Annotated[StrictStr | StrictInt | StrictFloat, WrapValidator(_text_or_number)]
Number = Annotated[float, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
YesNo = Annotated[bool, Field(strict=True)]
Keyword = Annotated[str, AfterValidator(_known_keyword)]
Pattern = Annotated[str, AfterValidator(_harmless_pattern)]
RelativePath = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_relative_path)]
Version = Annotated[str, Form(r"\d+\.\d+\.\d+", "write three numbers in quotes, such as '1.0.0'")]
AeTitle = Annotated[
    # PS3.5 Table 6.2-1, AE: at most 16 characters, no backslash; blanks at the ends mean nothing.
    str,
    Form(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?", "an AE title has 1 to 16 plain characters and no backslash"),
]
FieldName = Annotated[str, Form(r"[a-z][a-z0-9_]{0,62}", "write a lower-case word such as lesion_volume_ml")]
Role = Annotated[str, Form(r"[a-z][a-z0-9_]{0,31}", "write a lower-case word such as flair")]
