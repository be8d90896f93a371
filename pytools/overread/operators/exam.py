"""From the input folder to the volumes that a model wants: found, chosen by the study's rules, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from overread.errors import DataError, SpecError
from overread.operators.card import ModelCard
from overread.operators.job import Job
from overread.operators.load import Folder, FoundSeries, load_folder
from overread.operators.pixels import is_lossy
from overread.operators.result import InputSeries, Model
from overread.operators.select import keywords_of, select_inputs
from overread.operators.volume import ImageVolume, read_volume
from overread.study.manifest import SeriesRule

_LOSSY: Final = "the images were compressed with loss"
_REFUSED: Final = "which this model's card does not accept"


@dataclass(frozen=True, kw_only=True)
class Exam:
    """An exam as a model sees it.

    Parameters
    ----------
    model
        The model that will be run.
    folder
        All that was found.
    series, volumes
        By role. Both are empty if a role can't be played.
    missing
        Why the model does not apply, in words; empty if it does.
    """

    model: Model
    folder: Folder
    series: Mapping[str, FoundSeries]
    volumes: Mapping[str, ImageVolume]
    missing: str = ""

    @property
    def inputs(self) -> tuple[InputSeries, ...]:
        """What the result says of its input."""
        return tuple(
            InputSeries(
                role=role,
                series_instance_uid=found.summary.series_instance_uid,
                instances=found.summary.instances,
                fingerprint=self.volumes[role].fingerprint,
                series_description=str(found.summary.header.get("SeriesDescription", "")),
            )
            for role, found in self.series.items()
        )


def read_exam(job: Job, card: ModelCard) -> Exam:
    """Find, choose and read the series that the study's rules, or else the card's, ask for.

    Parameters
    ----------
    job
        The run; what was left out becomes a warning.
    card
        Of the model.

    Raises
    ------
    SpecError
        If the study's rules leave out a role that the model needs.
    DataError
        If the input holds several studies, or a chosen series is no volume.
    """
    model = Model(
        name=card.name, version=card.version, weights_sha256=card.weights.sha256, framework=card.weights.framework
    )
    with job.stage("load", at=0.0):
        rules = _rules_for(card, job)
        folder = load_folder(job.input, keywords=keywords_of(rules))
        if folder.warning:
            job.warn(folder.warning)
    with job.stage("select", at=0.1):
        selection = select_inputs(folder, rules, optional=card.optional)
        for role, reason in selection.reasons.items():
            print(f"{role}: {reason}", flush=True)  # noqa: T201 - the log says why this series
    if selection.missing:
        return Exam(model=model, folder=folder, series={}, volumes={}, missing=selection.missing)
    series: dict[str, FoundSeries] = {}
    volumes: dict[str, ImageVolume] = {}
    with job.stage("read", at=0.12):
        for role, reason in selection.reasons.items():
            if role in selection.inputs:
                series[role], volumes[role] = _first_volume(job, role, selection.inputs[role])
            else:
                job.warn(f"The model ran without {role}: {reason}")
    for role, volume in volumes.items():
        if any(is_lossy(header) for header in volume.images):
            if card.lossy == "refuse":
                return Exam(model=model, folder=folder, series={}, volumes={}, missing=f"{role}: {_LOSSY}, {_REFUSED}")
            job.warn(f"{role}: {_LOSSY}. Small or faint findings may be lost")
    return Exam(model=model, folder=folder, series=series, volumes=volumes)


def choose_series_of(
    job: Job, *, model: Model, rules: Mapping[str, SeriesRule]
) -> tuple[Exam, Mapping[str, tuple[FoundSeries, ...]]]:
    """Find the series that could play each role, for a model that looks at all of them and at no volume.

    Parameters
    ----------
    job
        The run; what was left out becomes a warning.
    model
        What will be run.
    rules
        The card's; the study's own come first.

    Returns
    -------
    tuple
        The exam without volumes, and series by role. A role that nothing plays is not there, and `Exam.missing` says
        why.
    """
    with job.stage("load", at=0.0):
        wanted = job.context.rules(rules)
        lacking = sorted(set(rules) - set(wanted))
        if lacking:
            raise SpecError(
                f"The study has no rule for {', '.join(lacking)}, which {model.name} needs: name a series for it.",
                path="arrival.series",
            )
        wanted = {role: wanted[role] for role in rules}
        folder = load_folder(job.input, keywords=keywords_of(wanted))
        if folder.warning:
            job.warn(folder.warning)
    with job.stage("select", at=0.1):
        selection = select_inputs(folder, wanted)
    exam = Exam(model=model, folder=folder, series={}, volumes={}, missing=selection.missing)
    return exam, selection.inputs


def _first_volume(job: Job, role: str, candidates: Sequence[FoundSeries]) -> tuple[FoundSeries, ImageVolume]:
    """Return the first series that is a volume. A copy with a slice missing must not stand before a whole one."""
    faults: list[DataError] = []
    for series in candidates:
        try:
            volume = read_volume(series)
        except DataError as error:
            faults.append(error)
            continue
        for fault in faults:
            job.warn(f"{role}: a series that would have been taken first is unusable, another was taken: {fault}")
        return series, volume
    raise faults[0]


def _rules_for(card: ModelCard, job: Job) -> dict[str, SeriesRule]:
    """Return the rules of the roles that the model needs; a study may have more, for the viewer."""
    rules = job.context.rules(card.inputs)
    lacking = sorted(set(card.inputs) - set(rules))
    if lacking:
        raise SpecError(
            f"The study has no rule for {', '.join(lacking)}, which {card.name} needs: name a series for it.",
            path="arrival.series",
        )
    return {role: rules[role] for role in card.inputs}
