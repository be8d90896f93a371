"""``overread segmentation``: segmentations by people: take them in with their source, and list them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overread.errors import OverreadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from overread.dicom.segments import SegmentInfo
    from overread.study.manifest import StudyManifest

_STUDY = click.argument("study", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_SERVER = click.option(
    "--url", "--server", "server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org."
)
_USER = click.option("--user", required=True, envvar="OVERREAD_USER", help="A member of the study's project.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("segmentation")
def cli() -> None:
    """Segmentations by people: take them in with their source, and list them."""


def _at_server(work: Callable[..., Any]) -> Callable[..., Any]:
    return _SERVER(_USER(work))


@cli.command("add")
@_STUDY
@click.argument("exam")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@_at_server
@click.option("--source", required=True, help="One of the study's reading.sources, such as expert or novice.")
@click.option("--reader", required=True, help="Login of who drew it.")
@click.option("--collection", default="", help="Instead of FILE: label of a collection drawn in OHIF on this exam.")
@click.option(
    "--name", "names", multiple=True, metavar="THERE=LABEL", help="What a region, segment or number is in the study."
)
@click.option("--scan", default="", help="The scan that a NIfTI was drawn on, if the exam has several.")
@click.option("--overwrite", is_flag=True, help="Replace that of the same exam, source and reader.")
@_JSON
def add(
    *,
    study: Path,
    exam: str,
    file: Path | None,
    server: str,
    user: str,
    source: str,
    reader: str,
    collection: str,
    names: tuple[str, ...],
    scan: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Keep a person's segmentation of EXAM with the study.

    EXAM is a session's label, FILE a SEG, an RTSTRUCT or a NIfTI. It must lie on the grid of the exam's images; nothing
    is resampled. Structures are known by the study's labels, in a NIfTI by its numbers; --name says where they differ.
    """
    import datetime  # noqa: PLC0415 - `overread --help` stays light

    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.segmentations import Given  # noqa: PLC0415
    from overread.xnat.segmentations import add as add_segmentation  # noqa: PLC0415

    if (file is None) == (not collection):
        raise click.UsageError("Give FILE, or --collection for one drawn in OHIF.")
    manifest = _manifest(study)
    if source not in _people(manifest):
        raise OverreadError(
            f"{source} is no source of {manifest.id} that people are: {', '.join(_people(manifest)) or 'it has none'}; "
            "name sources in reading.sources"
        )
    given = Given(source=source, reader=reader, path=file, collection=collection, names=_pairs(names), scan=scan)
    now = datetime.datetime.now(datetime.UTC)
    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        kept = add_segmentation(
            archive, given, project=manifest.project, session=exam, segments=_segments(manifest), now=now,
            overwrite=overwrite,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps({"label": kept.label, "id": kept.number, "from": kept.kind, "voxels": kept.voxels}))
        return
    drawn = ", ".join(f"{label} {count}" for label, count in kept.voxels.items())
    click.echo(f"{kept.label}: {source} segmentation by {reader}, from {kept.kind}; voxels: {drawn}")


@cli.command("list")
@_STUDY
@click.argument("exam")
@_at_server
@_JSON
def list_(*, study: Path, exam: str, server: str, user: str, as_json: bool) -> None:
    """List the segmentations by people that EXAM has, with their source. Not for readers."""
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.segmentations import sources_of  # noqa: PLC0415

    manifest = _manifest(study)
    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        found = sources_of(archive, manifest.project, exam)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for label, act in sorted(found.items()):
        click.echo(f"{label}  {act.get('source')}  {act.get('reader')}  {act.get('from')}  {act.get('added_at')}")
    click.echo(f"{len(found)} segmentations by people", err=True)


def _manifest(study: Path) -> StudyManifest:
    from overread.study.manifest import load_manifest  # noqa: PLC0415

    return load_manifest(study.read_text("utf-8"), source=str(study))


def _people(manifest: StudyManifest) -> tuple[str, ...]:
    from overread.study.reading import MODEL  # noqa: PLC0415

    return tuple(source for source in (manifest.reading.sources if manifest.reading else ()) if source != MODEL)


def _segments(manifest: StudyManifest) -> list[SegmentInfo]:
    from overread.dicom.segments import SegmentInfo  # noqa: PLC0415

    shown = manifest.reading.show.segments if manifest.reading and manifest.reading.show else ()
    return [SegmentInfo(number=segment.number, label=segment.label) for segment in shown]


def _pairs(names: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for name in names:
        there, mark, label = name.rpartition("=")
        if not mark or not there or not label:
            raise click.UsageError(f"--name {name}: write what it is called there, =, and the study's label.")
        pairs[there] = label
    return pairs
