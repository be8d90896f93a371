"""The entry point: finds the module of a noun, and turns errors into one line and an exit code.

A noun is a module of this package without an underscore in its name; its attribute `cli` is a click command or group.
Modules are imported only when their noun is called: `overread --help` starts without numpy, torch or SQLAlchemy.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.metadata
import pkgutil
from pathlib import Path
from typing import Any

import click

from overread.errors import OverreadError

_HERE = Path(__file__).parent
# Top-level package -> the extra that brings it.
_EXTRAS = {
    "alembic": "hub",
    "argon2": "hub",
    "defusedxml": "hub",
    "highdicom": "images",
    "jinja2": "plugins",
    "nibabel": "client",
    "numpy": "images",
    "psycopg": "postgres",
    "pydicom": "images",
    "pynetdicom": "hub",
    "requests": "client",
    "scipy": "images",
    "sqlalchemy": "hub",
    "starlette": "hub",
    "torch": "torch",
    "uvicorn": "hub",
    "xnat": "client",
}


class Nouns(click.Group):
    """A group whose commands are the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name all nouns."""
        names = (module.name for module in pkgutil.iter_modules([str(_HERE)]))
        return sorted(name for name in names if "_" not in name and name != "main")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a noun."""
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            module = importlib.import_module(f"overread.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in _EXTRAS:
                raise
            raise click.ClickException(
                f"`overread {cmd_name}` needs {missing}, which is not installed; "
                f"install it with: pip install 'overread[{_EXTRAS[missing]}]'"
            ) from None
        command: click.Command = module.cli
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            raise click.UsageError(f"No such command '{args[0]}'. Did you mean '{near[0]}'?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns by the first line of their modules, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_line(name)) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and tell errors of ours without a traceback."""
        try:
            return super().invoke(ctx)
        except OverreadError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


def _first_line(name: str) -> str:
    source = (_HERE / f"{name}.py").read_text("utf-8")
    line = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    line = line.removeprefix(f"``overread {name}``: ")
    return line[:1].upper() + line[1:]


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked and not ctx.resilient_parsing:
        click.echo(f"overread {importlib.metadata.version('overread')}")
        ctx.exit()


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def main() -> None:
    """Deploy machine-learning models in radiology and validate them on live exams."""
