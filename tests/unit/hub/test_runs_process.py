"""The runner without an engine: every way in which a run can end, and what it may touch meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from helpers.images import IMAGE, make_image
from overread.errors import PermanentRunnerError
from overread.hub.runs.environments import Environments
from overread.hub.runs.images import ImageCatalog
from overread.hub.runs.logs import STDERR, STDOUT
from overread.hub.runs.process import ProcessRunner
from overread.hub.runs.runner import End, Exit, Limits, Listener, Mount, Progress, RunSpec

pytestmark = pytest.mark.slow

ISOLATED = pytest.param(True, marks=pytest.mark.needs("bwrap"), id="bubblewrap")
BESIDE = pytest.param(False, id="without")


class Bench:
    """Runs one main.py after the other in a folder of its own."""

    def __init__(self, root: Path, *, isolate: bool) -> None:
        self.root = root
        self.input, self.output, self.logs = root / "in put", root / "output", root / "logs"
        for folder in (self.input, self.output):
            folder.mkdir()
        (self.input / "a.txt").write_text("given")
        self.environments = Environments(root / "environments")
        self.runner = ProcessRunner(ImageCatalog([root / "images"]), self.environments, isolate=isolate)
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
    return Bench(tmp_path, isolate=request.param)


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
