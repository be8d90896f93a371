"""The Container Service's command document, `command.json`.

Field names are XNAT's with hyphens for underscores. Unknown keys are errors: the Container Service drops them silently,
and a misspelt mount is then an empty input folder in the clinic.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

from overread.study.fields import Form, Spec, Whole

Name = Annotated[str, Form(r"[A-Za-z0-9_-]+", "use letters, digits, - and _")]
# What the Container Service takes for the names of a command, a mount and a wrapper: anything that is not blank.
Title = Annotated[str, Form(r"(?s:.*\S.*)", "give it a name"), Field(max_length=255)]
# Keys whose empty text says something; all others are then not said, as the Container Service has it.
_MAY_BE_EMPTY = frozenset(
    {"default-value", "true-value", "false-value", "command-line-separator", "description", "label", "content"}
)


def _plain_default(value: object) -> object:
    """Take a number or a yes/no for its text, as the Container Service does."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _plain_flag(value: object) -> object:
    """Take "true" and "false" for what they say, as the Container Service does."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


Default = Annotated[
    str, BeforeValidator(_plain_default), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})
]
YesNo = Annotated[
    bool,
    Field(strict=True),
    BeforeValidator(_plain_flag),
    WithJsonSchema({"anyOf": [{"type": ["boolean", "null"]}, {"enum": ["true", "false", ""]}]}),
]


class _Part(Spec):
    """A part of a command document."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_not_said(cls, value: object) -> object:
        """Drop what says nothing: null, empty text, and the ids that a server adds."""
        if not isinstance(value, dict):
            return value
        return {
            key: item
            for key, item in value.items()
            if item is not None
            and (item != "" or key in _MAY_BE_EMPTY)
            and not (key == "id" and "id" not in cls.model_fields)
        }


class Mount(_Part):
    """A folder of the container."""

    name: Title
    writable: YesNo = False
    path: Annotated[str, Form(r"/[^\0:]*", "write an absolute path of the container, such as /input")]


class Input(_Part):
    """What all inputs have in common."""

    name: Name
    label: str | None = None
    description: str | None = None
    matcher: str | None = None
    default_value: Default | None = None
    required: YesNo = True
    replacement_key: str | None = None
    sensitive: YesNo | None = None

    @property
    def key(self) -> str:
        """The text that is replaced by the input's value."""
        return self.replacement_key or f"#{self.name}#"


class CommandInput(Input):
    """A value that the container gets."""

    type: Literal["string", "boolean", "number", "select-one", "select-many", "file"] = "string"
    required: YesNo = False
    command_line_flag: str | None = None
    command_line_separator: str | None = None
    true_value: str | None = None
    false_value: str | None = None
    select_values: tuple[str, ...] = ()
    multiple_delimiter: Literal["quoted-space", "space", "comma", "flag"] | None = None


class CommandOutput(_Part):
    """Files that the container leaves behind."""

    name: Name
    description: str | None = None
    required: YesNo = False
    mount: str
    path: str | None = None
    glob: str | None = None


class WrapperInput(Input):
    """What a wrapper's inputs have in common."""

    type: Literal[
        "string", "boolean", "number", "Directory", "File[]", "File", "Project", "ProjectAsset", "Subject",
        "SubjectAssessor", "Session", "Scan", "Assessor", "Resource", "Config", "file",
    ] = "string"  # fmt: skip
    provides_value_for_command_input: str | None = None
    provides_files_for_command_mount: str | None = None
    via_setup_command: str | None = None
    user_settable: YesNo | None = None
    load_children: YesNo = True


class DerivedInput(WrapperInput):
    """A wrapper's input that is found from another one."""

    derived_from_wrapper_input: str
    derived_from_xnat_object_property: str | None = None
    multiple: YesNo = False
    parser: str | None = None


class OutputHandler(_Part):
    """What XNAT does with an output."""

    name: Name
    accepts_command_output: str
    as_a_child_of: str
    via_wrapup_command: (
        Annotated[str, Form(r"[^:\s]+:[^:\s]+(?::[^:\s]+)?", "write image:version or image:version:command")] | None
    ) = None
    type: Literal["Resource", "Assessor", "Scan"] = "Resource"
    xsi_type: str | None = None
    label: str | None = None
    format: str | None = None
    description: str | None = None
    content: str | None = None
    tags: tuple[str, ...] = ()


class Wrapper(_Part):
    """How a command is started from an object of XNAT, and where its outputs go."""

    name: Title
    label: str | None = None
    description: str | None = None
    contexts: tuple[str, ...] = ()
    external_inputs: tuple[WrapperInput, ...] = ()
    derived_inputs: tuple[DerivedInput, ...] = ()
    output_handlers: tuple[OutputHandler, ...] = ()

    @property
    def inputs(self) -> tuple[WrapperInput, ...]:
        """External inputs, then derived ones."""
        return (*self.external_inputs, *self.derived_inputs)


class Command(_Part):
    """A command document as it is written, without the ids that a server gives."""

    name: Title
    label: str | None = None
    description: str | None = None
    version: Annotated[str, Field(max_length=64)] = ""
    schema_version: str | None = None
    info_url: str | None = None
    image: Annotated[
        str,
        Form(
            r"[a-z0-9][a-z0-9._/-]*(?::\d+/[a-z0-9._/-]+)?(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
            "write name:tag",
        ),
    ]
    container_name: str | None = None
    type: Literal["docker", "docker-setup", "docker-wrapup"] = "docker"
    index: str | None = None
    hash: str | None = None
    working_directory: str | None = None
    command_line: str | None = None
    command_metadata: dict[str, JsonValue] | None = None
    override_entrypoint: YesNo | None = None
    mounts: tuple[Mount, ...] = ()
    environment_variables: dict[str, str] = Field(default_factory=dict)
    ports: dict[str, str] = Field(default_factory=dict)
    inputs: tuple[CommandInput, ...] = ()
    outputs: tuple[CommandOutput, ...] = ()
    xnat: tuple[Wrapper, ...] = ()
    reserve_memory: Whole | None = Field(None, ge=1, description="MB")
    limit_memory: Whole | None = Field(None, ge=1, description="MB")
    limit_cpu: Annotated[float, Field(strict=True, gt=0)] | None = None
    runtime: str | None = None
    ipc_mode: str | None = None
    auto_remove: YesNo | None = None
    shm_size: Whole | None = Field(None, ge=1, description="bytes")
    network: str | None = None
    container_labels: dict[str, str] | None = None
    gpus: str | None = None
    generic_resources: dict[str, str] | None = None
    ulimits: dict[str, str] | None = None
    secrets: tuple[dict[str, JsonValue], ...] = ()
    visibility: Literal["public", "protected", "private"] = "public"

    def document(self) -> dict[str, Any]:
        """Write the command as XNAT takes it: only what was said, with hyphens."""
        document: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True, exclude_unset=True))
        return document
