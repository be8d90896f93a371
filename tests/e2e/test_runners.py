"""One contract for all runners, on real engines: how a run ends, what it may touch, none is lost, none is doubled."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from helpers.docker_engine import Engine
from helpers.images import IMAGE, make_image
from helpers.swarm import Swarm, swarm
from helpers.tiny_image import TINY, copy_tiny, import_tiny
from overread.errors import PermanentRunnerError, TemporaryRunnerError
from overread.hub.runs.docker import DockerRunner
from overread.hub.runs.engine import Engine as HubEngine
from overread.hub.runs.engine import EngineSettings
from overread.hub.runs.engine_runner import EngineRunner
from overread.hub.runs.environments import Environments
from overread.hub.runs.images import ImageCatalog
from overread.hub.runs.process import ProcessRunner
from overread.hub.runs.runner import End, Exit, Limits, Listener, Mount, Progress, Runner, RunSpec
from overread.hub.runs.swarm import SwarmRunner

pytestmark = pytest.mark.slow

OWNER = "test-hub"
FOR_EVER = "echo begun; sleep 600"


@dataclass
class Bench:
    """A runner, and folders for one run after the other."""

    root: Path
    image: str
    make_runner: Callable[[], Runner]
    runner: Runner = field(init=False)
    runners: list[Runner] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self.runner = self.new_runner()
        self.input, self.output = self.root / "input", self.root / "output"
        for folder in (self.input, self.output):
            folder.mkdir()
        (self.input / "a.txt").write_text("given")
        (self.input / "a.txt").chmod(0o640)  # as the archive's files are

    def new_runner(self) -> Runner:
        """A runner as another hub would make it."""
        self.runners.append(self.make_runner())
        return self.runners[-1]

    def close(self) -> None:
        """End what still runs, and let go of the engine."""
        self.runner.clean_up(())
        for runner in self.runners:
            if isinstance(runner, EngineRunner):
                runner.close()

    def spec(self, line: str, *, limits: Limits | None = None) -> RunSpec:
        """A run of its own of a command line."""
        self.count += 1
        return RunSpec(
            run_id=f"{OWNER}#{self.root.name}.{self.count}",
            image=self.image,
            command_line=line,
            environment={"WHERE": "/output"},
            mounts=(Mount("in", self.input, "/input"), Mount("out", self.output, "/output", writable=True)),
            log_folder=self.root / f"log{self.count}",
            limits=limits or Limits(timeout_s=60),
            image_digest=self.prepare(),
        )

    def prepare(self, digest: str = "") -> str:
        """Have the image made ready."""
        return self.runner.prepare(self.image, digest=digest, report=lambda _line: None, stopped=lambda: False)

    def begin(self, spec: RunSpec) -> str:
        """Start a run."""
        return self.runner.start(spec, listener=Listener(self.progress.append))

    def end(self, handle: str) -> Exit:
        """Wait for the end of a run, and throw away what is left of it."""
        try:
            while (end := self.runner.wait(handle, timeout_s=5)) is None:
                pass
            return end
        finally:
            self.runner.remove(handle)

    def run(self, line: str, **limits: float) -> tuple[Exit, str, str]:
        """Run a command line; its end, and both logs."""
        spec = self.spec(line, limits=replace(Limits(timeout_s=60), **limits))  # type: ignore[arg-type]
        end = self.end(self.begin(spec))
        return end, self.said(spec), (spec.log_folder / "stderr.log").read_text()

    def said(self, spec: RunSpec) -> str:
        """What a run has printed so far."""
        path = spec.log_folder / "stdout.log"
        return path.read_text() if path.exists() else ""

    def until(self, spec: RunSpec, handle: str, text: str) -> None:
        """Wait until a run has printed something."""
        while text not in self.said(spec):
            assert self.runner.wait(handle, timeout_s=0.2) is None, self.said(spec)


@pytest.fixture(scope="session")
def two_hosts() -> Iterator[Swarm]:
    """A Swarm of a manager and a worker that have the tiny image."""
    with swarm() as running:
        import_tiny(running.manager.client.api)
        copy_tiny(running.manager.client.api, running.worker.client.api)
        yield running


@pytest.fixture(scope="session")
def tiny(docker_engine: Engine) -> Engine:
    """An engine that has the tiny image."""
    import_tiny(docker_engine.client.api)
    return docker_engine


def process_bench(_request: pytest.FixtureRequest, root: Path) -> Bench:
    make_image(root / "images", "")
    environments = Environments(root / "environments")
    return Bench(root, IMAGE, lambda: ProcessRunner(ImageCatalog([root / "images"]), environments, owner=OWNER))


def docker_bench(request: pytest.FixtureRequest, root: Path) -> Bench:
    engine: Engine = request.getfixturevalue("tiny")
    settings = EngineSettings(host=engine.address)
    return Bench(root, TINY, lambda: DockerRunner(HubEngine(settings), owner=OWNER))


def swarm_bench(request: pytest.FixtureRequest, root: Path) -> Bench:
    running: Swarm = request.getfixturevalue("two_hosts")
    settings = EngineSettings(host=running.manager.address)
    return Bench(root, TINY, lambda: SwarmRunner(HubEngine(settings), owner=OWNER, patience_s=3))


PROCESS = pytest.param(process_bench, marks=pytest.mark.needs("bwrap"), id="process")
DOCKER = pytest.param(docker_bench, marks=pytest.mark.needs("docker-engine", "busybox"), id="docker")
SWARM = pytest.param(swarm_bench, marks=pytest.mark.needs("swarm", "busybox"), id="swarm")


@pytest.fixture(params=[PROCESS, DOCKER, SWARM])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made: Bench = request.param(request, tmp_path)
    with contextlib.closing(made):
        yield made


def test_a_run_reads_its_input_writes_its_output_and_tells_its_progress(bench: Bench) -> None:
    end, said, _ = bench.run("cat /input/a.txt > $WHERE/b.txt && echo progress 0.5 halfway && id -u")
    assert end == Exit(End.EXITED, 0)
    assert (bench.output / "b.txt").read_text() == "given"
    assert Progress(0.5, "halfway") in bench.progress
    assert said.split()[-1] not in {"0", "root"}


def test_the_last_line_of_the_error_log_says_why_it_failed(bench: Bench) -> None:
    end, _, errors = bench.run("echo first >&2; echo no usable series: send FLAIR >&2; exit 3")
    assert (end.end, end.code, end.reason) == (End.EXITED, 3, "no usable series: send FLAIR (exit code 3)")
    assert not end.temporary
    assert errors.splitlines()[-1] == "no usable series: send FLAIR"


def test_nothing_can_be_written_but_output_and_tmp(bench: Bench) -> None:
    end, said, _ = bench.run(
        "for x in /input/n /input/a.txt /bin/n /output/n /tmp/n; do touch $x && echo wrote $x; done"
    )
    assert said.split() == ["wrote", "/output/n", "wrote", "/tmp/n"], end


def test_no_way_leads_out(bench: Bench) -> None:
    _, said, _ = bench.run("cat /proc/net/route; echo; cat /proc/net/dev")
    routes = [line.split() for line in said.partition("\n\n")[0].splitlines()[1:]]
    assert [row for row in routes if row and row[1] == "00000000"] == []
    assert "lo:" in said


def test_it_has_no_capability(bench: Bench) -> None:
    _, said, _ = bench.run("cat /proc/self/status")
    found = dict(line.split(":\t") for line in said.splitlines() if line.startswith("Cap"))
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
    assert "CapBnd" in found


def test_a_run_is_ended_on_request(bench: Bench) -> None:
    spec = bench.spec(FOR_EVER)
    handle = bench.begin(spec)
    bench.until(spec, handle, "begun")
    bench.runner.kill(handle)
    assert bench.end(handle).end is End.KILLED


def test_a_run_that_never_ends_is_ended(bench: Bench) -> None:
    end, said, _ = bench.run(FOR_EVER, timeout_s=2)
    assert end.end is End.TIMED_OUT
    assert "limit of 2 s" in end.reason
    assert said == "begun\n"


def test_memory_is_limited(bench: Bench) -> None:
    end, *_ = bench.run("x=aaaaaaaa; while true; do x=$x$x; done", memory_mb=100)
    assert end.end is End.TOO_MUCH or bench.runner.backend == "process"  # there a single process is refused the memory
    assert end.code != 0
    assert not end.temporary


def test_a_run_that_forks_without_end_is_held(bench: Bench) -> None:
    end, *_ = bench.run("while true; do sleep 600 & done", processes=60, timeout_s=20)
    assert end.code != 0
    assert not end.temporary


def test_a_flood_of_log_is_cut_and_the_run_is_ended(bench: Bench) -> None:
    line = "y" * 2000
    end, said, _ = bench.run(f"yes {line}", log_bytes=20_000, printed_bytes=200_000)
    assert end.end is End.TOO_MUCH
    assert "printed more" in end.reason
    assert len(said) < 21_000
    assert said.endswith("[log cut: more than 20000 bytes]\n")


def test_a_run_that_writes_too_much_is_ended(bench: Bench) -> None:
    writes = "n=0; while true; do n=$((n+1)); dd if=/dev/zero of=/output/$n bs=1000000 count=1 2>/dev/null; done"
    end, *_ = bench.run(writes, output_bytes=30_000_000)
    assert end.end is End.TOO_MUCH
    assert "wrote more" in end.reason


def test_another_image_than_the_pinned_one_is_refused(bench: Bench) -> None:
    with pytest.raises((PermanentRunnerError, TemporaryRunnerError), match="sha256:0000"):
        bench.end(bench.begin(replace(bench.spec("true"), image_digest=bench.prepare("sha256:" + 64 * "0"))))


def test_starting_a_run_twice_starts_it_once(bench: Bench) -> None:
    spec = bench.spec("echo x >> /output/starts; sleep 1")
    handles = {bench.begin(spec), bench.begin(spec)}
    assert len(handles) == 1
    assert bench.end(handles.pop()).ok
    assert (bench.output / "starts").read_text() == "x\n"


def test_the_next_hub_takes_a_run_up_or_knows_that_it_is_gone(bench: Bench) -> None:
    spec = bench.spec("echo begun; echo x >> /output/starts; while test ! -e /output/go; do sleep 1; done; echo done")
    handle = bench.begin(spec)
    bench.until(spec, handle, "begun")
    before, bench.runner = bench.runner, bench.new_runner()
    if not bench.runner.outlives_hub:
        assert bench.runner.reattach(spec, listener=Listener()) is None
        bench.runner.clean_up(())
        assert before.wait(handle, timeout_s=10) is not None
        return
    bench.runner.clean_up([spec.run_id])
    taken_up = bench.runner.reattach(spec, listener=Listener())
    assert taken_up == handle
    (bench.output / "go").touch()
    assert bench.end(handle).ok
    assert bench.said(spec) == "begun\ndone\n"
    assert (bench.output / "starts").read_text() == "x\n"
    assert bench.runner.reattach(spec, listener=Listener()) is None


def test_what_nobody_knows_any_more_is_ended(bench: Bench) -> None:
    spec = bench.spec("echo begun; while true; do echo x >> /output/beats; sleep 1; done")
    handle = bench.begin(spec)
    bench.until(spec, handle, "begun")
    bench.new_runner().clean_up(())
    assert bench.end(handle).end in {End.LOST, End.EXITED}
    beats = -1
    while beats != (beats := (bench.output / "beats").stat().st_size):  # a Swarm's host ends it in its own time
        time.sleep(3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_does_not_answer_is_a_temporary_failure(tmp_path: Path) -> None:
    runner = DockerRunner(HubEngine(EngineSettings(host=f"unix://{tmp_path}/nobody.sock")), owner=OWNER)
    with pytest.raises(TemporaryRunnerError, match="does not answer"):
        runner.ping()
    gc.collect()  # the SDK leaves a socket open behind it when nobody listens


@pytest.mark.needs("docker-engine", "busybox")
def test_a_container_that_is_killed_from_outside_may_work_later(
    request: pytest.FixtureRequest, tiny: Engine, tmp_path: Path
) -> None:
    with contextlib.closing(docker_bench(request, tmp_path)) as bench:
        spec = bench.spec(FOR_EVER)
        handle = bench.begin(spec)
        bench.until(spec, handle, "begun")
        tiny.client.api.kill(handle)
        end = bench.end(handle)
    assert end.end is End.LOST
    assert end.temporary


@pytest.mark.needs("swarm", "busybox")
def test_a_run_whose_host_is_lost_ends_as_lost_and_runs_again_elsewhere(
    request: pytest.FixtureRequest, two_hosts: Swarm, tmp_path: Path
) -> None:
    """Last of this file: the worker does not come back."""
    with contextlib.closing(swarm_bench(request, tmp_path)) as bench:
        worker = two_hosts.node(two_hosts.worker)
        spec = bench.spec("echo begun; echo x >> /output/starts; while test ! -e /output/go; do sleep 1; done")
        there = replace(spec, devices=replace(spec.devices, constraints=(f"node.id == {worker}",)))
        handle = bench.begin(there)
        bench.until(there, handle, "begun")
        two_hosts.worker.process.kill()
        two_hosts.worker.process.wait()
        end = bench.end(handle)
        assert end.end is End.LOST
        assert end.temporary
        (bench.output / "go").touch()
        again = bench.spec("echo x >> /output/starts")
        assert bench.end(bench.begin(again)).ok
        assert (bench.output / "starts").read_text() == "x\nx\n"
