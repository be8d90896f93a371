"""A study as it was tested, in one file: what `overread study export` writes and `overread study promote` brings over.

The file is a zip archive with all files of the study, the plugins' jars, and ``signed-off.json``: the digest of each
file, of each image that ran on the tested server and of the datatype that it had, and who signed it off. What is in the
file and not in that list, or otherwise than there, is refused.
"""

from __future__ import annotations

import hashlib
import json
import os.path
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from overread import __version__
from overread.errors import ArchiveError, DataError
from overread.study.fields import Spec
from overread.study.problems import problems_of
from overread.xnat.bundle import StudyBundle, load_bundle
from overread.xnat.state import ServerState
from overread.xnat.steps import Step

DOCUMENT, _JARS = "signed-off.json", "plugins"
_TIME = (1980, 1, 1, 0, 0, 0)
_MOST_FILES, _MOST_BYTES = 1000, 256 << 20
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SignedOff(Spec):
    """``signed-off.json``: what was tested, and who answers for it."""

    format: Literal["overread-signed-study"] = "overread-signed-study"
    overread: str
    study: str
    version: str
    manifest: str = Field(description="The manifest's name in the archive.")
    signed_by: str = Field(min_length=1, max_length=200)
    signed_at: str
    tested_on: str = Field(description="Address of the server.")
    xnat_version: str
    plugins: dict[str, str] = Field(description="Plugin id -> version on the tested server.")
    datatype: _Digest = Field(description="SHA-256 of the XSD that the tested server had.")
    images: dict[str, str] = Field(description="Image -> digest on the tested server.")
    files: dict[str, _Digest] = Field(description="Name in the archive -> SHA-256.")


def study_files(bundle: StudyBundle) -> dict[str, Path]:
    """Find all files that make up a study.

    Returns
    -------
    dict
        Name, relative to the folder that all are below -> file.
    """
    manifest = Path(bundle.source).resolve()
    found = {manifest, *_referred(bundle.manifest.model_dump(mode="json"), manifest.parent)}
    datatype = Path(bundle.datatype.source).resolve()
    found |= {(datatype.parent / name).resolve() for name in bundle.datatype.spec.include}
    for path in [path for path in found if path.name == "command.json"]:
        wrapups = {(c.name, c.version) for c in bundle.commands if c.type != "docker"}
        for neighbour in path.parent.parent.glob("*/command.json"):
            document = _json(neighbour)
            if (document.get("name"), document.get("version")) in wrapups:
                found.add(neighbour.resolve())
    root = Path(os.path.commonpath([path.parent for path in found]))
    return {path.relative_to(root).as_posix(): path for path in sorted(found)}


def export(
    bundle: StudyBundle, state: ServerState, steps: tuple[Step, ...], target: Path,
    *, server: str, signed_by: str, jars: Mapping[str, Path],
) -> SignedOff:  # fmt: skip
    """Write what was tested on a server to one file.

    Parameters
    ----------
    bundle, state, steps
        The study, what the server has, and the plan between them: none of it may be to do.
    target
        The file to write.
    server, signed_by
        Where it was tested, and who answers for that.
    jars
        The plugins' jars, by name.

    Raises
    ------
    ArchiveError
        The server runs something else than the files say, or not all of it.
    """
    unlike = [step.name for step in steps if step.action not in {"unchanged", "note"}]
    if unlike:
        raise ArchiveError(
            f"{server} does not run this study as its files are: {', '.join(unlike[:3])}; apply and test it there first"
        )
    images = {command.image: state.images.get(command.image, "") for command in bundle.commands}
    missing = [image for image, digest in images.items() if not digest]
    if missing:
        raise ArchiveError(f"{server} has no image {', '.join(missing)}: what is not there was not tested")
    files = study_files(bundle)
    content = {name: path.read_bytes() for name, path in files.items()}
    content |= {f"{_JARS}/{name}": path.read_bytes() for name, path in jars.items()}
    manifest = next(name for name, path in files.items() if path == Path(bundle.source).resolve())
    signed = SignedOff(
        overread=__version__,
        study=bundle.manifest.id,
        version=bundle.manifest.version,
        manifest=manifest,
        signed_by=signed_by,
        signed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tested_on=server,
        xnat_version=state.xnat_version,
        plugins=dict(state.plugins or {}),
        datatype=_sha256((state.schema or "").encode()),
        images=images,
        files={name: _sha256(data) for name, data in content.items()},
    )
    part = target.with_name(f".{target.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {DOCUMENT: (signed.model_dump_json(indent=1) + "\n").encode(), **content}.items():
            archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
    part.replace(target)
    return signed


def unpack(source: Path, folder: Path) -> tuple[SignedOff, StudyBundle]:
    """Unpack a signed-off study, and see that all of it is what was signed.

    Parameters
    ----------
    source
        The archive; it may come from anybody.
    folder
        An empty folder.

    Raises
    ------
    DataError
        It is no such archive, or something in it is otherwise than the list says.
    SpecError
        The study in it can't be read.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            content = dict(_read(archive, source))
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError):
        raise DataError(f"{source} is no zip archive that can be read; export the study again") from None
    signed = _document(content.pop(DOCUMENT, b""), source)
    for name in sorted(signed.files.keys() | content.keys()):
        if name not in content or name not in signed.files or _sha256(content[name]) != signed.files[name]:
            what = "is missing" if name not in content else "was not tested" if name not in signed.files else "differs"
            raise DataError(f"{source}: {name} {what}: this is not what {signed.signed_by} signed off; export it again")
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if signed.manifest not in content:
        raise DataError(f"{source} has no {signed.manifest}; export the study again")
    bundle = load_bundle(folder / signed.manifest)
    if (bundle.manifest.id, bundle.manifest.version) != (signed.study, signed.version):
        raise DataError(f"{source}: its manifest is of {bundle.manifest.id} {bundle.manifest.version}; export it again")
    return signed, bundle


def unlike(signed: SignedOff, state: ServerState, *, archive: Path) -> Iterator[str]:
    """Say what a server has otherwise than the one on which the study was tested, and what to do."""
    for image, digest in sorted(signed.images.items()):
        have = state.images.get(image)
        if have is None:
            yield f"image {image} is not there; load the tested one: docker save {image} | ssh ... docker load"
        elif have != digest:
            yield f"image {image} is {have}, and {digest} was tested; load the tested one in its place"
    if state.schema is None or _sha256(state.schema.encode()) != signed.datatype:
        jars = ", ".join(name for name in signed.files if name.startswith(f"{_JARS}/")) or "the tested jars"
        yield f"the datatype is not the tested one; put {jars} of {archive.name} into the plugins folder and restart"
    for plugin, version in sorted(signed.plugins.items()):
        have = (state.plugins or {}).get(plugin)
        if have != version and (plugin.startswith("overread") or plugin in {"containers", "ohifViewerPlugin"}):
            yield f"plugin {plugin} is {have or 'not there'}, and {version} was tested; install that"
    if _line(state.xnat_version) != _line(signed.xnat_version):
        yield f"the server is XNAT {state.xnat_version}, and {signed.xnat_version} was tested"


def at(bundle: StudyBundle, source: Path) -> StudyBundle:
    """Name the archive as a study's source, where its files are in a folder that goes away."""
    return replace(bundle, source=str(source))


def _line(version: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+", version)[:2])


def _referred(value: object, folder: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _referred(each, folder)
    elif isinstance(value, list):
        for each in value:
            yield from _referred(each, folder)
    elif isinstance(value, str) and re.search(r"\.\w+$", value) and len(value) < 1024 and "\n" not in value:  # noqa: PLR2004
        path = Path(os.path.normpath(folder / value))
        if path.is_file():
            yield path.resolve()


def _read(archive: zipfile.ZipFile, source: Path) -> Iterator[tuple[str, bytes]]:
    members = archive.infolist()
    if len(members) > _MOST_FILES or sum(item.file_size for item in members) > _MOST_BYTES:
        raise DataError(f"{source} holds more than a study can: {_MOST_FILES} files, {_MOST_BYTES >> 20} MiB")
    if len({item.filename for item in members}) != len(members):
        raise DataError(f"{source} holds a name twice; export the study again")
    for item in members:
        parts = PurePosixPath(item.filename).parts
        if item.is_dir() or item.filename.startswith("/") or ".." in parts or "\\" in item.filename:
            raise DataError(f"{source} holds a name that leads elsewhere; export the study again")
        with archive.open(item) as file:
            yield item.filename, file.read(_MOST_BYTES)


def _document(text: bytes, source: Path) -> SignedOff:
    try:
        return SignedOff.model_validate(json.loads(text))
    except ValidationError as error:
        first, *others = problems_of(error, model=SignedOff, source=f"{source}:{DOCUMENT}", lines={})
        raise first.error(others=len(others)) from None
    except (ValueError, RecursionError):
        raise DataError(f"{source} has no {DOCUMENT} that can be read; export the study again") from None


def _json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
