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
    """Find what is wrong with anybody's command.json.

    - is standard input. Works offline. One line for each finding: file, line, JSON path, what, how to mend it, rule;
    `overread command rules` says why. Exit code 1 when there is an error, 0 when there are warnings alone.
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
    """Make the commands of a study.

    From the manifest STUDY and its images' cards. Writes command.json into each image's folder, and the label
    org.nrg.commands into its Dockerfile: for the image itself, its measurement of corrections, and their setup and
    wrap-up commands. Paste command.json into XNAT's page, or let `overread study apply` send it.
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


@cli.command("explain")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Address, such as https://xnat.example.org.")
@click.option("--user", required=True, envvar="OVERREAD_USER", help="A user who may read the project.")
@click.option("--project", required=True, help="Project ID.")
@click.option("--session", default="", help="Label or ID of the only session to look at.")
@click.option("--wrapper", default="", help="Name of the only wrapper to look at.")
@click.option("--set", "given", multiple=True, metavar="INPUT=VALUE", help="What a user would enter; may be repeated.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Objects to ask about.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    *,
    file: Path,
    server: str,
    user: str,
    project: str,
    session: str,
    wrapper: str,
    given: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Say what the command FILE would do with a project's objects. Nothing is launched.

    Which match and why the others don't is the server's own answer; then what is mounted, the command line with all
    values put in, and what each handler will create. The command must be on the server already.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from overread.commands.read import load_command  # noqa: PLC0415
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.explain import Question  # noqa: PLC0415
    from overread.xnat.explain import explain as explain_command  # noqa: PLC0415

    values = dict(_pair(text) for text in given)
    command = load_command(file)
    password = find_password(server, user=user)
    with open_archive(server, user=user, password=password) as archive:
        question = Question(project=project, session=session, wrapper=wrapper, values=values, limit=limit)
        told = explain_command(archive, command, question)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in told], indent=1))
        return
    for one in told:
        click.echo(f"{command.name} {command.version}, {one.name} in {project}")
        for note in one.notes:
            click.echo(f"  note: {note}")
        for item in one.objects:
            click.echo(
                f"  {'no ' if item.reason else 'yes'} {item.candidate.label}{f': {item.reason}' if item.reason else ''}"
            )
            lines = [*item.mounts, f"$ {item.command_line}", *item.variables, *item.handlers] if not item.reason else []
            for line in lines:
                click.echo(f"        {line}")
        matching = sum(not item.reason for item in one.objects)
        click.echo(f"  {matching} of {len(one.objects)} match", err=True)


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


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.BadParameter(f"'{text}' is no INPUT=VALUE", param_hint="--set")
    return name, value


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
