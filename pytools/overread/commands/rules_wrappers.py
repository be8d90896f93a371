"""Rules about wrappers: how a command is started from an object of XNAT, and where its outputs go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from overread.commands.findings import Found, rule
from overread.commands.model import Command, DerivedInput, OutputHandler, Wrapper, WrapperInput
from overread.study.problems import Location, did_you_mean

MOUNTABLE = frozenset({"Project", "ProjectAsset", "SubjectAssessor", "Session", "Scan", "Assessor", "Resource", "File"})
_COMMON = frozenset({"id", "label", "xsiType", "uri", "directory", "datatype-string"})
# What a value of an object may be taken from (derived-from-xnat-object-property): the fields of model/xnat/*.java.
PROPERTIES: Mapping[str, frozenset[str]] = {
    "Project": _COMMON | {"title", "running-title", "description", "keywords", "accessibility"},
    "ProjectAsset": _COMMON | {"project-id"},
    "Subject": _COMMON | {"project-id", "group", "source", "initials"},
    "SubjectAssessor": _COMMON | {"project-id", "subject-id"},
    "Session": _COMMON | {"project-id", "shared-from-project-id", "subject-id", "visit-id"},
    "Scan": _COMMON
    | {
        "integer-id", "scan-type", "project-id", "session-id", "frames", "note", "modality", "quality", "scanner",
        "scanner-manufacturer", "scanner-model", "scanner-software-version", "series-description", "start-time", "uid",
    },
    "Assessor": _COMMON | {"project-id", "session-id", "name"},
    "Resource": _COMMON | {"integer-id", "parent-uri"},
    "File": _COMMON | {"name", "path", "format", "content", "size", "checksum"},
}  # fmt: skip
# From what an input of a type can be derived (CommandResolutionServiceImpl.resolveDerivedWrapperInput).
_ANY = frozenset({"Project", "ProjectAsset", "Subject", "SubjectAssessor", "Session", "Scan", "Assessor"})
SOURCES: Mapping[str, frozenset[str]] = {
    "string": _ANY | {"Resource", "File"},
    "Directory": frozenset({"Resource"}),
    "File": frozenset({"Resource"}),
    "File[]": frozenset({"Resource"}),
    "Project": _ANY - {"Project"},
    "ProjectAsset": frozenset({"Project"}),
    "Subject": frozenset({"Project", "Session", "SubjectAssessor"}),
    "Session": frozenset({"Subject", "Scan", "Assessor"}),
    "Scan": frozenset({"Session", "Resource"}),
    "Assessor": frozenset({"Session"}),
    "Resource": _ANY,
}
# Type of an external input -> what a context of it may end with.
_CONTEXTS: Mapping[str, re.Pattern[str]] = {
    "Project": re.compile(r"xnat:projectData"),
    "Subject": re.compile(r"xnat:subjectData"),
    "Session": re.compile(r".+:\w*SessionData"),
    "Scan": re.compile(r".+:\w*ScanData"),
}
_CONTEXT = re.compile(r"[A-Za-z][\w-]*:[A-Za-z]\w*")
_OBJECTS = frozenset(PROPERTIES) - {"File"}


def inputs_of(wrapper: Wrapper, index: int) -> Iterator[tuple[Location, WrapperInput]]:
    """Yield all inputs of a wrapper with their places."""
    for number, item in enumerate(wrapper.external_inputs):
        yield ("xnat", index, "external-inputs", number), item
    for number, derived in enumerate(wrapper.derived_inputs):
        yield ("xnat", index, "derived-inputs", number), derived


@rule("wrapper-missing", "warning", "Without a wrapper nobody can start the command from a page or an event.")
def wrapper_missing(command: Command) -> Iterator[Found]:
    """Want a wrapper."""
    if not command.xnat:
        yield ("xnat",), "has no wrapper", "add one with an external input, such as a Session"


@rule("wrapper-description", "warning", "The Run menu shows it; without one users see a technical name.")
def wrapper_description(command: Command) -> Iterator[Found]:
    """Want words for each wrapper."""
    for index, wrapper in enumerate(command.xnat):
        if not wrapper.description:
            yield ("xnat", index, "description"), "is missing", "say what it takes, and where it stores what"


@rule(
    "wrapper-external-input",
    "error",
    "A launch names the object of the first external input: without one there is no launch.",
)
def wrapper_external_input(command: Command) -> Iterator[Found]:
    """Want an external input."""
    for index, wrapper in enumerate(command.xnat):
        if not wrapper.external_inputs:
            yield ("xnat", index, "external-inputs"), "is empty", "a run starts from one external input"


@rule("context-missing", "error", "A wrapper is offered, and events start it, on objects of its contexts alone.")
def context_missing(command: Command) -> Iterator[Found]:
    """Want contexts."""
    for index, wrapper in enumerate(command.xnat):
        if not wrapper.contexts:
            mend = "name the types it starts from, such as xnat:mrSessionData"
            yield ("xnat", index, "contexts"), "is empty", mend


@rule("context-type", "error", "The wrapper is offered on objects that its external input can't be.")
def context_type(command: Command) -> Iterator[Found]:
    """Want contexts that fit the external input."""
    for index, wrapper in enumerate(command.xnat):
        kinds = [item.type for item in wrapper.external_inputs if item.type in _OBJECTS]
        kind = kinds[0] if kinds else ""
        for number, context in enumerate(wrapper.contexts):
            location: Location = ("xnat", index, "contexts", number)
            fitting = _CONTEXTS.get(kind)
            if not _CONTEXT.fullmatch(context):
                yield location, f"'{context}' is no datatype", "write prefix:type, such as xnat:mrSessionData"
            elif fitting is not None and not fitting.fullmatch(context):
                yield location, f"{context} is no {kind}", f"name the type of a {kind}, or change the external input"
            elif kind == "Assessor" and re.fullmatch(r"xnat:(\w*(Session|Scan)Data|projectData|subjectData)", context):
                yield location, f"{context} is no Assessor", "name an assessor's type, such as icr:roiCollectionData"


@rule("context-any-session", "warning", "The wrapper is offered on every session, of whatever modality.")
def context_any_session(command: Command) -> Iterator[Found]:
    """Find contexts that no modality narrows, where others are named as well."""
    for index, wrapper in enumerate(command.xnat):
        if "xnat:imageSessionData" in wrapper.contexts and len(wrapper.contexts) > 1:
            place = wrapper.contexts.index("xnat:imageSessionData")
            mend = "remove it, or the other contexts"
            yield ("xnat", index, "contexts", place), "covers all other sessions", mend


@rule("provides-unknown-input", "error", "The value goes nowhere.")
def provides_unknown_input(command: Command) -> Iterator[Found]:
    """Want an input of the command for each value."""
    names = [item.name for item in command.inputs]
    for index, wrapper in enumerate(command.xnat):
        for place, item in inputs_of(wrapper, index):
            target = item.provides_value_for_command_input
            if target is not None and target not in names:
                location: Location = (*place, "provides-value-for-command-input")
                yield location, f"there is no input '{target}'", did_you_mean(target, names)


@rule(
    "provides-select",
    "error",
    "The Container Service refuses the command; an input that XNAT fills becomes a choice by itself.",
)
def provides_select(command: Command) -> Iterator[Found]:
    """Find selects that XNAT is to fill."""
    selects = {item.name for item in command.inputs if item.type.startswith("select") or item.select_values}
    for index, wrapper in enumerate(command.xnat):
        for place, item in inputs_of(wrapper, index):
            target = item.provides_value_for_command_input
            if target in selects:
                location: Location = (*place, "provides-value-for-command-input")
                yield location, f"the input '{target}' is a select", "an input that XNAT fills is a string"


@rule("provides-twice", "error", "Two values for one input, or two folders for one mount: one of them is lost.")
def provides_twice(command: Command) -> Iterator[Found]:
    """Want one source for each input and mount."""
    for index, wrapper in enumerate(command.xnat):
        seen: dict[tuple[str, str], str] = {}
        for place, item in inputs_of(wrapper, index):
            for key, target in (
                ("provides-value-for-command-input", item.provides_value_for_command_input),
                ("provides-files-for-command-mount", item.provides_files_for_command_mount),
            ):
                if target is None:
                    continue
                if (key, target) in seen:
                    yield (
                        (*place, key),
                        f"'{target}' is filled by '{seen[key, target]}' already",
                        "let one input fill it",
                    )
                seen.setdefault((key, target), item.name)


@rule("provides-unknown-mount", "error", "The files go nowhere, and the image finds an empty folder.")
def provides_unknown_mount(command: Command) -> Iterator[Found]:
    """Want a mount for all files."""
    names = [mount.name for mount in command.mounts]
    for index, wrapper in enumerate(command.xnat):
        for place, item in inputs_of(wrapper, index):
            mount = item.provides_files_for_command_mount
            if mount is not None and mount not in names:
                location: Location = (*place, "provides-files-for-command-mount")
                yield location, f"there is no mount '{mount}'", did_you_mean(mount, names)


@rule("provides-no-files", "error", "The Container Service can't mount it: the launch fails.")
def provides_no_files(command: Command) -> Iterator[Found]:
    """Want objects that have files."""
    for index, wrapper in enumerate(command.xnat):
        for place, item in inputs_of(wrapper, index):
            if item.provides_files_for_command_mount is not None and item.type not in MOUNTABLE:
                location: Location = (*place, "provides-files-for-command-mount")
                yield location, f"a {item.type} has no files", f"use one of {', '.join(sorted(MOUNTABLE))}"


@rule("setup-without-mount", "error", "The Container Service refuses the command: a setup command fills a mount.")
def setup_without_mount(command: Command) -> Iterator[Found]:
    """Want a mount for each setup command."""
    for index, wrapper in enumerate(command.xnat):
        for place, item in inputs_of(wrapper, index):
            if item.via_setup_command and item.provides_files_for_command_mount is None:
                mend = "add provides-files-for-command-mount"
                yield (*place, "via-setup-command"), "has no mount to fill", mend


@rule("derived-unknown", "error", "The Container Service refuses the command; inputs are found in their order.")
def derived_unknown(command: Command) -> Iterator[Found]:
    """Want earlier inputs to derive from."""
    for index, wrapper in enumerate(command.xnat):
        known = [item.name for item in wrapper.external_inputs]
        for number, item in enumerate(wrapper.derived_inputs):
            source = item.derived_from_wrapper_input
            if source not in known:
                location: Location = ("xnat", index, "derived-inputs", number, "derived-from-wrapper-input")
                yield location, f"there is no earlier input '{source}'", did_you_mean(source, known)
            known.append(item.name)


@rule("derived-property", "error", "The value stays empty.")
def derived_property(command: Command) -> Iterator[Found]:
    """Want properties that the object has."""
    for place, item, source in _derivations(command):
        wanted, allowed = item.derived_from_xnat_object_property, PROPERTIES.get(source.type)
        location: Location = (*place, "derived-from-xnat-object-property")
        if wanted is not None and allowed is not None and wanted not in allowed:
            yield location, f"a {source.type} has no '{wanted}'", did_you_mean(wanted, allowed)
        elif wanted is None and item.type == "string":
            yield location, "is missing", f"say which property of the {source.type}, such as label"


@rule("derived-type", "error", "The Container Service finds no value: such an object has no such parent or child.")
def derived_type(command: Command) -> Iterator[Found]:
    """Want types that can be derived from each other."""
    for place, item, source in _derivations(command):
        allowed = SOURCES.get(item.type)
        if item.type in {"boolean", "number"}:
            yield (*place, "type"), f"no {item.type} can be derived", "make it a string"
        elif allowed is not None and source.type not in allowed:
            mend = f"a {item.type} comes from {', '.join(sorted(allowed))}"
            yield (*place, "derived-from-wrapper-input"), f"no {item.type} can be derived from a {source.type}", mend


@rule(
    "multiple-target", "error", "The Container Service refuses the command: several values fit the command line only."
)
def multiple_target(command: Command) -> Iterator[Found]:
    """Want a command input for several values, and no mount."""
    for place, item, _ in _derivations(command):
        if item.multiple and item.provides_files_for_command_mount:
            yield (*place, "multiple"), "several objects can't fill one mount", "mount the object around them"
        if item.multiple and not item.provides_value_for_command_input:
            yield (*place, "multiple"), "several values must go to a command input", "say which one"


@rule("matcher-brackets", "error", "The matcher can't be read, and no object matches.")
def matcher_brackets(command: Command) -> Iterator[Found]:
    """Want brackets and quotes that close."""
    for index, wrapper in enumerate(command.xnat):
        for place, item in inputs_of(wrapper, index):
            if item.matcher and not _closed(item.matcher):
                yield (*place, "matcher"), "brackets or quotes do not close", "write such as @.label == 'DICOM'"
            elif item.matcher and "@" not in item.matcher:
                yield (*place, "matcher"), "looks at no object", "name it by @, such as @.label == 'DICOM'"


@rule("handler-unknown-output", "error", "The Container Service refuses the command.")
def handler_unknown_output(command: Command) -> Iterator[Found]:
    """Want outputs for handlers."""
    outputs = [output.name for output in command.outputs]
    for place, handler, _, _ in _handlers(command):
        accepted = handler.accepts_command_output
        if accepted not in outputs:
            location: Location = (*place, "accepts-command-output")
            yield location, f"there is no output '{accepted}'", did_you_mean(accepted, outputs)


@rule("output-unhandled", "error", "The Container Service refuses the command.")
def output_unhandled(command: Command) -> Iterator[Found]:
    """Want a handler for each output, in every wrapper."""
    for index, wrapper in enumerate(command.xnat):
        taken = {handler.accepts_command_output for handler in wrapper.output_handlers}
        for name in sorted({output.name for output in command.outputs} - taken):
            yield ("xnat", index, "output-handlers"), f"nothing takes the output '{name}'", "add a handler for it"


@rule("handler-label", "error", "The Container Service refuses the command.")
def handler_label(command: Command) -> Iterator[Found]:
    """Want labels for resources."""
    for place, handler, _, _ in _handlers(command):
        if handler.type == "Resource" and not handler.label:
            yield place, "a Resource needs a label", "add 'label'"


@rule("handler-label-twice", "warning", "Both outputs land in one resource; files of one name replace each other.")
def handler_label_twice(command: Command) -> Iterator[Found]:
    """Find resources of one label on one object."""
    for index, wrapper in enumerate(command.xnat):
        seen: set[tuple[str, str]] = set()
        for number, handler in enumerate(wrapper.output_handlers):
            key = (handler.as_a_child_of, handler.label or "")
            if handler.type == "Resource" and handler.label and key in seen:
                location: Location = ("xnat", index, "output-handlers", number, "label")
                yield location, f"'{handler.label}' stands twice on '{handler.as_a_child_of}'", "give it another label"
            seen.add(key)


@rule(
    "handler-xml", "error", "An Assessor or Scan is made of exactly one file that ends in .xml: the run ends as Failed."
)
def handler_xml(command: Command) -> Iterator[Found]:
    """Want an XML file for each item."""
    outputs = {output.name: output for output in command.outputs}
    for place, handler, _, _ in _handlers(command):
        output = outputs.get(handler.accepts_command_output)
        if handler.type == "Resource" or output is None:
            continue
        path = output.path or ""
        if "#" not in path and "." in path.rpartition("/")[2] and not path.endswith(".xml"):
            yield (
                (*place, "accepts-command-output"),
                f"'{path}' is no XML file",
                f"let the image write the {handler.type} as XML",
            )


@rule(
    "handler-xsi-type",
    "warning",
    "XNAT can't tell before the run whether the user may store the result, and the run is for nothing.",
)
def handler_xsi_type(command: Command) -> Iterator[Found]:
    """Want the type of what is made."""
    for place, handler, _, _ in _handlers(command):
        if handler.type != "Resource" and not handler.xsi_type:
            yield (
                place,
                f"is of type {handler.type} and has no xsi-type",
                "add 'xsi-type', such as xnat:qcAssessmentData",
            )
        if handler.type == "Resource" and handler.xsi_type:
            yield (*place, "xsi-type"), "a Resource has no xsi-type", "remove it, or make it an Assessor"


@rule("handler-parent", "error", "The Container Service refuses the command, or has nothing to store below.")
def handler_parent(command: Command) -> Iterator[Found]:
    """Want an input, or an earlier handler that makes an item, as parent."""
    for place, handler, inputs, earlier in _handlers(command):
        location: Location = (*place, "as-a-child-of")
        parent = handler.as_a_child_of
        if parent in earlier:
            if earlier[parent].type == "Resource":
                yield location, f"'{parent}' is a Resource and has no children", "name an Assessor or a Scan"
            elif handler.type != "Resource":
                mend = "store it on the session; only a Resource can be stored on what another handler makes"
                yield location, f"nothing of type {handler.type} can be stored below '{parent}'", mend
        elif parent not in inputs:
            later = {other.name for other in command.xnat[int(place[1])].output_handlers} - {handler.name}
            if parent not in later:  # handler-order tells that
                mend = did_you_mean(parent, {*inputs, *earlier})
                yield location, f"there is no input or earlier handler '{parent}'", mend
        else:
            yield from ((location, what, how) for what, how in _unfit_parent(inputs[parent]))


@rule("handler-assessor-parent", "warning", "XNAT keeps assessors of images on their session, whatever the XML says.")
def handler_assessor_parent(command: Command) -> Iterator[Found]:
    """Want a session for assessors."""
    for place, handler, inputs, _ in _handlers(command):
        source = inputs.get(handler.as_a_child_of)
        if handler.type == "Assessor" and source and source.type in _OBJECTS - {"Session"}:
            mend = "derive the Session from it, and name that"
            yield (
                (*place, "as-a-child-of"),
                f"an Assessor is stored on a session, and this is of type {source.type}",
                mend,
            )


@rule("handler-order", "error", "Handlers are carried out in their order: the parent is not there yet.")
def handler_order(command: Command) -> Iterator[Found]:
    """Find handlers whose parent comes later."""
    for index, wrapper in enumerate(command.xnat):
        names = [handler.name for handler in wrapper.output_handlers]
        for number, handler in enumerate(wrapper.output_handlers):
            if handler.as_a_child_of in names[number:]:
                location: Location = ("xnat", index, "output-handlers", number, "as-a-child-of")
                yield location, f"'{handler.as_a_child_of}' comes later", "move that handler before this one"


@rule(
    "handler-required",
    "warning",
    "A run without the optional parent leaves the child nowhere to be stored, and ends as Failed.",
)
def handler_required(command: Command) -> Iterator[Found]:
    """Find required outputs below optional ones."""
    required = {output.name: output.required for output in command.outputs}
    for place, handler, _, earlier in _handlers(command):
        parent = earlier.get(handler.as_a_child_of)
        if (
            parent
            and required.get(handler.accepts_command_output)
            and required.get(parent.accepts_command_output) is False
        ):
            mend = "make both required, or both optional"
            yield (*place, "as-a-child-of"), f"is required, and '{parent.name}' below which it goes is not", mend


def _unfit_parent(source: WrapperInput) -> Iterator[tuple[str, str]]:
    if source.type not in _OBJECTS and not (isinstance(source, DerivedInput) and source.type == "string"):
        yield (
            f"'{source.name}' is a {source.type} and no object of XNAT",
            "name a Session, Scan, Assessor, Subject or Project",
        )
    if isinstance(source, DerivedInput):
        if source.multiple:
            yield f"'{source.name}' may be several objects", "name a single one"
        if source.derived_from_xnat_object_property not in {None, "uri"}:
            yield f"'{source.name}' is a {source.derived_from_xnat_object_property}", "it must be a uri"


def _derivations(command: Command) -> Iterator[tuple[Location, DerivedInput, WrapperInput]]:
    """Yield each derived input with its place and what it comes from, where that is known."""
    for index, wrapper in enumerate(command.xnat):
        known: dict[str, WrapperInput] = {item.name: item for item in wrapper.external_inputs}
        for number, item in enumerate(wrapper.derived_inputs):
            source = known.get(item.derived_from_wrapper_input)
            if source is not None:
                yield ("xnat", index, "derived-inputs", number), item, source
            known[item.name] = item


def _handlers(
    command: Command,
) -> Iterator[tuple[Location, OutputHandler, Mapping[str, WrapperInput], Mapping[str, OutputHandler]]]:
    """Yield each handler with its place, the wrapper's inputs, and the handlers before it."""
    for index, wrapper in enumerate(command.xnat):
        inputs = {item.name: item for item in wrapper.inputs}
        handlers: Sequence[OutputHandler] = wrapper.output_handlers
        for number, handler in enumerate(handlers):
            earlier = {other.name: other for other in handlers[:number]}
            yield ("xnat", index, "output-handlers", number), handler, inputs, earlier


def _closed(text: str) -> bool:
    """Tell whether brackets and quotes of a JSONPath filter close; what stands in /.../ is a pattern."""
    pairs, open_brackets, quote, before = {")": "(", "]": "["}, [], "", ""
    for letter in re.sub(r"=~\s*/(?:\\.|[^/\\])*/i?", "", text):
        if quote:
            quote = "" if letter == quote and before != "\\" else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([":
            open_brackets.append(letter)
        elif letter in pairs and (not open_brackets or open_brackets.pop() != pairs[letter]):
            return False
        before = letter
    return not quote and not open_brackets
