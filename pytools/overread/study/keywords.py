"""DICOM keywords, from pydicom's copy of PS3.6.

pydicom is loaded only when a keyword is asked for, so that the models can be imported without it.
"""

from __future__ import annotations

import difflib
from functools import cache

# What a patient can be known by (PS3.15 Table E.1-1 and its kin): values of these are never put into words.
IDENTIFYING = frozenset(
    {
        "AccessionNumber", "AdditionalPatientHistory", "AdmissionID", "InstitutionAddress", "IssuerOfPatientID",
        "OtherPatientIDs", "OtherPatientNames", "PatientAddress", "PatientBirthDate", "PatientBirthName",
        "PatientBirthTime", "PatientComments", "PatientID", "PatientMotherBirthName", "PatientName",
        "PatientTelephoneNumbers", "ReferringPhysicianName", "StudyID",
    }
)  # fmt: skip


@cache
def _dictionary() -> dict[str, str]:
    from pydicom.datadict import dictionary_VR, keyword_dict  # noqa: PLC0415 - see the module's docstring

    return {keyword: dictionary_VR(tag) for keyword, tag in keyword_dict.items() if keyword}


def value_representation(keyword: str) -> str | None:
    """Value representation of a keyword, such as ``LO`` or ``US or SS``; None when there is no such keyword."""
    return _dictionary().get(keyword)


def nearest_keywords(word: str) -> list[str]:
    """At most three keywords that look like a word, the nearest first."""
    by_lower = {keyword.lower(): keyword for keyword in _dictionary()}
    near = difflib.get_close_matches(word.lower().replace(" ", ""), list(by_lower), n=3, cutoff=0.7)
    return [by_lower[item] for item in near]
