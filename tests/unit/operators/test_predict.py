from __future__ import annotations

import numpy as np
import pytest
import yaml

from helpers.threshold_model import card_of, write_model
from overread.dicom.geometry import geometry_of
from overread.errors import DataError, SpecError
from overread.operators.card import Normalisation, load_card
from overread.operators.predict import load_network
from overread.synthetic.phantoms import make_case

RULES = Normalisation(method="z-score", percentile=99.0, foreground_fraction=0.1, clip=(-4.0, 6.0))


def write_card(folder, **changes):
    (folder / "card.yaml").write_text(yaml.safe_dump(card_of(**changes)), "utf-8")
    return folder


def test_scores_are_of_the_foreground_alone():
    values = np.zeros((4, 10, 10), dtype=np.float32)
    values[:, 2:8, 2:8] = np.arange(36, dtype=np.float32).reshape(6, 6) + 100
    scores, foreground = RULES.apply(values)
    np.testing.assert_array_equal(foreground, values > 0)
    assert scores[foreground].mean() == pytest.approx(0.0, abs=1e-5)
    assert scores[foreground].std() == pytest.approx(1.0, abs=1e-5)
    assert scores[0, 0, 0] == -4.0


def test_an_empty_image_has_no_foreground():
    scores, foreground = RULES.apply(np.zeros((2, 3, 4), dtype=np.float32))
    assert not foreground.any()
    assert not scores.any()


def test_a_network_marks_what_it_was_made_to_mark(tmp_path):
    case = make_case((20, 30, 28), (2.0, 1.0, 1.25))
    model = write_model(tmp_path, preprocessing__spacing_mm=[2.0, 1.0, 1.25], inference__window=[32, 32, 32])
    network = load_network(model)
    values = np.stack([ds.pixel_array for ds in case.datasets]).astype(np.float32)
    probability = network.probability(values, geometry_of(case.datasets))
    np.testing.assert_array_equal(probability > 0.5, case.mask)
    assert network.device == "cpu" or network.device.startswith("cuda ")


def test_a_volume_smaller_than_the_window_is_padded(tmp_path):
    case = make_case((6, 12, 10), (2.0, 2.0, 2.0))
    network = load_network(write_model(tmp_path, preprocessing__spacing_mm=[2.0, 2.0, 2.0]))
    values = np.stack([ds.pixel_array for ds in case.datasets]).astype(np.float32)
    probability = network.probability(values, geometry_of(case.datasets))
    assert probability.shape == case.mask.shape
    np.testing.assert_array_equal(probability > 0.5, case.mask)


def test_black_images_have_no_lesion(tmp_path):
    case = make_case((6, 12, 10), (2.0, 2.0, 2.0))
    network = load_network(write_model(tmp_path))
    assert not network.probability(np.zeros(case.mask.shape, np.float32), geometry_of(case.datasets)).any()


def test_what_lies_outside_the_brain_is_no_lesion(tmp_path):
    case = make_case((20, 30, 28), (1.0, 1.0, 1.0))
    values = np.full(case.mask.shape, 10.0, dtype=np.float32)
    values[4:16, 4:20, 4:20] = 600.0
    lesion, scalp = (slice(8, 11), slice(8, 12), slice(8, 12)), (slice(8, 11), slice(25, 28), slice(8, 12))
    values[lesion] = values[scalp] = 1500.0
    with_brain = load_network(write_model(tmp_path / "one", threshold=1.5, brain_threshold=-3.9))
    without = load_network(write_model(tmp_path / "two", threshold=1.5))
    geometry = geometry_of(case.datasets)
    assert (without.probability(values, geometry) > 0.5)[scalp].all()
    found = with_brain.probability(values, geometry) > 0.5
    assert found[lesion].all()
    assert not found[scalp].any()


def test_weights_of_the_brains_network_must_fit_too(tmp_path):
    write_model(tmp_path, brain_threshold=-3.9)
    card = yaml.safe_load((tmp_path / "card.yaml").read_text("utf-8"))
    card["preprocessing"]["extract"]["network"]["arguments"]["channels"] = [2, 2]
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card), "utf-8")
    with pytest.raises(SpecError, match=r"do not fit together \(RuntimeError\)"):
        load_network(tmp_path)


def test_weights_must_be_the_cards(tmp_path):
    write_model(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"others")
    with pytest.raises(DataError, match=r"have SHA-256 [0-9a-f]{12}…, the card says"):
        load_network(tmp_path)
    (tmp_path / "weights.pt").unlink()
    with pytest.raises(DataError, match="can't be read"):
        load_network(tmp_path)


def test_weights_that_do_not_fit_are_told(tmp_path):
    arguments = {**card_of()["network"]["arguments"], "channels": [2, 2]}
    write_model(tmp_path, network__arguments=arguments)
    with pytest.raises(SpecError, match=r"do not fit together \(RuntimeError\)"):
        load_network(tmp_path)


def test_a_card_may_say_more_than_is_read(tmp_path):
    card = load_card(write_card(tmp_path, evaluation={"dice": 0.9}))
    assert card.inputs["flair"].at_least == 5
    assert card.network.cls == "monai.networks.nets.UNet"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network__class": "os.system"}, "name a class of monai.networks.nets"),
        ({"weights__file": "../../weights.pt"}, "path of a file beside the card"),
        ({"weights__sha256": "abc"}, "64 hexadecimal digits"),
        ({"postprocessing__keep": "some"}, "keep"),
        ({"postprocessing__treshold": 0.5}, "treshold"),
        ({"inputs": {}}, "inputs"),
    ],
)
def test_a_wrong_card_is_named_with_its_line(tmp_path, changes, message):
    with pytest.raises(SpecError, match=message) as caught:
        load_card(write_card(tmp_path, **changes))
    assert "card.yaml" in str(caught.value)


def test_a_missing_card_is_told(tmp_path):
    with pytest.raises(SpecError, match=r"put card\.yaml beside the weights"):
        load_card(tmp_path)
