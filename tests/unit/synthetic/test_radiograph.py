"""Synthetic radiographs: thickness along rays is right, the truth is in the picture, the same seed the same image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from overread.synthetic.hip_conditions import Condition, hip_attenuation, make_hip, project
from overread.synthetic.hip_exams import PlannedHipExam, Taken, demo_exams
from overread.synthetic.hip_shape import make_skeleton
from overread.synthetic.other_radiographs import KINDS, other_radiograph
from overread.synthetic.projection import Film, ball_thickness, mesh_thickness, rod_thickness
from overread.synthetic.radiograph import Shot, make_person, take

NONE = Condition(name="no-fracture")
PROSTHESIS = Condition(name="hardware", kind="prosthesis", seed=3)
FILM = Film(rows=80, columns=100, spacing_mm=1.0, left_mm=-50.0, top_mm=-40.0)


def box_mesh(low, high):
    corners = np.array([[(low, high)[(i >> axis) & 1][axis] for axis in range(3)] for i in range(8)], dtype=float)
    quads = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5))
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return corners, np.array(faces, dtype=np.int32)


def test_a_box_is_as_thick_as_it_is_deep():
    points, faces = box_mesh((-20.3, -10.3, 5.0), (20.3, 10.3, 37.0))
    found = mesh_thickness(points, faces, FILM)
    inside = (np.abs(FILM.u) < 20.3) & (np.abs(FILM.v) < 10.3)
    assert found[inside] == pytest.approx(32.0, abs=1e-3)
    assert np.abs(found[~inside]).max() == pytest.approx(0.0, abs=1e-3)


def test_which_way_faces_are_turned_makes_no_difference():
    points, faces = box_mesh((-20.3, -10.3, 5.0), (20.3, 10.3, 37.0))
    assert np.array_equal(mesh_thickness(points, faces, FILM), mesh_thickness(points, faces[:, ::-1], FILM))


def test_a_bone_has_its_volume():
    skeleton = make_skeleton(np.random.default_rng(4))
    bone = skeleton.femora["left"].bone
    a, b, c = (bone.outer[bone.faces[:, i]] for i in range(3))
    volume = abs(float(np.einsum("ij,ij->", np.cross(a, b), c))) / 6.0
    points = np.stack((bone.outer[:, 0], -bone.outer[:, 2], bone.outer[:, 1]), axis=1)
    low, high = points.min(axis=0), points.max(axis=0)
    film = Film(
        rows=int(high[1] - low[1]) + 4,
        columns=int(high[0] - low[0]) + 4,
        spacing_mm=1.0,
        left_mm=low[0] - 2.0,
        top_mm=low[1] - 2.0,
    )
    assert float(mesh_thickness(points, bone.faces, film).sum()) == pytest.approx(volume, rel=0.01)


def test_rods_and_balls_are_round():
    assert ball_thickness(np.zeros(3), 10.0, FILM).max() == pytest.approx(20.0, abs=0.05)
    rod = rod_thickness(np.array((-20.0, 0, 0)), np.array((20.0, 0, 0)), 4.0, FILM)
    assert rod.max() == pytest.approx(8.0, abs=0.05)
    assert rod[0].max() == 0.0


def test_the_same_seed_makes_the_same_image_and_another_seed_another():
    first, again = (take(make_person(5), Shot(projection="pelvis", spacing_mm=2.0, seed=1)) for _ in range(2))
    other = take(make_person(6), Shot(projection="pelvis", spacing_mm=2.0, seed=1))
    assert np.array_equal(first.values, again.values)
    assert first.values.shape != other.values.shape or not np.array_equal(first.values, other.values)


def test_the_patients_right_is_on_the_left_of_the_image():
    shot = take(make_person(7, {"right": PROSTHESIS, "left": NONE}), Shot(projection="pelvis", spacing_mm=1.5, seed=1))
    assert shot.truth == {"right": "hardware", "left": "no-fracture"}
    assert shot.heads["right"][0] < shot.heads["left"][0]
    x, y = (round(v) for v in shot.heads["right"])
    left_x, left_y = (round(v) for v in shot.heads["left"])
    metal = shot.values[y - 4 : y + 5, x - 4 : x + 5].mean()
    bone = shot.values[left_y - 4 : left_y + 5, left_x - 4 : left_x + 5].mean()
    assert metal > bone + 0.15


@pytest.mark.parametrize("kind", ["neck", "intertrochanteric", "subtrochanteric"])
def test_a_displaced_fracture_changes_the_bone_beyond_it(kind):
    femur = make_skeleton(np.random.default_rng(8)).femora["left"]
    view = Rotation.identity()
    head = project(femur.head, view)
    film = Film(rows=130, columns=90, spacing_mm=2.0, left_mm=head[0] - 60.0, top_mm=head[1] - 50.0)

    def shade(condition):
        hip = make_hip(femur, condition)
        return hip_attenuation(hip, view, film, texture=np.ones((film.rows, film.columns)), density=1.0)

    whole, broken = shade(NONE), shade(Condition(name="fracture", kind=kind, severity=0.8, seed=2))
    changed = np.abs(whole - broken) > 0.1
    bone = whole > 0.05
    assert changed.sum() > 0.15 * bone.sum()
    # A cut face has no rim of its own: nothing gets denser than bone over bone.
    assert broken.max() < 2.0 * whole.max()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["neck", "intertrochanteric", "subtrochanteric"])
def test_the_head_of_a_broken_hip_stays_in_its_socket_and_the_shaft_is_displaced(kind, side):
    femur = make_skeleton(np.random.default_rng(8)).femora[side]
    lateral = 1.0 if side == "left" else -1.0
    for seed in range(5):
        hip = make_hip(femur, Condition(name="fracture", kind=kind, severity=1.0, seed=seed))
        assert hip.distal is not None
        assert hip.proximal.head == pytest.approx(femur.head)
        turned = Rotation.align_vectors(
            hip.distal.bone.outer[::50] - hip.distal.bone.outer.mean(axis=0),
            femur.bone.outer[::50] - femur.bone.outer.mean(axis=0),
        )[0]
        assert lateral * turned.apply((0.0, -1.0, 0.0))[0] > 0.02  # the foot points outwards
        shaft = femur.down @ (hip.distal.axis_top - femur.axis_top)
        assert shaft < 0.0  # the leg is shorter
        assert np.linalg.norm(hip.distal.axis_top - femur.axis_top) < 80.0


def test_one_hip_is_one_hip():
    shot = take(make_person(9), Shot(projection="hip", side="left", spacing_mm=1.5, seed=1))
    assert "left" in shot.boxes


@pytest.mark.parametrize("kind", KINDS)
def test_other_radiographs_show_something(kind):
    values = other_radiograph(3, kind=kind, spacing_mm=3.0)
    assert values.dtype == np.float32
    assert 0.0 <= values.min() < values.max() <= 1.0


def test_an_exam_is_what_a_department_sends():
    plan = PlannedHipExam(
        patient_id="T1",
        study_date="20250201",
        right=NONE,
        left=NONE,
        seed=1,
        spacing_mm=1.5,
        modality="CR",
        photometric_interpretation="MONOCHROME1",
        images=(
            Taken(number=1, projection="pelvis"),
            Taken(number=2, projection="lateral", side="left"),
            Taken(number=3, projection="pelvis", repeats=1),
        ),
    )
    pelvis, lateral, again = plan.datasets()
    assert pelvis.Modality == "CR"
    assert pelvis.PhotometricInterpretation == "MONOCHROME1"
    assert float(pelvis.ImagerPixelSpacing[0]) == 1.5
    assert list(pelvis.PatientOrientation) == ["L", "F"]
    assert lateral.Laterality == "L"
    assert lateral.ViewPosition == "LL"
    assert again.PixelData == pelvis.PixelData
    assert again.SOPInstanceUID != pelvis.SOPInstanceUID
    assert plan.truth == {"right_class": "no-fracture", "left_class": "no-fracture"}


def test_the_demo_has_every_class_and_both_kinds_of_detector():
    plans = demo_exams()
    assert {plan.truth[f"{side}_class"] for plan in plans for side in ("right", "left")} == {
        "no-fracture",
        "fracture",
        "hardware",
    }
    assert {plan.modality for plan in plans} == {"DX", "CR"}
    assert {plan.photometric_interpretation for plan in plans} == {"MONOCHROME1", "MONOCHROME2"}
    assert len({plan.uid for plan in plans}) == len(plans)
