"""Makes command documents of a study's manifest and of the cards of its images.

From the card comes what the image is: name, version, command line, outputs, limits. From the manifest comes what the
study wants: the datatype of results, and from which sessions the image starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overread.commands.card import ContainerSpec, ImageCard, Start, read_card
from overread.errors import SpecError
from overread.study.manifest import StudyManifest

# DICOM modality -> the session that XNAT makes of it.
SESSION_TYPES: Mapping[str, str] = {
    "CR": "xnat:crSessionData",
    "CT": "xnat:ctSessionData",
    "DX": "xnat:dxSessionData",
    "MG": "xnat:mgSessionData",
    "MR": "xnat:mrSessionData",
    "PT": "xnat:petSessionData",
    "US": "xnat:usSessionData",
    "XA": "xnat:xaSessionData",
}
ANY_SESSION = "xnat:imageSessionData"
COLLECTION_TYPE = "icr:roiCollectionData"
_SCAN_TYPE = "xnat:scScanData"  # of what is made of images: a Secondary Capture
SERIES_RULES, IMAGE_DIGEST = "series-rules", "image-digest"

# Output -> file, label of the resource, format. Without a label it is an item, made of XML.
_OUTPUTS: Mapping[str, tuple[str, str, str]] = {
    "assessor": ("assessor.xml", "", ""),
    "scan": ("scan.xml", "", ""),
    "result": ("result.json", "RESULT", "JSON"),
    "capture": ("report.dcm", "DICOM", "DICOM"),
    "pdf": ("pdf.dcm", "PDF", "DICOM"),
    "seg": ("seg.dcm", "SEG", "DICOM"),
    "sr": ("sr.dcm", "SR", "DICOM"),
    "preview": ("preview.png", "PREVIEW", "PNG"),
    "difference": ("difference.png", "DIFFERENCE", "PNG"),
    "annotated": ("annotated.dcm", "ANNOTATED", "DICOM"),
    "picture": ("report.png", "PREVIEW", "PNG"),
    "collection": ("roi-collection.xml", "", ""),
}
# Input of the command -> variable, label, and where its value comes from: (input of the wrapper, property).
_FROM_XNAT: Mapping[str, tuple[str, str, tuple[str, str]]] = {
    "project-id": ("OVERREAD_PROJECT", "Project", ("session", "project-id")),
    "session-id": ("OVERREAD_SESSION_ID", "Session ID", ("session", "id")),
    "session-label": ("OVERREAD_SESSION_LABEL", "Session label", ("session", "label")),
    "subject-id": ("OVERREAD_SUBJECT_ID", "Subject ID", ("subject", "id")),
    "collection-label": ("OVERREAD_COLLECTION_LABEL", "Label of the ROI collection", ("collection", "label")),
}
_NAMES = {"project-id": "session-project", "session-id": "session-identifier", "session-label": "session-name",
          "subject-id": "subject-identifier", "collection-label": "collection-name"}  # fmt: skip
_MIB = 2**20


@dataclass(frozen=True)
class Compiled:
    """A command document and the folder of the image whose it is."""

    folder: Path
    document: dict[str, Any]


def compile_study(manifest: StudyManifest, *, near: Path, result_type: str) -> tuple[Compiled, ...]:
    """Compile every command that a study uses.

    Parameters
    ----------
    manifest
        The study.
    near
        Folder of the manifest, from which its paths start.
    result_type
        Datatype of its results, ``prefix:type``.

    Returns
    -------
    tuple of Compiled
        Setup and wrap-up commands before those that need them, each folder once.

    Raises
    ------
    SpecError
        A card is missing or wrong, or a setup or wrap-up command is in no folder beside the image.
    """
    paths = [manifest.command]
    paths += [manifest.edit.recompute] if manifest.edit else []
    paths += [manifest.report.command] if manifest.report else []
    found: dict[Path, Compiled] = {}
    for relative in paths:
        folder = (near / relative).resolve().parent
        card = read_card(folder)
        for reference, kind in ((card.container.input_by, "setup"), (card.container.collection_by, "wrapup")):
            if reference is not None:
                special = _beside(folder, reference, kind)
                found.setdefault(special, Compiled(special, compile_command(read_card(special))))
        document = compile_command(card, contexts=session_contexts(manifest), result_type=result_type)
        found.setdefault(folder, Compiled(folder, document))
    return tuple(found.values())


def session_contexts(manifest: StudyManifest) -> tuple[str, ...]:
    """Return the types of session that a study accepts, by its rule about Modality; any where it has none."""
    for condition in manifest.arrival.accept:
        if condition.tag == "Modality" and condition.operator in {"in", "equals"}:
            operand = condition.operand
            modalities = operand if isinstance(operand, tuple) else (operand,)
            types = dict.fromkeys(SESSION_TYPES[str(m)] for m in modalities if str(m) in SESSION_TYPES)
            if types:
                return tuple(types)
    return (ANY_SESSION,)


def compile_command(
    card: ImageCard, *, contexts: tuple[str, ...] = (ANY_SESSION,), result_type: str = ""
) -> dict[str, Any]:
    """Compile the command of one image.

    Parameters
    ----------
    card
        What the image is.
    contexts
        Types of session that it starts from.
    result_type
        Datatype of its results; needed if it writes an assessor.

    Raises
    ------
    SpecError
        The card asks for what can't be.
    """
    spec = card.container
    image = f"{spec.image}:{card.version}"
    document: dict[str, Any] = {
        "name": card.name,
        "label": spec.label,
        "description": spec.description,
        "version": card.version,
        "schema-version": "1.0",
        "type": {"run": "docker", "setup": "docker-setup", "wrapup": "docker-wrapup"}[spec.kind],
        "image": image,
        "command-line": spec.run,
    }
    if spec.kind != "run":
        return document
    starts = [(kind, start) for kind, start in spec.starts_from if start is not None]
    _check(card, starts, result_type)
    given = [name for name in _FROM_XNAT if name != "collection-label" or spec.starts_from.collection]
    document |= {
        "override-entrypoint": True,
        "mounts": _mounts(spec),
        "environment-variables": {
            **{_FROM_XNAT[name][0]: f"#{name}#" for name in given},
            **({"OVERREAD_SERIES_RULES": f"#{SERIES_RULES}#"} if spec.series_rules else {}),
            **{item.variable: f"#{item.name}#" for item in spec.settings},
            **({"NVIDIA_VISIBLE_DEVICES": "all"} if spec.gpu else {}),
            "OVERREAD_IMAGE": image,
            "OVERREAD_IMAGE_DIGEST": f"#{IMAGE_DIGEST}#",
            "OVERREAD_COMMAND": f"{card.name}:{card.version}",
        },
        "inputs": _inputs(spec, given),
        "outputs": [
            {
                "name": "roi-collection" if name == "collection" else name,
                "description": words,
                "required": name in spec.required,
                "mount": "out",
                "path": _OUTPUTS[name][0],
            }
            for name, words in spec.outputs.items()
        ],
        "xnat": [_wrapper(kind, start, spec, contexts, result_type) for kind, start in starts],
    }
    return document | _limits(spec)


def _check(card: ImageCard, starts: list[tuple[str, Start]], result_type: str) -> None:
    spec, source = card.container, f"card of {card.name}"
    if not starts:
        raise SpecError("names nothing; add session, scan or collection", source=source, path="container.starts_from")
    if "assessor" in spec.outputs and not result_type:
        raise SpecError("needs a datatype of results; compile it with a study", source=source, path="container.outputs")
    if spec.starts_from.collection and len(starts) > 1:
        raise SpecError(
            "a collection and an exam are different inputs; give each its own image",
            source=source, path="container.starts_from",
        )  # fmt: skip
    if ("collection" in spec.outputs) != (spec.collection_by is not None):
        raise SpecError(
            "the output 'collection' and collection_by go together", source=source, path="container.collection_by"
        )
    for name in spec.required:
        if name not in spec.outputs:
            raise SpecError(f"'{name}' is no output of it", source=source, path="container.required")


def _mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    session = [{"name": "session", "writable": False, "path": "/session"}] if spec.starts_from.collection else []
    return [
        {"name": "in", "writable": False, "path": "/input"},
        *session,
        *([{"name": "project", "writable": False, "path": "/project"}] if spec.project_files else []),
        {"name": "out", "writable": True, "path": "/output"},
    ]


def _inputs(spec: ContainerSpec, given: list[str]) -> list[dict[str, Any]]:
    rules = {
        "name": SERIES_RULES,
        "label": "Rules for choosing series",
        "description": "The study's arrival.series as JSON, in base64 since XNAT refuses parentheses in values; empty: "
        "the model card's.",
        "type": "string",
        "required": False,
        "default-value": "",
    }
    return [
        *(
            {
                "name": name,
                "label": _FROM_XNAT[name][1],
                "description": f"{_FROM_XNAT[name][1]} of the exam; XNAT fills it.",
                "type": "string",
                "required": True,
            }
            for name in given
        ),
        *([rules] if spec.series_rules else []),
        *(
            {
                "name": item.name,
                "label": item.label,
                "description": item.description,
                "type": item.type,
                "required": False,
                "default-value": item.default,
            }
            for item in spec.settings
        ),
        {
            "name": IMAGE_DIGEST,
            "label": "Digest of the image",
            "description": "Digest of the image that runs, stored with the result.",
            "type": "string",
            "required": False,
            "default-value": "",
        },
    ]


def _wrapper(
    kind: str, start: Start, spec: ContainerSpec, contexts: tuple[str, ...], result_type: str
) -> dict[str, Any]:
    types = {"session": "Session", "scan": "Scan", "collection": "Assessor"}
    wanted = {
        "session": list(contexts),
        "scan": [context.replace("SessionData", "ScanData") for context in contexts],
        "collection": [COLLECTION_TYPE],
    }
    external: dict[str, Any] = {
        "name": kind,
        "description": {"session": "The exam.", "scan": "The series.", "collection": "The ROI collection."}[kind],
        "type": types[kind],
        "required": True,
        "load-children": False,
        "provides-files-for-command-mount": "in",
    }
    if spec.input_by:
        external["via-setup-command"] = spec.input_by
    return {
        "name": start.name,
        "label": start.label,
        "description": start.description,
        "contexts": wanted[kind],
        "external-inputs": [external],
        "derived-inputs": list(_derived(kind, project_files=spec.project_files)),
        "output-handlers": list(_handlers(spec, result_type)),
    }


def _derived(kind: str, *, project_files: bool) -> Iterator[dict[str, Any]]:
    if kind != "session":
        whose = {"scan": "series", "collection": "collection"}[kind]
        yield {
            "name": "session",
            "description": f"The exam that the {whose} belongs to.",
            "type": "Session",
            "derived-from-wrapper-input": kind,
            "load-children": False,
            **({"provides-files-for-command-mount": "session"} if kind == "collection" else {}),
            "user-settable": False,
            "required": True,
        }
    if kind == "collection":
        yield _value("collection-label")
    if project_files:
        yield {
            "name": "session-owner",
            "description": "The exam's project, in which the patient's other exams lie.",
            "type": "Project",
            "derived-from-wrapper-input": "session",
            "load-children": False,
            "provides-files-for-command-mount": "project",
            "user-settable": False,
            "required": True,
        }
    for name in ("project-id", "session-id", "session-label"):
        yield _value(name)
    yield {
        "name": "subject",
        "description": "The exam's subject.",
        "type": "Subject",
        "derived-from-wrapper-input": "session",
        "load-children": False,
        "user-settable": False,
        "required": True,
    }
    yield _value("subject-id")


def _value(name: str) -> dict[str, Any]:
    source, wanted = _FROM_XNAT[name][2]
    return {
        "name": _NAMES[name],
        "description": f"{wanted} of the {source}.",
        "type": "string",
        "derived-from-wrapper-input": source,
        "derived-from-xnat-object-property": wanted,
        "provides-value-for-command-input": name,
        "user-settable": False,
        "required": True,
    }


def _handlers(spec: ContainerSpec, result_type: str) -> Iterator[dict[str, Any]]:
    """Yield handlers: first the items, each followed by what is stored on it."""
    on = "store-result" if "assessor" in spec.outputs else "store-scan" if "scan" in spec.outputs else "session"
    if "assessor" in spec.outputs:
        yield _item("store-result", "assessor", result_type)
    if "scan" in spec.outputs:
        yield _item("store-scan", "scan", _SCAN_TYPE) | {"type": "Scan"}
    for name in spec.outputs:
        if _OUTPUTS[name][1]:
            yield _resource(
                "store-result-json" if name == "result" and on == "store-result" else f"store-{name}", name, on
            )
    if "collection" in spec.outputs:
        collection = _item("store-collection", "roi-collection", COLLECTION_TYPE)
        yield {**collection, "via-wrapup-command": spec.collection_by}
        if "seg" in spec.outputs:
            yield _resource("store-collection-seg", "seg", "store-collection")


def _item(name: str, output: str, xsi_type: str) -> dict[str, Any]:
    return {
        "name": name,
        "accepts-command-output": output,
        "type": "Assessor",
        "xsi-type": xsi_type,
        "as-a-child-of": "session",
    }


def _resource(name: str, output: str, parent: str) -> dict[str, Any]:
    _, label, form = _OUTPUTS[output]
    return {
        "name": name,
        "accepts-command-output": output,
        "type": "Resource",
        "label": label,
        "format": form,
        "content": label,
        "as-a-child-of": parent,
    }


def _limits(spec: ContainerSpec) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if spec.memory_mb:
        limits |= {"reserve-memory": spec.memory_mb.reserve} if spec.memory_mb.reserve else {}
        limits["limit-memory"] = spec.memory_mb.limit
    if spec.cpus:
        limits["limit-cpu"] = spec.cpus
    if spec.shared_memory_mb:
        limits["shm-size"] = spec.shared_memory_mb * _MIB
    if spec.gpu:
        # Docker goes by the runtime, the hub's Docker by gpus, Swarm and Kubernetes by what is reserved.
        limits |= {"gpus": str(spec.gpu.count), "runtime": spec.gpu.runtime}
        limits["generic-resources"] = {"gpu": str(spec.gpu.count)}
    if spec.network:
        limits["network"] = spec.network
    return limits


def _beside(folder: Path, reference: str, kind: str) -> Path:
    for path in sorted(folder.parent.iterdir()):
        if not any((path / name).is_file() for name in ("model/card.yaml", "card.yaml")):
            continue
        card = read_card(path)
        if f"{card.container.image}:{card.version}:{card.name}" == reference and card.container.kind == kind:
            return path
    raise SpecError(
        f"its {kind} command {reference} is in no folder beside it; add a card of kind {kind} there",
        source=str(folder),
    )
