"""Coded terms (PS3.3 8.8) and the ones that this project writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code


@dataclass(frozen=True)
class CodedTerm:
    """A code with its meaning.

    Parameters
    ----------
    value
        CodeValue, such as ``108369006``.
    scheme
        CodingSchemeDesignator, such as ``SCT`` (SNOMED CT), ``DCM``, ``UCUM``.
    meaning
        CodeMeaning, in words.
    """

    value: str
    scheme: str
    meaning: str

    def as_code(self) -> Code:
        """Return the term as pydicom's `Code`."""
        return Code(self.value, self.scheme, self.meaning)


def term_of(item: Dataset) -> CodedTerm:
    """Return the term that a code sequence item holds (long and URN code values included)."""
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    return CodedTerm(str(value), str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", "")))


TISSUE: Final = CodedTerm("85756007", "SCT", "Tissue")
"""What a segment is called of which nothing more is known (context groups 7150 and 7166)."""

VOLUME: Final = CodedTerm("118565006", "SCT", "Volume")
LONG_AXIS: Final = CodedTerm("103339001", "SCT", "Long Axis")
SHORT_AXIS: Final = CodedTerm("103340004", "SCT", "Short Axis")
MILLILITRE: Final = CodedTerm("mL", "UCUM", "milliliter")
MILLIMETRE: Final = CodedTerm("mm", "UCUM", "millimeter")
ARTIFICIAL_INTELLIGENCE: Final = CodedTerm("123110", "DCM", "Artificial Intelligence")
"""Algorithm family (context group 7162)."""

RIGHT: Final = CodedTerm("24028007", "SCT", "Right")
LEFT: Final = CodedTerm("7771000", "SCT", "Left")
"""Laterality (context group 244)."""
PRESENT: Final = CodedTerm("52101004", "SCT", "Present")
ABSENT: Final = CodedTerm("2667000", "SCT", "Absent")
HIP: Final = CodedTerm("24136001", "SCT", "Hip joint")
FRACTURE: Final = CodedTerm("72704001", "SCT", "Fracture")
IMPLANT: Final = CodedTerm("40388003", "SCT", "Implant")
CERTAINTY: Final = CodedTerm("111012", "DCM", "Certainty of Finding")
PERCENT: Final = CodedTerm("%", "UCUM", "Percent")
