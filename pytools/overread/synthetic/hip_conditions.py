"""What may be the matter with a hip on a radiograph: fractures and hardware, cut and drawn into a femur.

A fracture is a rough plane. The part above it turns in the socket, the part below is displaced against that, both as
rigid bodies, and projected anew; each part ends at the plane without a cortical rim of its own, since a rim would be a
bright line by which fractures are too easily known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from overread.synthetic.hip_shape import Femur
from overread.synthetic.projection import Film, ball_thickness, mesh_thickness, rod_thickness

HipClass = Literal["no-fracture", "fracture", "hardware"]
CLASSES: Final[tuple[HipClass, ...]] = ("no-fracture", "fracture", "hardware")
FRACTURES: Final = ("neck", "intertrochanteric", "subtrochanteric")
HARDWARE: Final = ("prosthesis", "hemiprosthesis", "hip-screw", "nail", "screws")
Floats = NDArray[np.float64]

_CORTICAL: Final = 0.034
"""Attenuation per mm beyond that of soft tissue, at the mean energy of a pelvis radiograph; likewise below."""
_TRABECULAR: Final = 0.0085
_METAL: Final = 0.35


@dataclass(frozen=True, kw_only=True)
class Condition:
    """The state of one hip.

    Parameters
    ----------
    name
        Its class.
    kind
        Which fracture or hardware; empty for none.
    severity
        Of a fracture: 0 in place, 1 wide apart.
    seed
        Everything else about it.
    """

    name: HipClass
    kind: str = ""
    severity: float = 0.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """A rough plane through a bone: `normal` points to the knee's part, `waves` are (amplitude, mm per turn, phase)."""

    point: Floats
    normal: Floats
    waves: Floats
    gap_mm: float
    blur_mm: float


def draw_condition(rng: np.random.Generator, name: HipClass) -> Condition:
    """Return a condition of a class, of whatever kind."""
    kinds = {"fracture": FRACTURES, "hardware": HARDWARE}.get(name, ("",))
    kind = kinds[int(rng.integers(len(kinds)))]
    severity = float(rng.beta(1.1, 1.6)) if name == "fracture" else 0.0
    return Condition(name=name, kind=kind, severity=severity, seed=int(rng.integers(2**31)))


def moved(femur: Femur, rotation: Rotation, about: Floats, shift: Floats) -> Femur:
    """Return a femur moved as a rigid body."""

    def place(points: Floats) -> Floats:
        return np.asarray(rotation.apply(points - about) + about + shift)

    bone = replace(femur.bone, outer=place(femur.bone.outer), inner=place(femur.bone.inner))
    return replace(
        femur,
        bone=bone,
        head=place(femur.head),
        axis_top=place(femur.axis_top),
        down=np.asarray(rotation.apply(femur.down)),
        lateral=np.asarray(rotation.apply(femur.lateral)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Hip:
    """A hip as it is projected: the part of the head, the part of the knee if it is broken, hardware.

    Parameters
    ----------
    proximal
        The femur, in the place of its head.
    distal
        The same femur in the place of its shaft, if it is broken.
    plane
        Where it is broken or sawn, in the place of the head.
    condition
        What it has.
    """

    proximal: Femur
    distal: Femur | None
    plane: Plane | None
    condition: Condition


def make_hip(femur: Femur, condition: Condition) -> Hip:
    """Return a femur with a condition."""
    rng = np.random.default_rng(condition.seed)
    plane = _plane(femur, condition, rng)
    if condition.name != "fracture" or plane is None:
        return Hip(proximal=femur, distal=None, plane=plane, condition=condition)
    proximal, carried = _tipped(femur, condition, rng)
    broken_at = carried.apply(plane.point - femur.head) + femur.head
    # The trochanters take the shaft along; a head alone tips without it.
    taken_along = np.zeros(3) if condition.kind == "neck" else np.asarray(broken_at - plane.point)
    distal, distal_plane = _displaced(femur, condition, plane, taken_along, rng)
    turned = replace(plane, point=np.asarray(broken_at), normal=np.asarray(carried.apply(plane.normal)))
    return _Broken(proximal=proximal, distal=distal, plane=turned, distal_plane=distal_plane, condition=condition)


def _tipped(femur: Femur, condition: Condition, rng: np.random.Generator) -> tuple[Femur, Rotation]:
    """Return the part of the head, turned about the head's centre, since the head stays in its socket; and the turn.

    A head without its neck tips to either side. Head and trochanters are tipped into varus by the weight on the leg.
    Above a subtrochanteric fracture the gluteal muscles abduct, the iliopsoas flexes and turns outwards.
    """
    s = condition.severity
    varus = 4.0 * (1.0 - s) * rng.uniform()
    flexed = outwards = 0.0
    if condition.kind == "neck":
        varus = (varus + s * rng.uniform(4.0, 30.0)) * rng.choice((1.0, 1.0, -1.0))
    elif condition.kind == "intertrochanteric":
        varus += s * rng.uniform(4.0, 24.0)
    else:
        varus += s * rng.uniform(0.0, 16.0)
        flexed, outwards = s * rng.uniform(0.0, 30.0), s * rng.uniform(0.0, 25.0)
    turn = _turn(femur, varus=varus, flexed=flexed, outwards=outwards)
    return moved(femur, turn, femur.head, np.zeros(3)), turn


def _displaced(
    femur: Femur, condition: Condition, plane: Plane, taken_along: Floats, rng: np.random.Generator
) -> tuple[Femur, Plane]:
    """Return the part of the knee and its side of the fracture: it rides up, turns outwards, goes into varus.

    The adductors pull the shaft towards the middle below the trochanters; above, it goes outwards.
    """
    s = condition.severity
    up, aside = s * rng.uniform(2.0, 22.0), s * rng.uniform(-4.0, 12.0)
    outwards, adducted = s * rng.uniform(5.0, 55.0), 0.0
    if condition.kind == "subtrochanteric":
        aside = -s * rng.uniform(-4.0, 16.0)
        outwards, adducted = 0.6 * outwards, s * rng.uniform(0.0, 16.0)
    elif condition.kind == "intertrochanteric":
        adducted = s * rng.uniform(0.0, 8.0)
    turn = _turn(femur, varus=-adducted, outwards=outwards)
    shift = taken_along - up * femur.down + aside * femur.lateral
    # about the shaft's axis, at the height of the fracture
    pivot = femur.axis_top + ((plane.point - femur.axis_top) @ femur.down) * femur.down
    point = np.asarray(turn.apply(plane.point - pivot) + pivot + shift)
    return moved(femur, turn, pivot, shift), replace(plane, point=point, normal=np.asarray(turn.apply(plane.normal)))


def _turn(femur: Femur, *, varus: float, flexed: float = 0.0, outwards: float = 0.0) -> Rotation:
    """Return the rotation of a part by so many degrees; in varus its lateral end goes up."""
    side = float(np.sign(femur.lateral[0]))
    backwards = side * np.cross(femur.lateral, femur.down)
    axes = (-side * varus * backwards, -side * flexed * femur.lateral, -side * outwards * femur.down)
    parts = [Rotation.from_rotvec(np.radians(axis)) for axis in axes]
    return parts[0] * parts[1] * parts[2]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Broken(Hip):
    distal_plane: Plane


def _plane(femur: Femur, condition: Condition, rng: np.random.Generator) -> Plane | None:
    kind = condition.kind
    tilt = Rotation.from_rotvec(np.cross(femur.lateral, femur.down) * np.radians(rng.uniform(-22.0, 22.0)))
    neck = femur.neck_base - femur.head
    if kind in ("neck", "prosthesis", "hemiprosthesis"):
        share = rng.uniform(0.46, 0.72) if kind == "neck" else 0.68
        point, normal = femur.head + share * neck, neck
    elif kind in ("intertrochanteric", "hip-screw", "nail", "screws"):
        point = femur.axis_top + rng.uniform(22.0, 38.0) * femur.down
        normal = 0.62 * femur.lateral + 0.78 * femur.down
    elif kind == "subtrochanteric":
        point = femur.axis_top + rng.uniform(82.0, 115.0) * femur.down
        normal = femur.down
        tilt = Rotation.from_rotvec(np.cross(femur.lateral, femur.down) * np.radians(rng.uniform(-45.0, 45.0)))
    else:
        return None
    waves = np.c_[rng.uniform(0.3, 2.6, 4), rng.uniform(5.0, 42.0, 4), rng.uniform(0.0, 6.28, 4)]
    # A gap is seen dark, an impacted fracture bright.
    gap = rng.uniform(1.2, 4.0) if rng.uniform() < 0.75 else -rng.uniform(2.5, 5.0)
    if condition.name == "hardware" and "prosthesis" not in kind:
        gap = 0.0 if rng.uniform() < 0.5 else rng.uniform(-1.0, 1.5)  # united, or nearly
    normal = np.asarray(tilt.apply(normal / np.linalg.norm(normal)))
    return Plane(point=point, normal=normal, waves=waves, gap_mm=float(gap), blur_mm=float(rng.uniform(0.8, 4.0)))


def project(points: Floats, view: Rotation) -> Floats:
    """Return (u, v, depth) of points (LPS) in a view."""
    turned = view.apply(points)
    return np.asarray(np.stack((turned[..., 0], -turned[..., 2], turned[..., 1]), axis=-1))


def hip_attenuation(hip: Hip, view: Rotation, film: Film, *, texture: Floats, density: float) -> Floats:
    """Return what a hip adds to the attenuation of soft tissue (natural logarithm), (rows, columns).

    Parameters
    ----------
    hip
        What is seen.
    view
        Turns the patient before the film.
    film
        Where the pixels are.
    texture
        Trabeculae, about 1, (rows, columns).
    density
        Of spongy bone, 1 for a healthy adult's.
    """
    total = _bone(hip.proximal, view, film, texture=texture, density=density)
    plane = hip.plane
    if isinstance(hip, _Broken) and hip.distal is not None and plane is not None:
        distal = _bone(hip.distal, view, film, texture=texture, density=density)
        total = total * _share(plane, view, film, beyond=False) + distal * _share(
            hip.distal_plane, view, film, beyond=True
        )
    elif plane is not None and "prosthesis" in hip.condition.kind:
        total = total * _share(replace(plane, gap_mm=0.0), view, film, beyond=True)
    elif plane is not None and plane.gap_mm:
        total = total * np.clip(
            _share(plane, view, film, beyond=False) + _share(plane, view, film, beyond=True), 0.0, 1.6
        )
    if hip.condition.name == "hardware":
        metal = _metal(hip, view, film)
        total = total + _METAL * metal
    return np.asarray(total)


def _bone(femur: Femur, view: Rotation, film: Film, *, texture: Floats, density: float) -> Floats:
    outer = mesh_thickness(project(femur.bone.outer, view), femur.bone.faces, film)
    inner = np.minimum(mesh_thickness(project(femur.bone.inner, view), femur.bone.faces, film), outer)
    head, down = project(femur.head, view), project(femur.down, view)
    below = (film.u - head[0]) * down[0] + (film.v - head[1]) * down[1]
    spongy = np.clip(1.15 - np.maximum(below - 15.0, 0.0) / 80.0, 0.08, 1.0)
    return np.asarray(_CORTICAL * (outer - inner) + _TRABECULAR * density * spongy * texture * inner)


def _share(plane: Plane, view: Rotation, film: Film, *, beyond: bool) -> Floats:
    """Return how much of each ray through the bone belongs to one side of the plane."""
    point, normal = project(plane.point, view), project(plane.normal, view)
    length = max(float(np.hypot(normal[0], normal[1])), 0.15)
    nu, nv = normal[0] / length, normal[1] / length
    du, dv = film.u - point[0], film.v - point[1]
    along = dv * nu - du * nv
    rough = sum(a * np.sin(2 * np.pi * along / mm + phase) for a, mm, phase in plane.waves)
    distance = du * nu + dv * nv + 0.5 * rough
    blur = plane.blur_mm + 30.0 * max(0.0, 1.0 - length)
    half = plane.gap_mm / 2.0
    return np.asarray(np.clip(0.5 + ((distance - half) if beyond else (-distance - half)) / blur, 0.0, 1.0))


def _metal(hip: Hip, view: Rotation, film: Film) -> Floats:
    """Return the thickness of a hip's hardware, mm."""
    femur, kind = hip.proximal, hip.condition.kind
    rng = np.random.default_rng(hip.condition.seed + 1)
    lateral, down, base, head = femur.lateral, femur.down, femur.neck_base, femur.head
    neck = (base - head) / np.linalg.norm(base - head)

    def at(point: Floats) -> Floats:
        return project(point, view)

    def rod(start: Floats, end: Floats, radius: float, last: float | None = None) -> Floats:
        return rod_thickness(at(start), at(end), radius, film, end_radius_mm=last)

    parts: list[Floats] = []
    if "prosthesis" in kind:
        radius = femur.head_radius_mm - 0.5 if kind == "hemiprosthesis" else rng.uniform(11.0, 18.0)
        parts += [ball_thickness(at(head), radius, film)]
        if kind == "prosthesis":
            shell = femur.head_radius_mm + rng.uniform(1.0, 4.0)
            cup = ball_thickness(at(head), shell, film) - ball_thickness(at(head), shell - 4.5, film)
            middle, axis = at(head), project(neck, view)
            side = (film.u - middle[0]) * axis[0] + (film.v - middle[1]) * axis[1]
            parts += [cup * (side < 4.0)]
        top = base - 8.0 * down
        parts += [
            rod(head, top, 6.0, 7.5),
            rod(top, base + rng.uniform(85.0, 130.0) * down, rng.uniform(7.5, 10.0), 4.0),
        ]
    elif kind == "screws":
        for offset in (-8.0, 0.0, 8.0)[: int(rng.integers(2, 4))]:
            up = np.cross(neck, np.cross(lateral, down))
            start = base + 17.0 * neck + offset * up
            parts += [rod(start, start - rng.uniform(72.0, 82.0) * neck, 3.2)]
    else:
        start = base + rng.uniform(14.0, 20.0) * neck + rng.uniform(-4.0, 8.0) * down
        tip = head - rng.uniform(2.0, 10.0) * neck
        parts += [rod(start, tip, 4.2), rod(tip + 22.0 * neck, tip, 6.3)]
        if kind == "hip-screw":
            outside = base + 16.5 * lateral
            length = rng.uniform(70.0, 120.0)
            parts += [rod(outside, outside + length * down, 4.0), rod(start, start - 32.0 * neck, 6.5)]
            for place in np.linspace(25.0, length - 6.0, int(rng.integers(2, 6))):
                screw = outside + place * down
                parts += [rod(screw, screw - rng.uniform(32.0, 40.0) * lateral, 2.3)]
        else:
            end = base + rng.uniform(110.0, 190.0) * down
            parts += [rod(femur.axis_top - 8.0 * down, base, 7.6, 6.5), rod(base, end, 6.5, 5.5)]
            lock = end - 18.0 * down
            parts += [rod(lock + 19.0 * lateral, lock - 17.0 * lateral, 2.5)]
    metal = np.max(parts, axis=0)
    return np.asarray(metal)
