"""``overread plugin``: build the jars that XNAT and the hub load."""

from __future__ import annotations

import json
from pathlib import Path

import click

_PLUGINS = Path("xnat-plugins")


@click.group("plugin")
def cli() -> None:
    """Build the jars that XNAT and the hub load."""


@cli.command("build")
@click.argument(
    "folders", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="[FOLDER]..."
)
@click.option("--all", "every", is_flag=True, help="Build every folder of xnat-plugins/.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/plugins"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def build(folders: tuple[Path, ...], out: Path, *, every: bool, as_json: bool) -> None:
    """Build the plugin of each FOLDER (a folder with a study.yaml or a plugin.yaml)."""
    from overread.plugins.build import build_plugin, plugin_folders  # noqa: PLC0415 - `overread --help` stays light

    if every == bool(folders):
        raise click.UsageError("Name one or more folders, or give --all.")
    built = [build_plugin(folder, out) for folder in (plugin_folders(_PLUGINS) if every else folders)]
    if as_json:
        click.echo(json.dumps([{"id": b.plugin_id, "version": b.version, "jar": str(b.path)} for b in built], indent=1))
        return
    for item in built:
        click.echo(f"{item.path}  {item.plugin_id} {item.version}, {item.files} files")
    click.echo(
        f"Drop them into the plugins folder of XNAT, or of a hub's home, and restart it: cp {out}/*.jar .../plugins/",
        err=True,
    )
