"""What an exam's images say of themselves and what becomes of it."""

from __future__ import annotations

import copy

import pytest
from pydicom.uid import JPEGBaseline8Bit

from helpers.exam_files import write_series
from helpers.threshold_model import card_of
from overread.operators.card import Card
from overread.operators.exam import read_exam
from overread.operators.job import Job
from overread.operators.pixels import is_lossy
from overread.synthetic.phantoms import make_case

CASE = make_case((6, 12, 10), (2.0, 2.0, 2.0))


def exam_of(tmp_path, images, **changes):
    job = Job(input=write_series(tmp_path / "in", images), output=tmp_path / "out")
    return read_exam(job, Card.model_validate(card_of(**changes))), job


def lossy():
    images = copy.deepcopy(CASE.datasets)
    images[2].LossyImageCompression = "01"
    return images


def test_images_compressed_with_loss_carry_a_warning(tmp_path):
    exam, job = exam_of(tmp_path, lossy())
    assert not exam.missing
    assert [warning for warning in job.warnings if "compressed with loss" in warning]


def test_a_card_may_refuse_images_compressed_with_loss(tmp_path):
    exam, _ = exam_of(tmp_path, lossy(), lossy="refuse")
    assert exam.missing == "flair: the images were compressed with loss, which this model's card does not accept"
    assert not exam.volumes


@pytest.mark.parametrize("lossy", ["warn", "refuse"])
def test_other_images_pass(lossy, tmp_path):
    exam, job = exam_of(tmp_path, CASE.datasets, lossy=lossy)
    assert not exam.missing
    assert job.warnings == []


def test_the_way_of_storing_counts_as_well():
    image = copy.deepcopy(CASE.datasets[0])
    assert not is_lossy(image)
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    assert is_lossy(image)
