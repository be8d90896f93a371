"""``overread demo``: the main job on one machine, from DICOM on the network to volumes over time."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from overread.cli.demo_line import Account, Client, Outcome
    from overread.synthetic.exams import PlannedExam

_RELATIVE_TOLERANCE, _ABSOLUTE_TOLERANCE_ML = 0.08, 0.5
_PATIENCE_S = 1800
_HEADER = f"{'patient':<12}{'date':<12}{'true mL':>9}{'measured':>10}{'status':>12}{'start s':>9}{'result s':>10}"


@dataclass(frozen=True)
class _Line:
    exam: PlannedExam
    outcome: Outcome

    @property
    def good(self) -> bool:
        """The run is complete and the volume is right."""
        measured = self.outcome.measured_ml
        if measured is None or not self.outcome.status.startswith("Complete"):
            return False
        allowed = max(_RELATIVE_TOLERANCE * self.exam.truth_ml, _ABSOLUTE_TOLERANCE_ML)
        return abs(measured - self.exam.truth_ml) <= allowed

    def as_json(self) -> dict[str, Any]:
        """Return the line of ``summary.json``."""
        return {
            "patient": self.exam.patient_id,
            "date": self.exam.date,
            "truth_ml": round(self.exam.truth_ml, 3),
            "measured_ml": self.outcome.measured_ml,
            "status": self.outcome.status,
            "s_last_image_to_start": _rounded(self.outcome.started_s),
            "s_last_image_to_result": _rounded(self.outcome.result_s),
        }


_MANIFEST = Path("xnat-plugins/brain-tumor/study.yaml")


@click.command("demo")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("demo"), help="Where it all lives; made anew.")
@click.option("--manifest", type=click.Path(path_type=Path, exists=True), default=_MANIFEST, help="The study.")
@click.option("--port", default=8080, show_default=True, help="Port of the web pages.")
@click.option("--dicom-port", default=8104, show_default=True, help="Port of the DICOM receiver.")
@click.option("--once", is_flag=True, envvar="ONCE", help="Leave after the summary (also: ONCE=1).")
def cli(folder: Path, manifest: Path, port: int, dicom_port: int, *, once: bool) -> None:
    """Start a hub, send made-up exams to it by DICOM, and compare measured volumes with the true ones."""
    from overread.cli import demo_line as line  # noqa: PLC0415 - `overread --help` stays light

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
            click.echo(line.apply_study(manifest, url, admin, dicom_port=dicom_port), err=True)
            client = line.Client(url, admin)
            client.add_reader(reader)
            click.echo("Preparing the images (minutes the first time, nothing later).", err=True)
            client.prepare_images()
            lines = _run(client, folder / "exams", dicom_port=dicom_port)
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


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run(client: Client, folder: Path, *, dicom_port: int) -> list[_Line]:
    from overread.cli import demo_line as line  # noqa: PLC0415
    from overread.synthetic.exams import demo_exams  # noqa: PLC0415

    exams = demo_exams()
    shutil.rmtree(folder, ignore_errors=True)
    sent: dict[str, float] = {}
    for number, exam in enumerate(exams, start=1):
        place = folder / f"{exam.patient_id}-{exam.date}"
        files = exam.write(place)
        program = line.send(place, port=dicom_port)
        sent[exam.uid] = time.time()
        click.echo(
            f"[{number}/{len(exams)}] {exam.patient_id} {exam.date}: {len(files)} images sent by {program}.",
            err=True,
        )
    found = _wait(client, exams, sent)
    return [_Line(exam, found[exam.uid]) for exam in exams]


def _wait(client: Client, exams: Sequence[PlannedExam], sent: dict[str, float]) -> dict[str, Outcome]:
    from overread.cli import demo_line as line  # noqa: PLC0415

    shown: dict[str, str] = {}
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        found = line.outcomes(client, sent)
        for exam in exams:
            outcome = found[exam.uid]
            if shown.get(exam.uid) != outcome.status:
                shown[exam.uid] = outcome.status
                volume = "" if outcome.measured_ml is None else f", {outcome.measured_ml:.2f} mL"
                why = f": {outcome.reason}" if outcome.reason and outcome.status.startswith("Failed") else ""
                click.echo(f"  {exam.patient_id} {exam.date}  {outcome.status}{volume}{why}", err=True)
        if all(outcome.finished for outcome in found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(1)


def _summary(lines: Sequence[_Line], target: Path) -> bool:
    good = bool(lines) and all(entry.good for entry in lines)
    target.write_text(json.dumps({"exams": [entry.as_json() for entry in lines], "ok": good}, indent=2) + "\n")
    click.echo("\n" + _HEADER)
    for entry in lines:
        row = entry.as_json()
        shown = [f"{row['patient']:<12}{row['date']:<12}{row['truth_ml']:>9.2f}{_shown(row['measured_ml'], 2):>10}"]
        shown.append(f"{row['status']:>12}{_shown(row['s_last_image_to_start']):>9}")
        shown.append(f"{_shown(row['s_last_image_to_result']):>10}{'' if entry.good else '  <- wrong'}")
        click.echo("".join(shown))
    click.echo(f"\nWritten to {target}. Seconds count from the last acknowledged image.")
    return good


def _invite(url: str, lines: Sequence[_Line], accounts: Sequence[Account]) -> None:
    patients = [entry.exam.patient_id for entry in lines]
    last = [entry.exam for entry in lines if entry.exam.patient_id == max(patients, key=patients.count)][-1]
    click.echo("\nThe PACS button of the last exam of the series:")
    click.echo(f"  {url}/overread/open?study=brain-tumor&uid={last.uid}")
    click.echo(f"  {url}/overread/open?study=brain-tumor&accession={last.accession_number}")
    click.echo("Logins:")
    for account in accounts:
        click.echo(f"  {account.login} / {account.password}")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _shown(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
