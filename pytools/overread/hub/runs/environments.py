"""Python environments of images, cached by what they hold.

Two images with equal ``requirements.txt`` share one environment. An environment that failed or was interrupted is
never used: the file ``.ready`` is written last. Several processes (a demo and a test run, say) may share one cache;
locks keep them from building the same environment twice.
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from overread.errors import PermanentRunnerError, TemporaryRunnerError
from overread.hub.runs.logs import one_line
from overread.hub.runs.processes import run_until
from overread.hub.runs.runner import Report, Stopped

CACHE_VARIABLE = "OVERREAD_ENVIRONMENTS"
"""Environment variable: folder of the cache, shared by all hubs that are told so."""

PACKAGE_PARTS = ("__init__.py", "py.typed", "errors.py", "operators", "dicom", "study")
"""What images may import of this package: what is below the hub and its clients."""

_READY = ".ready"
_PIP_TIMEOUT_S = 3600.0
_LOCK_POLL_S = 0.1
_GIVEN_UP = "Building the environment was given up because the run was ended."


def cache_folder(default: Path) -> Path:
    """Return the folder of the cache: that of `CACHE_VARIABLE`, else `default`."""
    given = os.environ.get(CACHE_VARIABLE, "")
    return Path(given).expanduser() if given else default


class Environments:
    """The cache.

    Parameters
    ----------
    folder
        Where it lies: ``<key>/`` is an environment, ``<key>.log`` how it was built, ``overread-<hash>/`` a copy of
        what images may import of this package.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def ensure(self, requirements: str, *, report: Report, stopped: Stopped) -> Path:
        """Return the virtual environment that holds `requirements`, building it if need be.

        Parameters
        ----------
        requirements
            Text of a ``requirements.txt``.
        report
            Told what is done, if anything is.
        stopped
            Asked every now and then whether to give up.

        Raises
        ------
        PermanentRunnerError
            Building failed; the message holds pip's own reason and names the log.
        TemporaryRunnerError
            `stopped` said so.
        """
        key = _key(requirements)
        target = self.folder / key
        if (target / _READY).exists():
            return target
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / f"{key}.lock", stopped=stopped):
            if not (target / _READY).exists():
                report(f"Building environment {key}")
                self._build(target, requirements, stopped=stopped)
        return target

    def package(self) -> Path:
        """Return a folder for ``PYTHONPATH`` that holds what images may import of this package."""
        target = self.folder / f"overread-{package_digest()[:16]}"
        if not target.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            copy = Path(tempfile.mkdtemp(dir=self.folder, prefix=".overread-"))
            for part, source in _package_files():
                destination = copy / "overread" / part
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, destination)
            compileall.compile_dir(copy, quiet=2)
            copy.chmod(0o755)
            try:
                copy.rename(target)
            except OSError:  # another process was quicker; its copy is the same
                shutil.rmtree(copy)
        return target

    def _build(self, target: Path, requirements: str, *, stopped: Stopped) -> None:
        shutil.rmtree(target, ignore_errors=True)
        log = target.with_suffix(".log")
        empty = not _needs_pip(requirements)
        try:
            with log.open("wb") as sink:
                python = [sys.executable, "-m", "venv", *(["--without-pip"] if empty else []), str(target)]
                self._step(python, sink.fileno(), log, stopped)
                if not empty:
                    listed = target / "requirements.txt"
                    listed.write_text(requirements, "utf-8")
                    pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--no-input"]
                    pip += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(listed)]
                    self._step(pip, sink.fileno(), log, stopped)
            (target / _READY).touch()
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise

    def _step(self, command: list[str], log_descriptor: int, log: Path, stopped: Stopped) -> None:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_descriptor,
            stderr=log_descriptor,
            env=_own_environment(),
            start_new_session=True,
        )
        code = run_until(process, timeout_s=_PIP_TIMEOUT_S, stopped=stopped)
        if code is None:
            if stopped():
                raise TemporaryRunnerError(_GIVEN_UP)
            raise PermanentRunnerError(f"Building the environment took more than {_PIP_TIMEOUT_S:.0f} s; see {log}.")
        if code != 0:
            raise PermanentRunnerError(
                f"Environment can't be built: {_reason(log)} Mend requirements.txt or pip's settings; see {log}."
            )


def package_digest() -> str:
    """Return the SHA-256, in hex, of what images may import of this package."""
    total = hashlib.sha256()
    for part, source in _package_files():
        total.update(f"{part}\0".encode() + hashlib.sha256(source.read_bytes()).digest())
    return total.hexdigest()


def _package_files() -> Iterator[tuple[str, Path]]:
    root = Path(__file__).resolve().parents[2]
    for part in PACKAGE_PARTS:
        start = root / part
        found = [start] if start.is_file() else start.rglob("*")
        for path in sorted(found):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(root).as_posix(), path


def _key(requirements: str) -> str:
    """Return the name of an environment: a hash of all that makes one environment differ from another."""
    said = "\n".join(_lines(requirements))
    what = "\0".join((said, platform.python_version(), sys.implementation.name, sys.base_prefix, platform.machine()))
    return "py-" + hashlib.sha256(what.encode()).hexdigest()[:16]


def _lines(requirements: str) -> list[str]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in requirements.splitlines())
    return [line for line in lines if line]


def _needs_pip(requirements: str) -> bool:
    return bool(_lines(requirements))


def _own_environment() -> dict[str, str]:
    """Return this process's environment without what would lead Python elsewhere, and without our own secrets."""
    away = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in away and not name.startswith("OVERREAD_")}


def _reason(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    text = one_line((errors or lines or ["no output"])[-1])
    return text if text.endswith(".") else text + "."


@contextmanager
def _locked(path: Path, *, stopped: Stopped) -> Iterator[None]:
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # another run, or another hub, builds it
                if stopped():
                    raise TemporaryRunnerError(_GIVEN_UP) from None
                time.sleep(_LOCK_POLL_S)
        yield
