"""The runner without an engine: every way in which a run can end, and what it may touch meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import pytest

from helpers.arrivals import wait_until
from helpers.images import IMAGE, make_image
from overread.errors import PermanentRunnerError
from overread.hub.runs import cgroups
from overread.hub.runs.environments import Environments
from overread.hub.runs.images import ImageCatalog
from overread.hub.runs.logs import STDERR, STDOUT
from overread.hub.runs.process import ProcessRunner
from overread.hub.runs.processes import RUN_VARIABLE
from overread.hub.runs.runner import End, Exit, Limits, Listener, Mount, Progress, RunSpec

pytestmark = pytest.mark.slow

ISOLATED = pytest.param(True, marks=pytest.mark.needs("bwrap"), id="bubblewrap")
BESIDE = pytest.param(False, id="without")


class Bench:
    """Runs one main.py after the other in a folder of its own."""

    def __init__(self, root: Path, *, isolate: bool, groups: cgroups.Hierarchy | None = None) -> None:
        self.root = root
        self.input, self.output, self.logs = root / "in put", root / "output", root / "logs"
        for folder in (self.input, self.output):
            folder.mkdir()
        (self.input / "a.txt").write_text("given")
        self.environments = Environments(root / "environments")
        self.runner = ProcessRunner(ImageCatalog([root / "images"]), self.environments, isolate=isolate, groups=groups)
        self.progress: list[Progress] = []

    def run(self, main: str, *, limits: Limits | None = None, **spec: object) -> Exit:
        make_image(self.root / "images", main)
        self.runner.prepare(IMAGE, report=lambda _line: None, stopped=lambda: False)
        handle = self.runner.start(self.spec(limits, **spec), listener=Listener(self.progress.append))
        while (end := self.runner.wait(handle, timeout_s=10)) is None:
            pass
        return end

    def spec(self, limits: Limits | None = None, **other: object) -> RunSpec:
        values: dict[str, object] = {
            "run_id": f"test-{self.root.name}",
            "image": IMAGE,
            "command_line": "python /app/main.py --input /input --output /output",
            "environment": {},
            "mounts": (Mount("in", self.input, "/input"), Mount("out", self.output, "/output", writable=True)),
            "log_folder": self.logs,
            "limits": limits or Limits(timeout_s=20),
        }
        return RunSpec(**(values | other))  # type: ignore[arg-type]

    def log(self, name: str) -> str:
        return (self.logs / name).read_text()


@pytest.fixture(params=[ISOLATED, BESIDE])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, isolate=request.param, groups=cgroups.hierarchy())


@pytest.fixture(params=["groups", "watched"])
def hostile(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    """Runs kept to their limits by the kernel, and runs that are watched alone."""
    if request.param == "watched":
        return Bench(tmp_path, isolate=True)
    return Bench(tmp_path, isolate=True, groups=kernel_groups())


def kernel_groups() -> cgroups.Hierarchy:
    groups = cgroups.hierarchy()
    if groups is None:
        pytest.skip("control groups can't be made here")
    return groups


@pytest.fixture
def isolated(tmp_path: Path) -> Bench:
    return Bench(tmp_path, isolate=True)


def test_a_run_reads_its_input_and_writes_its_output(bench: Bench) -> None:
    end = bench.run(
        """
        import pathlib, sys, overread.errors
        source, target = (pathlib.Path(sys.argv[n]) for n in (2, 4))
        print("progress 0.5 halfway")
        (target / "b.txt").write_text((source / "a.txt").read_text().upper())
        """
    )
    assert end == Exit(End.EXITED, 0)
    assert (bench.output / "b.txt").read_text() == "GIVEN"
    assert bench.progress == [Progress(0.5, "halfway")]


def test_variables_reach_the_command_whatever_they_hold(bench: Bench) -> None:
    rules = '{"flair": "it\'s $HOME `id` \\" \\n"}'
    end = bench.run(
        "import os, pathlib; pathlib.Path(os.environ['WHERE'], 'b').write_text(os.environ['RULES'])",
        environment={"RULES": rules, "WHERE": "/output"},
    )
    assert end.ok
    assert (bench.output / "b").read_text() == rules


def test_nothing_of_our_own_environment_is_handed_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERREAD_ADMIN_PASSWORD", "hunter2")
    bench.run("import os; print(dict(os.environ))")
    assert "hunter2" not in bench.log(STDOUT)
    assert "ADMIN_PASSWORD" not in bench.log(STDOUT)


def test_the_last_line_of_stderr_says_why_it_failed(bench: Bench) -> None:
    end = bench.run("import sys; print('first', file=sys.stderr); sys.exit('no usable series: \\x1b[31msend FLAIR')")
    assert (end.end, end.code) == (End.EXITED, 1)
    assert end.reason == "no usable series: send FLAIR (exit code 1)"


def test_a_crash_is_told_by_its_signal(bench: Bench) -> None:
    end = bench.run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert not end.ok
    assert "139" in end.reason or "signal 11" in end.reason


def test_a_run_that_never_ends_is_ended(bench: Bench) -> None:
    started = time.monotonic()
    end = bench.run(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        limits=Limits(timeout_s=1),
    )
    assert end.end is End.TIMED_OUT
    assert "limit of 1 s" in end.reason
    assert time.monotonic() - started < 15


def test_a_flood_of_output_is_cut_and_does_not_stop_the_run(bench: Bench) -> None:
    end = bench.run(
        "import sys\nfor _ in range(40): print('x' * 65536)\nsys.exit('the reason, after the flood')",
        limits=Limits(timeout_s=20, log_bytes=100_000),
    )
    assert end.code == 1
    assert (bench.logs / STDOUT).stat().st_size < 101_000
    assert "log cut" in bench.log(STDOUT)[-100:]
    assert "the reason, after the flood" in end.reason


def test_a_child_that_hides_does_not_outlive_its_run(bench: Bench) -> None:
    started = time.monotonic()
    end = bench.run(
        """
        import os, sys, time, pathlib
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(3)
                pathlib.Path(sys.argv[4], "late").write_text("still here")
            os._exit(0)
        """
    )
    assert end.ok
    assert time.monotonic() - started < 3
    time.sleep(3.5 - (time.monotonic() - started))
    assert not (bench.output / "late").exists()


def test_memory_is_limited(bench: Bench) -> None:
    end = bench.run("x = bytearray(500 * 1024**2)", limits=Limits(timeout_s=20, memory_mb=200))
    assert end.code == 1
    assert "MemoryError" in end.reason


@pytest.mark.needs("bwrap")
@pytest.mark.parametrize(
    ("main", "limits", "reason"),
    [
        pytest.param(
            "import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(600)\n    time.sleep(0.002)",
            Limits(timeout_s=60, processes=40),
            "more than 40 processes",
            id="forks without end",
        ),
        pytest.param(
            "import threading, time\n"
            "for _ in range(2000):\n    threading.Thread(target=time.sleep, args=(600,)).start()",
            Limits(timeout_s=60, processes=40),
            "more than 40 processes",
            id="threads without end",
        ),
        pytest.param(
            "import os, time\n"
            "for _ in range(4):\n    if os.fork() == 0: break\n"
            "x = bytearray(b'1' * 70 * 1024**2); time.sleep(600)",
            Limits(timeout_s=60, memory_mb=200),
            "more memory than its limit of 200 MB",
            id="memory of many processes",
        ),
        pytest.param(
            "import time\nwhile True: print('x' * 65536, flush=True)",
            Limits(timeout_s=60, log_bytes=100_000, printed_bytes=3_000_000),
            "printed more than its limit of 3000000 bytes",
            id="prints without end",
        ),
        pytest.param(
            "import sys\nwith open(sys.argv[4] + '/large', 'wb') as f:\n"
            "    for _ in range(100 * 1024): f.write(b'x' * 2**20)",
            Limits(timeout_s=60, output_bytes=20 * 1024**2),
            "wrote more than its limit of 20971520 bytes",
            id="a file of 100 GB",
        ),
        pytest.param(
            "import itertools, sys, time\nfor n in itertools.count():\n"
            "    open(f'{sys.argv[4]}/{n}', 'wb').write(b'x' * 2**20); time.sleep(0.02)",
            Limits(timeout_s=60, output_bytes=20 * 1024**2),
            "wrote more than its limit of 20971520 bytes",
            id="files without end",
        ),
    ],
)
def test_a_run_that_wants_everything_is_ended_and_says_by_what(
    hostile: Bench, main: str, limits: Limits, reason: str
) -> None:
    end = hostile.run(main, limits=limits)
    assert (end.end, end.ok) == (End.TOO_MUCH, False), end
    assert reason in end.reason
    assert sum(path.stat().st_size for path in hostile.logs.iterdir()) < 400_000
    assert left_of(hostile) == []


def test_a_file_with_a_hole_of_100_gb_is_not_made(bench: Bench) -> None:
    main = "import sys\nwith open(sys.argv[4] + '/x', 'wb') as f:\n    f.truncate(100 * 1024**3)"
    end = bench.run(main, limits=Limits(timeout_s=60, output_bytes=20 * 1024**2))
    assert not end.ok
    assert "File too large" in end.reason
    assert (bench.output / "x").stat().st_size == 0


def left_of(bench: Bench) -> list[str]:
    """What is left of the bench's runs: processes that carry its mark, and groups."""
    mark = f"{RUN_VARIABLE}={bench.spec().run_id}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                found.append(str(environment))
    groups = cgroups.hierarchy()
    name = cgroups.group_name("local", bench.spec().run_id)
    return found + [str(one / name) for one in (groups.folders.values() if groups else ()) if (one / name).exists()]


def test_a_fork_bomb_goes_off_within_its_group(tmp_path: Path) -> None:
    """All children fork as well: what looks now and then would come too late."""
    bench = Bench(tmp_path, isolate=False, groups=kernel_groups())
    end = bench.run(
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", limits=Limits(60, processes=60)
    )
    assert end.end is End.TOO_MUCH
    assert "more than 60 processes" in end.reason
    assert left_of(bench) == []


def test_who_leaves_session_and_environment_does_not_leave_its_group(tmp_path: Path) -> None:
    bench = Bench(tmp_path, isolate=False, groups=kernel_groups())
    late = bench.output / "late"
    end = bench.run(
        f"""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execve("/bin/sh", ["sh", "-c", "sleep 2; echo still here > '{late}'"], {{"PATH": "/usr/bin:/bin"}})
            os._exit(0)
        time.sleep(0.3)
        """
    )
    assert end.ok, end
    time.sleep(2.5)
    assert not late.exists()


def test_a_new_hub_ends_the_groups_of_the_one_that_died(tmp_path: Path) -> None:
    groups = kernel_groups()
    group, other = (groups.make(owner, "run", Limits(60, processes=9)) for owner in ("this-hub", "other-hub"))
    assert group is not None
    assert other is not None
    try:
        joined = "; ".join(f"echo 0 > {file}" for file in group.joins)
        with subprocess.Popen(["sh", "-c", f"{joined}; exec sleep 600"]) as process:
            wait_until(lambda: str(process.pid) in group.joins[0].read_text().split())
            groups.clean_up("this-hub", keep=["run"])
            assert process.poll() is None
            groups.clean_up("this-hub", keep=[])
            assert process.wait(10) == -9
        assert not any(folder.exists() for folder in group.folders.values())
        assert all(folder.exists() for folder in other.folders.values())
    finally:
        group.end()
        other.end()


def test_limits_are_written_as_both_versions_want_them(tmp_path: Path) -> None:
    limits = Limits(60, processes=9, memory_mb=100, cpus=1.5)
    names = {
        1: {"pids.max": "13", "memory.limit_in_bytes": "104857600", "cpu.cfs_quota_us": "150000"},
        2: {"pids.max": "13", "memory.max": "104857600", "cpu.max": "150000 100000"},
    }
    for version, files in names.items():
        folder = tmp_path / str(version)
        folder.mkdir()
        group = cgroups.Hierarchy(version, dict.fromkeys(("pids", "memory", "cpu"), folder)).make("hub", "run", limits)
        assert group is not None
        assert {path.name: path.read_text() for path in group.folders["pids"].iterdir()} == files


@pytest.mark.needs("bwrap")
def test_input_is_read_only_and_output_is_all_there_is(isolated: Bench) -> None:
    isolated.run(
        """
        import pathlib
        for place in ("/input/new", "/input/a.txt", "/app/new", "/usr/new", "/new/../etc/new"):
            try:
                pathlib.Path(place).write_text("x")
                print("WROTE", place)
            except OSError as problem:
                print("refused", place, problem.strerror)
        print(pathlib.Path("THERE").exists(), pathlib.Path("/etc/shadow").exists())
        """.replace("THERE", str(isolated.logs))
    )
    assert "WROTE" not in isolated.log(STDOUT)
    assert (isolated.input / "a.txt").read_text() == "given"
    assert isolated.log(STDOUT).splitlines()[-1] == "False False"


@pytest.mark.needs("bwrap")
def test_there_is_no_network_and_no_other_process(isolated: Bench) -> None:
    isolated.run(
        """
        import os, pathlib, socket
        print(socket.if_nameindex(), len([p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()]), os.getuid())
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        except OSError as problem:
            print(problem.strerror)
        """
    )
    interfaces, *_ = isolated.log(STDOUT).splitlines()
    assert "eth" not in interfaces
    assert "wl" not in interfaces
    assert interfaces.endswith(" 1000")
    assert int(interfaces.split()[-2]) <= 4


def test_without_bubblewrap_the_log_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, isolate=False)
    assert bench.run("pass").ok
    assert "bubblewrap" in bench.log(STDERR)


def test_an_unknown_image_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, isolate=False)
    with pytest.raises(PermanentRunnerError, match=r"no image overread/tiny:1\.0\.0"):
        bench.runner.prepare(IMAGE, report=print, stopped=lambda: False)


@pytest.mark.parametrize("target", ["output", "/", "/a/../../etc", ""])
def test_a_mount_can_not_lie_anywhere(tmp_path: Path, target: str) -> None:
    with pytest.raises(PermanentRunnerError, match="no absolute path"):
        Mount("x", tmp_path, target)
