"""The images, built by their own Dockerfiles and run by a real engine as a clinic would run them.

No network, no capabilities, not root, a read-only root file system, limited memory: what an image needs beyond its
mounts shows up here. Command line and environment are those of ``command.json``.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from docker.types import Mount
from pydicom import dcmread

from helpers.arrivals import file_bytes
from helpers.base_image import import_stand_in, wheelhouse
from helpers.docker_engine import Engine, build
from helpers.requirements import REPOSITORY
from helpers.runs import wait_for
from helpers.segments import LESION
from helpers.uploads import zipped
from hub_fixture import start_hub
from overread.dicom.seg import write_seg
from overread.dicom.volumes import volumes_ml
from overread.synthetic.exams import PlannedExam, demo_exams
from overread.synthetic.phantoms import make_case

pytestmark = [pytest.mark.slow, pytest.mark.needs("docker-engine")]

SEGMENTATION, CALCULATOR, EXPORTER = "brain-tumor-segmentation", "volume-calculator", "roi-exporter"
USER_ID = 1000
MEMORY_LIMIT = "4g"
RUN_TIMEOUT_S = 600


@dataclass(frozen=True)
class Finished:
    """A container that has ended, and the folder that it wrote to."""

    exit_code: int
    log: str
    errors: str
    output: Path

    def result(self) -> dict[str, Any]:
        """Read ``result.json``; what the container said if it did not end well."""
        assert self.exit_code == 0, self.errors
        read: dict[str, Any] = json.loads((self.output / "result.json").read_text())
        return read


@dataclass(frozen=True)
class Clinic:
    """An engine that has our images."""

    engine: Engine

    def run(
        self, image: str, output: Path, *, given: Mapping[str, Path], extra: Mapping[str, str] | None = None
    ) -> Finished:
        """Run an image until it ends.

        Parameters
        ----------
        image
            Name of its folder below ``containers/``.
        output
            Folder to make and mount as ``/output``.
        given
            Folders to mount read-only, by their path in the container.
        extra
            Environment on top of what ``command.json`` sets.
        """
        output.mkdir(parents=True)
        output.chmod(0o777)  # the user in the container is nobody on this machine
        for folder in given.values():
            folder.chmod(0o755)  # pytest's own folders are closed to everybody else; an archive's are not
        command = read_command(image)
        mounts = [Mount(path, str(folder), type="bind", read_only=True) for path, folder in given.items()]
        container = self.engine.client.containers.run(
            tag(image),
            shlex.split(command["command-line"]),
            detach=True,
            environment={**command.get("environment-variables", {}), **(extra or {})},
            mounts=[*mounts, Mount("/output", str(output), type="bind")],
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            user=str(USER_ID),
            read_only=True,
            tmpfs={"/tmp": "size=64m,noexec"},  # libraries ask for a temporary folder, in vain elsewhere
            mem_limit=MEMORY_LIMIT,
        )
        try:
            exit_code = container.wait(timeout=RUN_TIMEOUT_S)["StatusCode"]
            log = container.logs(stdout=True, stderr=False).decode()
            errors = container.logs(stdout=False, stderr=True).decode()
            return Finished(exit_code=exit_code, log=log, errors=errors, output=output)
        finally:
            container.remove(force=True)


def tag(image: str) -> str:
    """Name an image of these tests, apart from any of the same name that the engine holds already."""
    return f"overread-test/{image}:latest"


def read_command(image: str) -> dict[str, Any]:
    """Read the ``command.json`` of an image."""
    read: dict[str, Any] = json.loads((REPOSITORY / "containers" / image / "command.json").read_text())
    return read


def torch_requirement() -> str:
    """Return the line of the segmentation image's requirements that pins torch."""
    lines = (REPOSITORY / "containers" / SEGMENTATION / "requirements.txt").read_text().splitlines()
    return next(line.split("#")[0].strip() for line in lines if line.startswith("torch=="))


@pytest.fixture(scope="session")
def clinic(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """Build the three images; base images and wheels are pulled where the engine can, else made here."""
    if docker_engine.pulls:
        build_images(docker_engine)
    else:
        with wheelhouse(tmp_path_factory.mktemp("wheels"), requirements=[torch_requirement()]) as wheels:
            import_stand_in(docker_engine, cache=REPOSITORY / "build" / "ci-cache", find_links=wheels)
            build_images(docker_engine)
    return Clinic(docker_engine)


def build_images(running: Engine) -> None:
    """Build the base and the images of the study from the root of the repository, as `make images` does."""
    build(running, REPOSITORY, dockerfile="containers/base/Dockerfile", tag=tag("base"))
    for image in (SEGMENTATION, CALCULATOR, EXPORTER):
        path = f"containers/{image}/Dockerfile"
        build(running, REPOSITORY, dockerfile=path, tag=tag(image), arguments={"BASE": tag("base")})


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> tuple[PlannedExam, Path]:
    """The demo's first exam, and the folder that holds its files."""
    planned = demo_exams()[0]
    folder = tmp_path_factory.mktemp("exam")
    planned.write(folder)
    return planned, folder


@pytest.fixture(scope="module")
def segmented(clinic: Clinic, exam: tuple[PlannedExam, Path], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """What the segmentation image made of the exam."""
    output = tmp_path_factory.mktemp("segmented") / "output"
    return clinic.run(SEGMENTATION, output, given={"/input": exam[1]})


def test_an_exam_is_measured_without_network_rights_or_root(
    segmented: Finished, exam: tuple[PlannedExam, Path]
) -> None:
    result = segmented.result()
    assert result["status"] == "ok"
    truth_ml = exam[0].truth_ml
    (measured_ml,) = [m["value"] for m in result["measurements"] if m["name"] == "lesion_volume_ml"]
    assert measured_ml == pytest.approx(truth_ml, abs=max(0.08 * truth_ml, 0.5))
    assert {path.name for path in segmented.output.iterdir()} >= {"seg.dcm", "sr.dcm", "preview.png", "assessor.xml"}


def test_the_stored_segmentation_has_the_stated_volume(segmented: Finished) -> None:
    (measured_ml,) = [m["value"] for m in segmented.result()["measurements"] if m["name"] == "lesion_volume_ml"]
    stored = volumes_ml(dcmread(segmented.output / "seg.dcm"))
    assert stored == pytest.approx({1: measured_ml}, abs=5e-4)


def test_the_run_tells_its_progress(segmented: Finished) -> None:
    told = [line.split()[1] for line in segmented.log.splitlines() if line.startswith("progress ")]
    assert len(told) > 1
    assert [float(share) for share in told] == sorted(float(share) for share in told)


def test_the_exporter_makes_a_collection_of_it(clinic: Clinic, segmented: Finished, tmp_path: Path) -> None:
    assert segmented.exit_code == 0, segmented.errors
    exported = clinic.run(EXPORTER, tmp_path / "output", given={"/input": segmented.output})
    assert exported.exit_code == 0, exported.errors
    xml = (exported.output / "roi-collection.xml").read_text()
    assert str(dcmread(segmented.output / "seg.dcm", stop_before_pixels=True).SOPInstanceUID) in xml


def test_the_calculator_leaves_the_models_own_segmentation_alone(
    clinic: Clinic, segmented: Finished, exam: tuple[PlannedExam, Path], tmp_path: Path
) -> None:
    given = {"/input": segmented.output, "/session": exam[1]}
    measured = clinic.run(CALCULATOR, tmp_path / "output", given=given)
    assert measured.result()["status"] == "not-applicable"


def test_an_exam_without_the_needed_series_is_not_applicable(
    clinic: Clinic, exam: tuple[PlannedExam, Path], tmp_path: Path
) -> None:
    localiser = exam[1] / "series-001"
    result = clinic.run(SEGMENTATION, tmp_path / "output", given={"/input": localiser}).result()
    assert result["status"] == "not-applicable"
    assert "flair" in result["reason"].lower()


def test_damaged_rules_end_the_run_with_one_clear_line(
    clinic: Clinic, exam: tuple[PlannedExam, Path], tmp_path: Path
) -> None:
    failed = clinic.run(
        SEGMENTATION, tmp_path / "output", given={"/input": exam[1]}, extra={"OVERREAD_SERIES_RULES": "{not json"}
    )
    assert failed.exit_code not in {0, None}
    assert failed.errors.strip().count("\n") == 0, failed.errors
    assert "OVERREAD_SERIES_RULES" in failed.errors
    assert not (failed.output / "result.json").exists()


@pytest.mark.parametrize("image", [SEGMENTATION, CALCULATOR, EXPORTER])
def test_an_image_does_not_run_as_root_by_itself(clinic: Clinic, image: str) -> None:
    user = clinic.engine.client.images.get(tag(image)).attrs["Config"]["User"]
    assert user not in {"", "0", "root"}


@pytest.mark.needs("plugins")
def test_the_calculator_measures_a_readers_drawing_through_the_hub(clinic: Clinic, tmp_path: Path) -> None:
    """The calculator alone needs what no other image does: the collection, and the session it belongs to, as mounts."""
    shutil.copytree(REPOSITORY / "build" / "plugins", tmp_path / "home" / "plugins")
    case = make_case()
    drawn = replace(LESION, algorithm_type="MANUAL", algorithm_name="", algorithm_version="")
    seg = write_seg(case.datasets, {1: case.mask}, [drawn])
    hub = start_hub(tmp_path, runner="docker", docker_host=clinic.engine.address)
    with hub.client() as client:
        assert client.put("/data/projects/BTS").status_code == 200
        names = {"project": "BTS", "subject": "S", "session": "EXAM", "dest": "/archive", "import-handler": "DICOM-zip"}
        sent = client.post(
            "/data/services/import",
            params=names,
            content=zipped(case.datasets),
            headers={"content-type": "application/zip"},
        )
        assert sent.status_code == 200, sent.text
        session = client.get(sent.text.strip(), params={"format": "json"}).json()["items"][0]["data_fields"]["ID"]
        collection = client.put(
            f"/xapi/roi/projects/BTS/sessions/{session}/collections/SEG_1",
            params={"type": "SEG"},
            content=file_bytes(seg),
            headers={"content-type": "application/octet-stream"},
        )
        assert collection.status_code == 200, collection.text
        number = client.post("/xapi/commands", json=read_command(CALCULATOR) | {"image": tag(CALCULATOR)}).json()
        wrapper = client.get(f"/xapi/commands/{number}").json()["xnat"][0]["id"]
        for place in ("", "/projects/BTS"):
            assert client.put(f"/xapi{place}/wrappers/{wrapper}/enabled").status_code == 200
        assessor = f"/archive/experiments/{session}/assessors/{collection.text}"
        launched = client.post(
            f"/xapi/projects/BTS/wrappers/{wrapper}/root/collection/launch", json={"collection": assessor}
        )
        assert launched.status_code == 200, launched.text
        (run,) = wait_for(client, project="BTS", timeout_s=300)
        assert run["status"] == "Complete", run["reason"]
        listed = client.get("/data/experiments?xsiType=braintumor:resultData&project=BTS&format=json").json()
        (row,) = listed["ResultSet"]["Result"]
        fields = client.get(f"/data/experiments/{row['ID']}?format=json").json()["items"][0]["data_fields"]
        assert fields["lesion_volume_ml"] == pytest.approx(case.volume_ml, rel=1e-3)
        assert run["image-digest"].startswith("sha256:")
    hub.stop()
