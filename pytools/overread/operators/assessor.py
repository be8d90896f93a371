"""``assessor.xml``: a result as XNAT stores it, and the ROI collection beside it.

XNAT checks these documents against the datatype's XSD, so the order of elements is that of the schema: inherited ones
first, then the result's own.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from overread.dicom.headers import plain_text
from overread.operators.ids import experiment_id
from overread.operators.job import Context, to_json
from overread.operators.result import Result

XNAT: Final = "http://nrg.wustl.edu/xnat"
ICR: Final = "http://icr.ac.uk/icr"
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_TIME = re.compile(r"(\d{2})(\d{2})(\d{2})(\.\d+)?")
_LIMITS: Final = {"reason": 1000, "series_instance_uids": 4000, "warnings": 4000, "timings": 4000, "lesions": 8000}
_LIMIT: Final = 255
"""Longest text of a field for which the schema says nothing else."""


@dataclass(frozen=True, kw_only=True)
class ResultType:
    """A study's datatype.

    Parameters
    ----------
    prefix, namespace
        Of its schema.
    element
        Root element, such as ``Result``.
    measures
        Names of the numeric fields that only this study has, in the order of the schema.
    code
        Short name; begins labels.
    texts
        Names of its other fields; in the schema they stand behind the numeric ones.
    """

    prefix: str
    namespace: str
    element: str
    measures: tuple[str, ...]
    code: str
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Assessor:
    """Where a document belongs: label, and the date and time (as DICOM writes them) that lists are sorted by."""

    label: str
    date: str
    time: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a result says beyond what was measured.

    Parameters
    ----------
    origin
        ``ai`` or ``edited``.
    input_fingerprint
        One for all inputs (`overread.operators.ids.input_fingerprint`).
    reader, original, collection
        For edited results: who, which result was corrected, which ROI collection was measured. `collection` is also
        set where an AI's segmentation is stored as one.
    """

    origin: str
    input_fingerprint: str = ""
    reader: str = ""
    original: str = ""
    collection: str = ""


def result_xml(kind: ResultType, result: Result, *, assessor: Assessor, context: Context, more: Provenance) -> bytes:
    """Return a result as an XNAT assessor.

    Parameters
    ----------
    kind
        Datatype.
    result
        What was found.
    assessor
        Label and time.
    context
        Project and session. Without a server the attributes are left out.
    more
        Where it comes from.
    """
    seg, report = result.outputs.get("seg"), result.outputs.get("sr")
    fields: dict[str, str] = {
        "status": result.status,
        "reason": result.reason,
        "origin": more.origin,
        "model_name": result.model.name,
        "model_version": result.model.version,
        "weights_sha256": result.model.weights_sha256,
        "device": result.device,
        "image": context.image,
        "image_digest": context.image_digest,
        "command": context.command,
        "study_instance_uid": result.study_instance_uid,
        "series_instance_uids": " ".join(item.series_instance_uid for item in result.inputs),
        "input_fingerprint": more.input_fingerprint,
        "seg_sop_instance_uid": seg.sop_instance_uid if seg else "",
        "seg_series_instance_uid": seg.series_instance_uid if seg else "",
        "sr_sop_instance_uid": report.sop_instance_uid if report else "",
        "reader": more.reader,
        "original_label": more.original,
        "collection": more.collection,
        "warnings": "; ".join(result.warnings),
        "timings": to_json({f"{name}_s": seconds for name, seconds in result.timings_s.items()}),
        "lesions": _json([asdict(lesion) for lesion in result.lesions]),
        "comparison": _json(asdict(result.comparison)) if result.comparison else "",
    }
    for name in kind.measures:
        value = result.value(name)
        fields[name] = "" if value is None else f"{value:.10g}"
    fields |= {name: result.texts.get(name, "") for name in kind.texts}
    root = _root(kind.prefix, kind.namespace, kind.element, assessor=assessor, context=context, code=kind.code)
    _add(root, kind.namespace, {name: plain_text(v, limit=_LIMITS.get(name, _LIMIT)) for name, v in fields.items()})
    return _document(root)


def roi_collection_xml(
    *,
    assessor: Assessor,
    context: Context,
    sop_instance_uid: str,
    series_instance_uids: Sequence[str],
    name: str,
) -> bytes:
    """Return a segmentation's ROI collection (``icr:roiCollectionData``) as the viewer's plugin stores it.

    Parameters
    ----------
    assessor
        Label and time.
    context
        Project, session and subject.
    sop_instance_uid
        Of the segmentation.
    series_instance_uids
        Image series that it was drawn on.
    name
        Shown in the viewer's list.
    """
    root = _root("icr", ICR, "RoiCollection", assessor=assessor, context=context, code="RoiCollection")
    _add(root, ICR, {"UID": sop_instance_uid, "collectionType": "SEG", "subjectID": context.subject_id})
    references = ET.SubElement(root, f"{{{ICR}}}references")
    for uid in series_instance_uids:
        ET.SubElement(references, f"{{{ICR}}}seriesUID").text = uid
    _add(root, ICR, {"name": plain_text(name, limit=_LIMIT)})
    return _document(root)


def _json(value: object) -> str:
    """Return JSON on one line, as short as it can be: fields have a limit."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _root(prefix: str, namespace: str, element: str, *, assessor: Assessor, context: Context, code: str) -> ET.Element:
    for short, long in ((prefix, namespace), ("xnat", XNAT)):
        ET.register_namespace(short, long)
    root = ET.Element(f"{{{namespace}}}{element}")
    if context.session_id:
        root.set(
            "ID",
            experiment_id(code, project=context.project, session_id=context.session_id, label=assessor.label),
        )
    if context.project:
        root.set("project", context.project)
    root.set("label", assessor.label)
    if date := _DATE.fullmatch(assessor.date):
        ET.SubElement(root, f"{{{XNAT}}}date").text = "-".join(date.groups())
        if time := _TIME.fullmatch(assessor.time):
            ET.SubElement(root, f"{{{XNAT}}}time").text = ":".join(time.groups()[:3])
    if context.session_id:
        ET.SubElement(root, f"{{{XNAT}}}imageSession_ID").text = context.session_id
    return root


def _add(root: ET.Element, namespace: str, fields: Mapping[str, str]) -> None:
    """Append flat elements; what has no value is left out, which XNAT takes for null."""
    for name, value in fields.items():
        if value:
            ET.SubElement(root, f"{{{namespace}}}{name}").text = value


def _document(root: ET.Element) -> bytes:
    ET.indent(root, space=" ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
