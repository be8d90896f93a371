"""What must be done on a server so that it runs a study: a pure function of the study and of what the server has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from overread.plugins.build import jar_name
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Request
from overread.xnat.ownership import guarded, with_record
from overread.xnat.plan_chain import plan_chain
from overread.xnat.plan_commands import plan_commands, threshold_by_hand
from overread.xnat.plan_events import plan_events
from overread.xnat.plan_form import form_uuid, plan_form
from overread.xnat.plan_people import plan_readers
from overread.xnat.plan_server import plan_images, plan_server, plan_surroundings
from overread.xnat.state import SITE_CONFIG, STUDY_CONFIG, ServerState
from overread.xnat.steps import Step, covers, differences

_PREARCHIVE_AUTO = "4"  # sessions are archived by themselves, and never over an existing one
_PRIVATE = "private"
# A routing expression is (gggg,eeee):REGEX with group 1, or with t:/r: a replacement: the project is the same for all.
_ANY_OBJECT = "(0008,0016):^(.+)$ t:^.+$ r:{project}"
_BY_PATIENT_ID, _BY_STUDY_UID = "(0010,0020):^(.+)$", "(0020,000D):^(.+)$"
_XS = "{http://www.w3.org/2001/XMLSchema}"


def plan(bundle: StudyBundle, state: ServerState, *, adopt: bool = False) -> tuple[Step, ...]:
    """Plan all steps, in the order in which they must be taken.

    Parameters
    ----------
    bundle
        The study.
    state
        What the server has.
    adopt
        Also change objects that somebody else made.

    Returns
    -------
    tuple of Step
        Also those that need nothing. Steps that wait are planned in full by a second call, once the server has the
        things on which they wait.
    """
    planned = tuple(
        step
        for steps in (
            plan_server(bundle, state),
            _datatype(bundle, state),
            _project(bundle, state),
            plan_images(bundle, state),
            plan_commands(bundle, state),
            _receiver(bundle, state),
            plan_surroundings(bundle, state),
            plan_readers(bundle, state),
            plan_chain(bundle, state),
            plan_form(bundle, state),
            _study_config(bundle, state),
            _site_config(bundle, state),
            plan_events(bundle, state),
        )
        for step in steps
    )
    return with_record(planned if adopt else guarded(planned, state), state, bundle.manifest.project)


def receiver_document(bundle: StudyBundle) -> dict[str, Any]:
    """Describe the study's DICOM receiver as XNAT takes it.

    Notes
    -----
    By itself XNAT would name subjects by PatientName and sessions by PatientID. Here they are PatientID and
    StudyInstanceUID: no name becomes a label, and each exam has a session of its own.
    """
    manifest = bundle.manifest
    return {
        "aeTitle": manifest.receiver.ae_title,
        "port": manifest.receiver.port,
        "enabled": True,
        "identifier": "dicomObjectIdentifier",
        "routingExpressionsEnabled": True,
        "anonymizationEnabled": False,
        "projectRoutingExpression": _ANY_OBJECT.format(project=manifest.project),
        "subjectRoutingExpression": _BY_PATIENT_ID,
        "sessionRoutingExpression": _BY_STUDY_UID,
    }


def stored_study(bundle: StudyBundle, *, form: str | None, previous: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest as a server keeps it: what `overread.study.manifest.StoredStudy` reads.

    Parameters
    ----------
    bundle
        The study.
    form
        UUID that the server gave to the feedback form.
    previous
        What the server keeps now; the form's version is counted on from it.
    """
    manifest, model, recompute, report = bundle.manifest, bundle.model, bundle.recompute, bundle.report
    return {
        **manifest.model_dump(mode="json", by_alias=True),
        "viewer_series": list(manifest.shown_series),
        "result_type": bundle.datatype.xsi_type,
        "form_uuid": form,
        **_form_version(bundle, previous),
        **({} if (pct := threshold_by_hand(bundle, previous)) is None else {"threshold_pct_by_hand": pct}),
        "command_name": model.command.name,
        "command_version": model.command.version,
        "wrapper_name": model.wrapper.name,
        "recompute_command_name": recompute.command.name if recompute else "",
        "recompute_command_version": recompute.command.version if recompute else "",
        "recompute_wrapper_name": recompute.wrapper.name if recompute else "",
        "report_command_name": report.command.name if report else "",
        "report_command_version": report.command.version if report else "",
        "report_wrapper_name": report.wrapper.name if report else "",
    }


def _form_version(bundle: StudyBundle, previous: Mapping[str, Any]) -> dict[str, Any]:
    """Count the contents of the form: an answer must say which questions it answers."""
    if bundle.form is None:
        return {"form_version": None, "form_digest": None}
    digest, last = bundle.form.digest, previous.get("form_version")
    count = last if isinstance(last, int) else 0
    same = previous.get("form_digest") == digest and count > 0
    return {"form_version": count if same else count + 1, "form_digest": digest}


def _datatype(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    name = f"datatype {bundle.datatype.xsi_type}"
    jar = jar_name(bundle.manifest)
    how = (
        f"build {jar} with `overread plugin build {bundle.folder}`, put it into the server's plugins folder "
        "in place of an older one, and restart the server"
    )
    if state.schema is None:
        yield Step(name, "refuse", f"the server does not know it; {how}")
        return
    missing = [item.name for item in bundle.datatype.fields if item.name not in _elements(state.schema)]
    if missing:
        yield Step(name, "refuse", f"the server's has no field {', '.join(missing)}; {how}")
    else:
        yield Step(name, "unchanged")


def _elements(xsd: str) -> frozenset[str]:
    try:
        root = defusedxml.ElementTree.fromstring(xsd)
    except (defusedxml.ElementTree.ParseError, DefusedXmlException):
        return frozenset()
    return frozenset(element.get("name", "") for element in root.iter(f"{_XS}element"))


def _project(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    project, path = bundle.manifest.project, f"/data/projects/{bundle.manifest.project}"
    if state.has_project:
        yield Step(f"project {project}", "unchanged")
    else:
        names = {
            "xnat:projectData/secondary_ID": project,
            "xnat:projectData/name": bundle.manifest.title,
        }
        yield Step(f"project {project}", "create", bundle.manifest.title, (Request("PUT", path, names),))
    settings = (
        ("accessibility", state.accessibility, _PRIVATE),
        ("prearchive_code", state.prearchive_code, _PREARCHIVE_AUTO),
    )
    for setting, have, want in settings:
        same = have.lower() == want
        request = () if same else (Request("PUT", f"{path}/{setting}/{want}"),)
        detail = "" if same else f"{have} -> {want}" if have else want
        yield Step(
            f"project {project} {setting}", "unchanged" if same else "update" if have else "create", detail, request
        )


def _receiver(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    want = receiver_document(bundle)
    name = f"receiver {want['aeTitle']}:{want['port']}"
    have = next((r for r in state.receivers if covers(r, {"aeTitle": want["aeTitle"], "port": want["port"]})), None)
    if have is None:
        yield Step(name, "create", "", (Request("POST", "/xapi/dicomscp", json=want),))
    elif covers(have, want):
        yield Step(name, "unchanged")
    else:
        request = Request("PUT", f"/xapi/dicomscp/{have['id']}", json={**have, **want})
        yield Step(name, "update", differences(have, want), (request,))


def _study_config(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    name = f"manifest in project {bundle.manifest.project}"
    form = form_uuid(bundle, state)
    if bundle.form and form is None:
        yield Step(name, "wait", "for the form's id")
        return
    have = state.study
    if have.get("mode") not in {None, bundle.manifest.mode}:
        how = f"change it by overread study mode {bundle.source} MODE --reason WHY, which keeps who did it and why"
        yield Step(
            name, "refuse", f"the study is in {have['mode']} there, the manifest says {bundle.manifest.mode}; {how}"
        )
        return
    pct, progression = threshold_by_hand(bundle, have), bundle.manifest.progression
    if pct is not None and progression is not None:
        said = f"{pct:g} %, set on the study's settings page, holds; the manifest says {progression.increase_pct:g} %"
        yield Step(f"threshold in project {bundle.manifest.project}", "note", said)
    want = stored_study(bundle, form=form, previous=have)
    if have == want:
        yield Step(name, "unchanged")
        return
    path = f"/data/projects/{bundle.manifest.project}/config/{STUDY_CONFIG}"
    request = Request("PUT", path, {"inbody": "true"}, text=json.dumps(want, indent=1))
    detail = differences(have, want) if have else ""
    yield Step(name, "create" if state.study_config is None else "update", detail, (request,))


def _site_config(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    manifest = bundle.manifest
    name = f"study {manifest.id} in the site's table"
    want = {"project": manifest.project, "title": manifest.title}
    have = state.site_config.get(manifest.id)
    if have == want:
        yield Step(name, "unchanged")
        return
    table = json.dumps({**state.site_config, manifest.id: want}, indent=1, sort_keys=True)
    request = Request("PUT", f"/data/config/{SITE_CONFIG}", {"inbody": "true"}, text=table)
    yield Step(name, "update" if have else "create", "", (request,))
