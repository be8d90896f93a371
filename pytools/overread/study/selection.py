"""Which series of an exam plays which role. The same rules serve the hub's receiver and the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from overread.study.manifest import SeriesRule
from overread.study.rules import Decision, evaluate_all, values_of

# What `choose_series` looks at besides the rules' own keywords.
KEYWORDS = frozenset(
    {"ImageType", "Modality", "SOPClassUID", "SeriesDate", "SeriesDescription", "SeriesNumber", "SeriesTime"}
)

# Modalities that hold no images of a patient, only something made from images (PS3.3 C.7.3.1.1.1).
_RESULT_MODALITIES = frozenset(
    {
        "ANN", "AU", "CTPROTOCOL", "DOC", "ECG", "FID", "KO", "M3D", "OPTENF", "PLAN", "POS", "PR", "REG", "RTDOSE",
        "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SMR", "SR", "STAIN", "STL",
        "TEXTUREMAP", "XAPROTOCOL",
    }
)  # fmt: skip
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # PS3.4 B.5
# Its multi-frame kin, and encapsulated documents.
_RESULT_CLASS_PREFIXES = (_SECONDARY_CAPTURE + ".", "1.2.840.10008.5.1.4.1.1.104.")


@dataclass(frozen=True)
class SeriesSummary:
    """What is known of a series without its pixels.

    Parameters
    ----------
    series_instance_uid
        (0020,000E).
    instances
        How many images of it are there: different SOP instances, of a multi-frame instance its frames.
    header
        DICOM keyword -> value, from one of its instances: those of `KEYWORDS` and of
        `overread.study.rules.needed_keywords`.
    """

    series_instance_uid: str
    instances: int
    header: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Choice:
    """The series that plays a role.

    Parameters
    ----------
    role
        Name of the rule, such as ``flair``.
    series_instance_uid
        The series; None when no series can play the role.
    reason
        Why this one, or why none.
    candidates
        UIDs of all series that could have played it, the chosen one first.
    """

    role: str
    series_instance_uid: str | None
    reason: str
    candidates: tuple[str, ...] = ()


def choose_series(rules: Mapping[str, SeriesRule], series: Sequence[SeriesSummary]) -> Mapping[str, Choice]:
    """Choose a series for each role.

    Parameters
    ----------
    rules
        Role -> rule.
    series
        All series of one exam, in any order; the order makes no difference.

    Returns
    -------
    Mapping
        A `Choice` for each role of ``rules``. Segmentations, reports and the like are never chosen, nor is a series
        whose ImageType says DERIVED or LOCALIZER (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1).
    """
    return {role: _choose(role, rule, series) for role, rule in rules.items()}


def is_source_image(header: Mapping[str, Any]) -> Decision:
    """Decide whether a series is an original image, not something made from images."""
    modality = next((str(v).strip().upper() for v in values_of(header.get("Modality"))), "")
    if modality in _RESULT_MODALITIES:
        return Decision(ok=False, reason=f"Modality {modality} is a result, not an image")
    sop_class = next((str(v).strip() for v in values_of(header.get("SOPClassUID"))), "")
    if sop_class == _SECONDARY_CAPTURE or sop_class.startswith(_RESULT_CLASS_PREFIXES):
        return Decision(ok=False, reason="SOPClassUID is a secondary capture or a document")
    image_type = values_of(header.get("ImageType"))
    if image_type and str(image_type[0]).strip().upper() == "DERIVED":
        return Decision(ok=False, reason="ImageType says DERIVED")
    if any(str(value).strip().upper() == "LOCALIZER" for value in image_type):
        return Decision(ok=False, reason="ImageType says LOCALIZER")
    return Decision(ok=True, reason="an original image")


def _choose(role: str, rule: SeriesRule, series: Sequence[SeriesSummary]) -> Choice:
    fitting: list[SeriesSummary] = []
    too_small: list[SeriesSummary] = []
    refused: set[str] = set()
    for item in series:
        decision = is_source_image(item.header)
        if decision.ok:
            decision = evaluate_all(rule.where, item.header)
        if not decision.ok:
            refused.add(decision.reason)
        elif item.instances < rule.at_least:
            too_small.append(item)
        else:
            fitting.append(item)
    if not fitting:
        return Choice(role, None, _why_none(rule, too_small, refused))
    ordered = sorted(fitting, key=lambda item: _rank(rule, item))
    best = ordered[0]
    reason = f"{best.instances} images, {evaluate_all(rule.where, best.header).reason}"
    if len(ordered) > 1:
        reason += f"; chosen of {len(ordered)} by {rule.choose}"
    return Choice(role, best.series_instance_uid, reason, tuple(item.series_instance_uid for item in ordered))


def _why_none(rule: SeriesRule, too_small: Sequence[SeriesSummary], refused: set[str]) -> str:
    if too_small:
        most = max(item.instances for item in too_small)
        return f"a series fits, but has {most} of the {rule.at_least} images it needs"
    if refused:
        shown = sorted(refused)[:5]
        more = f"; and {len(refused) - len(shown)} more" if len(refused) > len(shown) else ""
        return "no series fits: " + "; ".join(shown) + more
    return "there are no series"


def _rank(rule: SeriesRule, item: SeriesSummary) -> tuple[float | str, ...]:
    """Order of preference, smallest first; the UID at the end makes it total."""
    number = next((str(v) for v in values_of(item.header.get("SeriesNumber"))), "")
    series_number = float(number) if number.lstrip("+-").isdecimal() else float("inf")
    uid = item.series_instance_uid
    if rule.choose == "most_instances":
        return (-item.instances, series_number, uid)
    taken = _taken_at(item.header)
    if rule.choose == "first":
        return (taken if taken is not None else float("inf"), series_number, uid)
    last_number = -series_number if series_number != float("inf") else series_number
    return (-taken if taken is not None else float("inf"), last_number, uid)


def _taken_at(header: Mapping[str, Any]) -> float | None:
    """Date and time of a series as one number that sorts (YYYYMMDDHHMMSS.f); None when the date is not given."""
    date = next((str(v).strip() for v in values_of(header.get("SeriesDate"))), "")
    time = next((str(v).strip() for v in values_of(header.get("SeriesTime"))), "")
    digits = time.partition(".")[0]
    if not (len(date) == 8 and date.isdecimal()):  # noqa: PLR2004 - DA is YYYYMMDD (PS3.5 Table 6.2-1)
        return None
    return int(date) * 1e6 + (int(digits.ljust(6, "0")[:6]) if digits.isdecimal() else 0)
