"""A hub with the brain tumour study and small exams, for tests of the review room in a browser.

The images' own programs run in this process, on phantoms: the model is `helpers.threshold_model`. So results, masks and
recalculated volumes are what the images write, and come within a second.
"""

from __future__ import annotations

import io
import shlex
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from click.testing import CliRunner
from pydicom.dataset import Dataset

from helpers.containers import CONTAINERS, main_of
from helpers.fake_runner import DONE, FakeRunner, use_runner
from helpers.ports import free_port
from helpers.requirements import REPOSITORY
from helpers.threshold_model import write_model
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.hub.core import Hub
from overread.hub.runs.runner import End, Exit, RunSpec
from overread.operators.job import image_arguments, run_image
from overread.synthetic.phantoms import Sphere, make_case

MANIFEST: Final = REPOSITORY / "xnat-plugins/brain-tumor/study.yaml"
SHAPE: Final = (24, 96, 96)
SPACING: Final = (3.0, 1.0, 1.0)
_PATIENCE_S: Final = 120
READERS: Final = ("reader", "second")
PASSWORD: Final = "Reader-of-tests-1"


@dataclass(frozen=True)
class Exam:
    """A phantom: two lesions by their radii in mm, 0 for none."""

    date: str
    radii_mm: tuple[float, float]
    patient: str = "ROOM-1"

    def datasets(self) -> list[Dataset]:
        places = ((9, 40, 34), (15, 56, 66))
        lesions = [
            Sphere(centre=place, radius_mm=radius)
            for place, radius in zip(places, self.radii_mm, strict=True)
            if radius > 0
        ]
        return make_case(
            SHAPE,
            SPACING,
            seed=int(self.date),
            lesions=lesions,
            study_date=self.date,
            patient_id=self.patient,
            patient_name="Room^One",
            accession_number=f"ROOM{self.date}{self.patient[-1]}",
        ).datasets


UNPROCESSED: Final = Exam("20230110", (7.0, 0.0))
OLD_VERSION: Final = Exam("20230710", (7.5, 0.0))
FIRST: Final = Exam("20240110", (8.0, 6.0))
SECOND: Final = Exam("20240710", (8.2, 7.5))
LAST: Final = Exam("20250110", (11.0, 8.0))
OTHER: Final = Exam("20250112", (9.0, 0.0), patient="ROOM-2")
HEALTHY: Final = Exam("20250113", (0.0, 0.0), patient="ROOM-3")


class Images:
    """What runs do: the images' programs, in this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = ("brain-tumor-segmentation", "roi-exporter", "volume-calculator", "dicom-report")
        self._mains = {name: main_of(name) for name in names}
        self.model_version("2.0.0")

    def model_version(self, version: str) -> None:
        """From now on the model is this version of itself."""
        changes: dict[str, Any] = {"name": "brain-tumor-segmentation", "version": version}
        changes["postprocessing"] = {
            "threshold": 0.5, "connectivity": 26, "minimum_component_ml": 0.1, "keep": "all"
        }  # fmt: skip
        self._mains["brain-tumor-segmentation"].MODEL = write_model(self._folder / f"model-{version}", **changes)

    def run(self, spec: RunSpec) -> Exit:
        """Run one."""
        image = next(name for name in self._mains if f"/{name}:" in spec.image)
        module = self._mains[image]
        places = {str(mount.target): str(mount.source) for mount in spec.mounts}
        words = shlex.split(spec.command_line)
        arguments = [places.get(word, word) for word in words[words.index("--input") :]]
        parser = image_arguments("in the tests' process")
        for folder in ("--session", "--project"):
            if folder in arguments:
                parser.add_argument(folder, type=Path, required=True)
        work: Any = {
            "brain-tumor-segmentation": "segment_exam",
            "roi-exporter": "export_collection",
            "volume-calculator": "measure_collection",
            "dicom-report": "main_report",
        }[image]
        code = run_image(getattr(module, work), parser, arguments=arguments, environ=spec.environment)
        return DONE if code == 0 else Exit(End.EXITED, code)


@dataclass(frozen=True)
class Room:
    """The hub, and what is in it."""

    hub: RunningHub
    images: Images

    @property
    def url(self) -> str:
        return self.hub.url

    def session(self, exam: Exam) -> str:
        """Return the accession id of an exam."""
        uid = str(exam.datasets()[0].StudyInstanceUID)
        rows = self.rows("/data/projects/BTS/experiments", columns="ID,UID", UID=uid)
        return str(rows[0]["ID"])

    def rows(self, path: str, login: str = "admin", **query: str) -> list[dict[str, str]]:
        with self.client(login) as client:
            answer = client.get(path, params={"format": "json", **query}).raise_for_status().json()
        rows: list[dict[str, str]] = answer["ResultSet"]["Result"]
        return rows

    def client(self, login: str = "admin") -> httpx.Client:
        return self.hub.client(login, None if login == "admin" else PASSWORD)

    def send(self, *exams: Exam) -> None:
        """Import exams straight into the archive, and wait until all that starts has ended."""
        with self.client() as client:
            for exam in exams:
                place = f"/archive/projects/BTS/subjects/{exam.patient}/experiments/{exam.patient}_{exam.date}"
                client.post(
                    "/data/services/import",
                    params={"import-handler": "DICOM-zip", "dest": place, "inbody": "true"},
                    content=_zipped(exam.datasets()),
                    headers={"content-type": "application/zip"},
                    timeout=60,
                ).raise_for_status()
            self.settle()

    def settle(self) -> None:
        """Wait until nothing runs any more."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with self.client() as client:
                runs = client.get("/xapi/containers").raise_for_status().json()
            if all(run["status"].startswith(("Complete", "Failed", "Killed")) for run in runs):
                return
            assert time.monotonic() < deadline, [run["status"] for run in runs]
            time.sleep(0.2)


def start_room(folder: Path, *, exams: Sequence[Exam] = (), manifest: Path = MANIFEST) -> Room:
    """Start the hub, apply the study, and send exams: those of a patient who is followed, and of two others."""
    images = Images(folder)

    def change(hub: Hub) -> None:
        use_runner(hub, FakeRunner(work=images.run))

    hub = start_hub(
        folder,
        plugins=REPOSITORY / "build/plugins",
        ohif=REPOSITORY / "build/ohif",
        images=(CONTAINERS,),
        change=change,
    )
    room = Room(hub, images)
    with room.client() as client:
        client.put("/data/projects/BTS").raise_for_status()
        if not exams:
            room.send(UNPROCESSED)  # before the study is there: nothing is started
        arguments = ["study", "apply", str(manifest), "--server", hub.url, "--user", "admin"]
        done = CliRunner().invoke(
            main, [*arguments, "--dicom-port", str(free_port())], env={"OVERREAD_PASSWORD": hub.password}
        )
        assert done.exit_code == 0, done.output
        for login in READERS:
            account = {
                "username": login, "password": PASSWORD, "firstName": "Robin", "lastName": login.title(),
                "email": f"{login}@example.org", "enabled": True, "verified": True,
            }  # fmt: skip
            client.post("/xapi/users", json=account).raise_for_status()
            client.put(f"/data/projects/BTS/users/member/{login}").raise_for_status()
    if not exams:
        images.model_version("1.0.0")
        room.send(OLD_VERSION)
        images.model_version("2.0.0")
    room.send(*(exams or (FIRST, SECOND, LAST, OTHER, HEALTHY)))
    return room


def _zipped(datasets: list[Dataset]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, ds in enumerate(datasets):
            one = io.BytesIO()
            ds.save_as(one, enforce_file_format=True)
            archive.writestr(f"{number}.dcm", one.getvalue())
    return buffer.getvalue()
