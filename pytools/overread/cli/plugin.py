"""``overread plugin``: build the jars that XNAT and the hub load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from overread.plugins.build import Built

_PLUGINS, _STUBS = Path("xnat-plugins"), Path("tests/plugin_stubs")


@click.group("plugin")
def cli() -> None:
    """Build the jars that XNAT and the hub load."""


@cli.command("build")
@click.argument(
    "folders", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="[FOLDER]..."
)
@click.option("--all", "every", is_flag=True, help="Build every folder of xnat-plugins/.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/plugins"), show_default=True)
@click.option(
    "--war",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="XNAT's web application, xnat-web-<version>.war: the plugin's classes are compiled against it.",
)
@click.option(
    "--classpath",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A further jar to compile against, such as the servlet API's. Can be repeated.",
)
@click.option(
    "--stubs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Without a WAR: signatures to check the Java against. In a checkout: tests/plugin_stubs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def build(
    folders: tuple[Path, ...],
    output: Path,
    war: Path | None,
    classpath: tuple[Path, ...],
    stubs: Path | None,
    *,
    every: bool,
    as_json: bool,
) -> None:
    """Build the plugin of each FOLDER.

    A folder with a study.yaml or a plugin.yaml. Writes the plugin's source tree in Gradle's layout and its jar. XNAT
    needs classes for a datatype, and they must be compiled against its own: name its WAR. Without, the jar is good for
    the embedded hub only, and says so.
    """
    from overread.plugins.build import build_plugin, plugin_folders  # noqa: PLC0415 - `overread --help` stays light

    if every == bool(folders):
        raise click.UsageError("Name one or more folders, or give --all.")
    if stubs is None and war is None and _STUBS.is_dir():
        stubs = _STUBS
    built = [
        build_plugin(folder, output, war=war, classpath=classpath, stubs=stubs)
        for folder in (plugin_folders(_PLUGINS) if every else folders)
    ]
    if as_json:
        click.echo(json.dumps([_described(item) for item in built], indent=1))
        return
    for item in built:
        click.echo(f"{item.path}  {item.plugin_id} {item.version}, {item.files} files; {item.checked}")
    if unfit := [item.path.name for item in built if not item.is_release]:
        click.echo(
            f"Not for release, good for the embedded hub only: {', '.join(unfit)}. For an XNAT, name its WAR: --war.",
            err=True,
        )
    click.echo(
        f"Drop them into the plugins folder of XNAT or of a hub's home, and restart it: cp {output}/*.jar .../plugins/",
        err=True,
    )


def _described(built: Built) -> dict[str, object]:
    return {
        "id": built.plugin_id,
        "version": built.version,
        "jar": str(built.path),
        "sources": str(built.sources),
        "release": built.is_release,
        "compiled_against": built.compiled_against,
    }
