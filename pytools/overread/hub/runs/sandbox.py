"""How a command line meets its folders: inside bubblewrap, or with its paths rewritten where there is none.

With bubblewrap (Linux) the command sees a file system of its own: the system's programs and the environment read
only, its mounts at their own paths, an empty ``/tmp``; no network, no other process, no capability; it runs as user
1000. It ends with the hub.

Without, each mount's path in the command line and in the variables becomes that of a link to the real folder. Then
nothing but the process's own good will keeps it from the network and from other files, and "read only" is not
enforced: the runner says so in the run's log.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from overread.errors import PermanentRunnerError
from overread.hub.runs.runner import Mount

WARNING = (
    "bubblewrap is not installed or not permitted here: this run can reach the network and files outside its folders. "
    "Install the package bubblewrap."
)

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts")
_PACKAGE_PATH = "/opt/overread"
_USER = "1000"


@dataclass(frozen=True)
class Launchable:
    """What to hand to the operating system."""

    arguments: list[str]
    environment: dict[str, str]
    folder: Path | None


@dataclass(frozen=True)
class Room:
    """What a command line runs with.

    Parameters
    ----------
    shell_line
        The line for ``/bin/sh -c``.
    environment
        The command's own variables.
    mounts
        Its folders.
    working_directory
        Where it starts, as the command sees it.
    virtual_environment, package, code
        The image's Python environment, the folder for ``PYTHONPATH``, and the image's folder.
    code_path
        Where the command finds `code`.
    """

    shell_line: str
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    working_directory: str
    virtual_environment: Path
    package: Path
    code: Path
    code_path: str


@lru_cache(maxsize=1)
def bubblewrap() -> str | None:
    """Return the path of a bubblewrap that works here, or None."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *_base(), "/bin/sh", "-c", "exit 0"], capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None


def _base() -> list[str]:
    words = ["--unshare-all", "--unshare-user", "--die-with-parent", "--uid", _USER, "--gid", _USER]
    words += ["--cap-drop", "ALL", "--hostname", "overread"]
    for place in _SYSTEM:
        if Path(place).is_symlink():
            words += ["--symlink", str(Path(place).readlink()), place]
        elif Path(place).exists():
            words += ["--ro-bind", place, place]
    for place in _SETTINGS:
        words += ["--ro-bind-try", place, place]
    # Numerical libraries ask /sys for the processor's caches and nodes.
    return [*words, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",  # noqa: S108 - inside the sandbox
            "--ro-bind-try", "/sys/devices/system", "/sys/devices/system"]  # fmt: skip


def inside(room: Room, bwrap: str) -> Launchable:
    """Return how to start the command of `room` in a file system of its own."""
    words = [bwrap, *_base(), *_gpu()]
    for folder in _python_folders(room.virtual_environment):
        words += ["--ro-bind", str(folder), str(folder)]
    words += ["--ro-bind", str(room.package), _PACKAGE_PATH, "--ro-bind", str(room.code), room.code_path]
    # A mount below another one must come after it.
    for mount in sorted(room.mounts, key=lambda mount: mount.target):
        words += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    words += ["--chdir", room.working_directory or room.code_path, "/bin/sh", "-c", room.shell_line]
    variables = _variables(room, package=_PACKAGE_PATH, home="/tmp")  # noqa: S108 - inside the sandbox
    return Launchable(words, variables | dict(room.environment), None)


def beside(room: Room, scratch: Path) -> Launchable:
    """Return how to start the command of `room` without bubblewrap; links to its folders are made in `scratch`."""
    places = {mount.target: mount.source for mount in room.mounts} | {room.code_path: room.code}
    for target, source in sorted(places.items()):
        link = scratch / target.lstrip("/")
        if any(parent.is_symlink() for parent in link.parents if parent.is_relative_to(scratch) and parent != scratch):
            raise PermanentRunnerError(f"Mount {target} lies inside another mount: that needs bubblewrap.")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    home = scratch / "tmp"
    home.mkdir(exist_ok=True)
    rewrite = _Rewrite(list(places), scratch)
    variables = _variables(room, package=str(room.package), home=str(home))
    variables |= {name: rewrite(value) for name, value in room.environment.items()}
    folder = Path(rewrite(room.working_directory or room.code_path))
    return Launchable(
        ["/bin/sh", "-c", rewrite(room.shell_line)],
        variables,
        folder if folder.is_dir() else room.code,
    )


class _Rewrite:
    """Puts a folder before each path that is one of the targets or lies below one."""

    def __init__(self, targets: list[str], root: Path) -> None:
        longest_first = sorted(targets, key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, longest_first))})(?![\w.-])")
        self._root = str(root)

    def __call__(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._root + found[0], text)


def _variables(room: Room, *, package: str, home: str) -> dict[str, str]:
    programs = [str(room.virtual_environment / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(programs),
        "VIRTUAL_ENV": str(room.virtual_environment),
        "PYTHONPATH": package,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": home,
        "TMPDIR": home,
        "USER": "overread",
        "LOGNAME": "overread",
        "LANG": "C.UTF-8",
    }


def _python_folders(virtual_environment: Path) -> list[Path]:
    """Return the environment and the interpreter that it links to, wherever that is installed."""
    folders = [virtual_environment]
    base = Path(sys.base_prefix).resolve()
    if not base.is_relative_to("/usr"):
        folders.append(base)
    return folders


def _gpu() -> list[str]:
    devices = sorted(Path("/dev").glob("nvidia*"))
    if not devices:
        return []
    words = ["--ro-bind-try", "/sys", "/sys"]
    for device in devices:
        words += ["--dev-bind-try", str(device), str(device)]
    return words
