"""``overread command``: make, check and explain command.json of XNAT's Container Service."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import click

_STDIN = "-"
_MAX_BYTES = 4 * 2**20

_FILES = click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))


@click.group("command")
def cli() -> None:
    """Make, check and explain command.json of XNAT's Container Service."""


@cli.command("lint")
@_FILES
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
def lint(files: tuple[Path, ...], form: str) -> None:
    """Find what is wrong with each FILE, anybody's command.json (- is standard input).

    Works offline. One line for each finding: file, line, JSON path, what, how to mend it, rule; `overread command
    rules` says why. Exit code 1 when there is an error, 0 when there are warnings alone.
    """
    from overread.commands.lint import lint_text  # noqa: PLC0415 - `overread --help` stays light
    from overread.commands.report import json_report, sarif_report, text_report  # noqa: PLC0415

    found = {_name(path): lint_text(_text(path), source=_name(path)) for path in files}
    if form == "json":
        click.echo(json_report(found))
    elif form == "sarif":
        click.echo(sarif_report(found, version=importlib.metadata.version("overread")))
    elif any(found.values()):
        click.echo(text_report(found))
    errors = sum(item.rule.severity == "error" for items in found.values() for item in items)
    warnings = sum(map(len, found.values())) - errors
    if form == "text":
        click.echo(f"{len(found)} files, {errors} errors, {warnings} warnings", err=True)
    if errors:
        raise click.exceptions.Exit(1)


@cli.command("compile")
@click.argument("study", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Write nothing; name what is stale, and exit with 1 if anything is.")
def compile_(study: Path, *, check: bool) -> None:
    """Make the commands of the manifest STUDY from it and from its images' cards.

    Writes command.json into each image's folder, and the label org.nrg.commands into its Dockerfile: for the image
    itself, its measurement of corrections, and their setup and wrap-up commands. Paste command.json into XNAT's page,
    or let `overread study apply` send it.
    """
    from overread.commands.compile import compile_study  # noqa: PLC0415
    from overread.commands.files import write_files  # noqa: PLC0415
    from overread.plugins.datatype import load_datatype  # noqa: PLC0415
    from overread.study.manifest import load_manifest  # noqa: PLC0415

    manifest = load_manifest(_text(study), source=str(study))
    datatype = load_datatype(study.parent / manifest.result)
    compiled = compile_study(manifest, near=study.parent, result_type=datatype.xsi_type)
    stale = [path for one in compiled for path in write_files(one, check=check)]
    for path in stale:
        click.echo(f"{'stale' if check else 'written'}  {_shown(path)}")
    click.echo(f"{len(compiled)} commands, {len(stale)} files {'stale' if check else 'changed'}", err=True)
    if check and stale:
        click.echo(f"Make them anew: overread command compile {study}", err=True)
        raise click.exceptions.Exit(1)


@cli.command("rules")
def rules() -> None:
    """Print the table of the lint's rules: id, how bad, why."""
    from overread.commands.lint import rules as all_rules  # noqa: PLC0415
    from overread.commands.report import rule_table  # noqa: PLC0415

    click.echo(rule_table(all_rules()), nl=False)


@cli.command("schema")
def schema() -> None:
    """Print the JSON Schema of a command document, for editors."""
    from overread.commands.schema import command_schema  # noqa: PLC0415

    click.echo(json.dumps(command_schema(), indent=2))


def _name(path: Path) -> str:
    return "standard input" if str(path) == _STDIN else str(path)


def _text(path: Path) -> str:
    try:
        if str(path) == _STDIN:
            return sys.stdin.read(_MAX_BYTES)
        if path.is_file() and path.stat().st_size > _MAX_BYTES:
            raise click.ClickException(f"{path}: is larger than {_MAX_BYTES // 2**20} MB; is that a command document?")
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{_name(path)}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise click.ClickException(f"{path}: can't be read ({error.strerror}); check the path") from None


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
