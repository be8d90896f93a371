"""``overread demo``: the main job on one machine, from DICOM on the network to results beside the truth."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overread.errors import SpecError

if TYPE_CHECKING:
    from overread.cli.demo_line import Account, Client, Outcome
    from overread.study.manifest import DemoMeasure, StudyManifest
    from overread.synthetic.demo import DemoExam
    from overread.xnat.bundle import StudyBundle

_PATIENCE_S = 1800
_STUDIES = Path("xnat-plugins")
_ALL = "all"


@dataclass(frozen=True)
class _Sent:
    study: StudyBundle
    exam: DemoExam
    at: float


@dataclass(frozen=True)
class _Line:
    manifest: StudyManifest
    exam: DemoExam
    outcome: Outcome

    @property
    def measures(self) -> Mapping[str, DemoMeasure]:
        """What is compared."""
        return self.manifest.demo.measures if self.manifest.demo else {}

    @property
    def truth(self) -> dict[str, float | str]:
        """What is compared and known; ``status`` too where the truth names it."""
        names = (*self.measures, "status")
        return {name: self.exam.truth[name] for name in names if name in self.exam.truth}

    @property
    def measured(self) -> dict[str, float | str | None]:
        """What the result says of the same fields: numbers where the truth is one."""
        found: dict[str, float | str | None] = {}
        for name, true in self.truth.items():
            value = self.outcome.values.get(name, "")
            found[name] = value if isinstance(true, str) else float(value) if value else None
        return found

    @property
    def good(self) -> bool:
        """The run is complete and says the truth."""
        measured = self.measured
        agree = all(self._agrees(name, measured[name]) for name in self.truth)
        return bool(self.truth) and agree and self.outcome.status.startswith("Complete")

    def _agrees(self, name: str, value: float | str | None) -> bool:
        true = self.truth[name]
        if isinstance(true, str) or isinstance(value, str) or value is None:
            return value == true
        allowed = self.measures[name]
        return abs(value - true) <= max(allowed.within_pct / 100.0 * abs(true), allowed.or_within)

    def as_json(self) -> dict[str, Any]:
        """Return the line of ``summary.json``."""
        return {
            "study": self.manifest.id,
            "patient": self.exam.patient_id,
            "date": self.exam.date,
            "truth": {name: _short(value) for name, value in self.truth.items()},
            "measured": {name: _short(value) for name, value in self.measured.items()},
            "status": self.outcome.status,
            "good": self.good,
            "s_last_image_to_start": _rounded(self.outcome.started_s),
            "s_last_image_to_result": _rounded(self.outcome.result_s),
        }


@click.command("demo")
@click.option("--study", required=True, envvar="STUDY", help=f"A study's name, its manifest's path, or '{_ALL}'.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("demo"), help="Where it all lives; made anew.")
@click.option("--port", default=8080, show_default=True, help="Port of the web pages.")
@click.option("--dicom-port", default=8104, show_default=True, help="Port of the DICOM receiver.")
@click.option("--once", is_flag=True, envvar="ONCE", help="Leave after the summary (also: ONCE=1).")
def cli(study: str, folder: Path, port: int, dicom_port: int, *, once: bool) -> None:
    """Start a hub, send made-up exams to it by DICOM, and hold what comes out against the truth."""
    from overread.cli import demo_line as line  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.bundle import load_bundle  # noqa: PLC0415

    studies = [load_bundle(path) for path in _manifests(study)]
    studies = [each for each in studies if each.manifest.demo or study != _ALL]
    home = folder / "home"
    if home.exists():
        click.echo(f"Removing the last demo in {home}.", err=True)
        shutil.rmtree(home)
    admin = line.Account("admin", os.environ.get("OVERREAD_ADMIN_PASSWORD") or secrets.token_urlsafe(9))
    reader = line.Account("reader", secrets.token_urlsafe(9))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with line.hub_process(home, port=port, dicom_port=dicom_port, password=admin.password) as url:
            click.echo(f"Hub at {url}; its log is {home / 'hub.log'}.", err=True)
            client = line.Client(url, admin)
            for each in studies:
                click.echo(line.apply_study(Path(each.source), url, admin, dicom_port=dicom_port), err=True)
            client.add_reader(reader, projects=[each.manifest.project for each in studies])
            click.echo("Preparing the images (minutes the first time, nothing later).", err=True)
            client.prepare_images()
            lines = _run(client, studies, folder / "exams", dicom_port=dicom_port)
            good = _summary(lines, folder / "summary.json")
            _invite(url, lines, (admin, reader))
            if not once:
                click.echo("The hub stays up; Ctrl-C ends it.", err=True)
                signal.pause()
    except KeyboardInterrupt:
        click.echo("Ended.", err=True)
        return
    if not good:
        raise click.exceptions.Exit(1)


def _manifests(study: str) -> list[Path]:
    """Return the manifests that are meant, at least one."""
    if study == _ALL:
        found = sorted(_STUDIES.glob("*/study.yaml"))
        if not found:
            raise SpecError(f"No study in {_STUDIES}/: call it in the repository's folder, or give a manifest's path.")
        return found
    for path in (Path(study), _STUDIES / study / "study.yaml"):
        if path.is_file():
            return [path]
    known = ", ".join(sorted(path.parent.name for path in _STUDIES.glob("*/study.yaml")))
    raise SpecError(
        f"There is no study {study!r}: give the path of a manifest" + (f", or one of {known}." if known else ".")
    )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run(client: Client, studies: Sequence[StudyBundle], folder: Path, *, dicom_port: int) -> list[_Line]:
    from overread.cli import demo_line as line  # noqa: PLC0415
    from overread.synthetic.demo import demo_exams  # noqa: PLC0415

    shutil.rmtree(folder, ignore_errors=True)
    sent: list[_Sent] = []
    for study in studies:
        if study.manifest.demo is None:
            raise SpecError("The study has no demo: say in 'demo' which exams are sent.", source=study.source)
        exams = demo_exams(study.manifest.demo.exams)
        for number, exam in enumerate(exams, start=1):
            place = folder / study.manifest.id / f"{exam.patient_id}-{exam.date}"
            files = exam.write(place)
            program = line.send(place, ae_title=study.manifest.receiver.ae_title, port=dicom_port)
            sent.append(_Sent(study, exam, time.time()))
            click.echo(
                f"[{number}/{len(exams)}] {exam.patient_id} {exam.date}: {len(files)} images sent by {program}.",
                err=True,
            )
    found = _wait(client, studies, sent)
    return [_Line(each.study.manifest, each.exam, found[each.exam.uid]) for each in sent]


def _wait(client: Client, studies: Sequence[StudyBundle], sent: Sequence[_Sent]) -> dict[str, Outcome]:
    from overread.cli import demo_line as line  # noqa: PLC0415

    shown: dict[str, str] = {}
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        found: dict[str, Outcome] = {}
        for study in studies:
            times = {each.exam.uid: each.at for each in sent if each.study is study}
            found |= line.outcomes(client, study, times)
        for each in sent:
            outcome, exam = found[each.exam.uid], each.exam
            if shown.get(exam.uid) != outcome.status:
                shown[exam.uid] = outcome.status
                why = f": {outcome.reason}" if outcome.reason and outcome.status.startswith("Failed") else ""
                click.echo(f"  {exam.patient_id} {exam.date}  {outcome.status}{why}", err=True)
        if all(outcome.finished for outcome in found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(1)


def _summary(lines: Sequence[_Line], target: Path) -> bool:
    good = bool(lines) and all(entry.good for entry in lines)
    target.write_text(json.dumps({"exams": [entry.as_json() for entry in lines], "ok": good}, indent=2) + "\n")
    width = max((len(name) for entry in lines for name in entry.truth), default=0) + 2
    click.echo(
        f"\n{'patient':<12}{'date':<12}{'status':<12}{'start s':>9}{'result s':>10}  "
        f"{'':<{width}}{'true':>16}{'measured':>16}"
    )
    for entry in lines:
        row = entry.as_json()
        shown = f"{row['patient']:<12}{row['date']:<12}{row['status']:<12}{_shown(row['s_last_image_to_start'], 1):>9}"
        shown += f"{_shown(row['s_last_image_to_result'], 1):>10}  "
        for name, true in row["truth"].items():
            click.echo(f"{shown:<57}{name:<{width}}{_shown(true):>16}{_shown(row['measured'][name]):>16}")
            shown = ""
        if not entry.good:
            click.echo(f"{'':<57}^ wrong")
    click.echo(f"\nWritten to {target}. Seconds count from the last acknowledged image.")
    return good


def _invite(url: str, lines: Sequence[_Line], accounts: Sequence[Account]) -> None:
    for study in dict.fromkeys(entry.manifest.id for entry in lines):
        exams = [entry.exam for entry in lines if entry.manifest.id == study]
        patients = [exam.patient_id for exam in exams]
        last = [exam for exam in exams if exam.patient_id == max(patients, key=patients.count)][-1]
        click.echo(f"\nThe PACS button of {study}, here of the last exam of the patient with most:")
        click.echo(f"  {url}/overread/open?study={study}&uid={last.uid}")
        click.echo(f"  {url}/overread/open?study={study}&accession={last.accession_number}")
    click.echo("Logins:")
    for account in accounts:
        click.echo(f"  {account.login} / {account.password}")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _short(value: float | str | None) -> float | str | None:
    return round(value, 3) if isinstance(value, float) else value


def _shown(value: float | str | None, digits: int = 2) -> str:
    return "-" if value is None or value == "" else value if isinstance(value, str) else f"{value:.{digits}f}"
