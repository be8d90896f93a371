"""Radiographs of an exam: read, brought upright by what their headers say, or refused with a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from overread.dicom.geometry import attribute, text_of, whole_number
from overread.errors import DataError
from overread.operators.load import FoundSeries
from overread.operators.pixels import is_lossy, read_image, stored_values

Pixels = NDArray[np.float32]

_LATERAL_VIEWS: Final = frozenset({"LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "LAT"})
_SIDES: Final = {"R": "right", "L": "left"}
_PERCENTILES: Final = (0.5, 99.8)
_MOST_CLIPPED: Final = 0.75
"""A window that makes more of the image black or white is not the one that it was looked at with."""
_LARGEST_PX: Final = 2**27
_SPACINGS: Final = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_MIN_MM, _MAX_MM = 0.02, 2.0
_LOSSY: Final = "it was compressed with loss"


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """An image turned or mirrored, and the way back.

    Parameters
    ----------
    values
        (rows, columns).
    back
        (2, 3): from (x, y, 1) here to (x, y) of the image as it is stored.
    """

    values: Pixels
    back: NDArray[np.float64]

    @classmethod
    def of(cls, values: Pixels) -> Self:
        """Return an image as it is stored."""
        return cls(values=values, back=np.eye(2, 3))

    def mirrored(self) -> Placed:
        """Return it with right and left exchanged."""
        return self._through(self.values[:, ::-1], np.array([[-1.0, 0.0, self.values.shape[1] - 1], [0.0, 1.0, 0.0]]))

    def upended(self) -> Placed:
        """Return it with top and bottom exchanged."""
        return self._through(self.values[::-1], np.array([[1.0, 0.0, 0.0], [0.0, -1.0, self.values.shape[0] - 1]]))

    def transposed(self) -> Placed:
        """Return it with rows and columns exchanged."""
        return self._through(self.values.T, np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))

    def turned(self, quarters: int) -> Placed:
        """Return it turned clockwise by so many quarters."""
        found = self
        for _ in range(quarters % 4):
            found = found.transposed().mirrored()
        return found

    def stored(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies in the image as it is stored."""
        a, b = self.back @ (x, y, 1.0)
        return float(a), float(b)

    def _through(self, values: Pixels, step: NDArray[np.float64]) -> Placed:
        back = self.back[:, :2] @ step
        back[:, 2] += self.back[:, 2]
        return Placed(values=values, back=back)


@dataclass(frozen=True, kw_only=True, eq=False)
class RadiographImage:
    """A radiograph that may be looked at.

    Parameters
    ----------
    header
        Without pixels.
    stored_values
        (rows, columns), 0 to 1, bone bright, as the image is stored.
    placed
        The same, upright as far as the header says.
    spacing_mm
        Distance of pixels; None if the header does not say.
    side
        ``right`` or ``left`` where the header says that one side is shown; else empty.
    pixels_sha256
        Of the stored pixels.
    notes
        What was noticed.
    """

    header: Dataset
    stored_values: Pixels
    placed: Placed
    spacing_mm: float | None
    side: str
    pixels_sha256: str
    notes: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        """SOPInstanceUID."""
        return text_of(self.header, "SOPInstanceUID")


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An image that is not looked at, named by what it says of itself, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Radiographs:
    """The radiographs of an exam, and what was refused."""

    images: tuple[RadiographImage, ...]
    refused: tuple[Refused, ...]


def read_radiographs(
    series: Sequence[FoundSeries], *, body_parts: Collection[str], lossy: Literal["warn", "refuse"] = "warn"
) -> Radiographs:
    """Read all images of some series; one that can't be used is refused alone.

    Parameters
    ----------
    series
        In any order; images come by series number, then by instance number.
    body_parts
        BodyPartExamined of images that are looked at; empty: not asked.
    lossy
        What becomes of images that were once compressed with loss.
    """
    images: list[RadiographImage] = []
    refused: list[Refused] = []
    seen: dict[str, str] = {}
    for found in sorted(series, key=_order):
        for path in found.paths:
            name = f"image of series {found.summary.header.get('SeriesNumber', '?')}"
            try:
                image = read_image(path)
                name = _name(image.header)
                reason = _refusal(image.header, body_parts)
                if not reason and lossy == "refuse" and is_lossy(image.header):
                    reason = f"{_LOSSY}, which this model's card does not accept"
                if reason:
                    refused.append(Refused(name=name, reason=reason))
                    continue
                raw, values = stored_values(image)
                one = _radiograph(image.header, values, hashlib.sha256(raw).hexdigest())
            except DataError as error:
                refused.append(Refused(name=name, reason=error.message))
                continue
            except Exception:  # noqa: BLE001 - a damaged file can make the parser raise anything
                refused.append(Refused(name=name, reason="it can't be read, it is cut off or damaged"))
                continue
            if one.pixels_sha256 in seen:
                refused.append(Refused(name=name, reason=f"the same pixels as {seen[one.pixels_sha256]}"))
                continue
            seen[one.pixels_sha256] = name
            images.append(one)
    return Radiographs(images=tuple(images), refused=tuple(refused))


def _order(series: FoundSeries) -> tuple[int, str]:
    number = str(series.summary.header.get("SeriesNumber", ""))
    return (int(number) if number.isdecimal() else 2**31, series.summary.series_instance_uid)


def _name(header: Dataset) -> str:
    """Return what a log may say of an image: series and instance number, never a description, which may name people."""
    return f"image {text_of(header, 'InstanceNumber') or '?'} of series {text_of(header, 'SeriesNumber') or '?'}"


def _refusal(header: Dataset, body_parts: Collection[str]) -> str:
    """Return why an image is no radiograph of the hips from the front, by its header; empty if it may be one."""
    if whole_number(header, "NumberOfFrames", default=1) > 1:
        return "it has several frames, a radiograph has one"
    if whole_number(header, "Rows") * whole_number(header, "Columns") > _LARGEST_PX:
        return "it has more pixels than any detector"
    part = text_of(header, "BodyPartExamined").upper()
    if part and body_parts and part not in body_parts:
        return f"it shows another part of the body (BodyPartExamined {part[:16]})"
    if text_of(header, "ViewPosition").upper() in _LATERAL_VIEWS:
        return f"it is a lateral view (ViewPosition {text_of(header, 'ViewPosition')[:16]})"
    row, column = _directions(header)
    if set(row + column) & {"A", "P"}:
        return "it is a lateral view (PatientOrientation)"
    return ""


def _directions(header: Dataset) -> tuple[str, str]:
    """Return to which side rows and columns point, each by its first letter; empty where the header does not say."""
    try:
        values = [str(v).strip().upper() for v in attribute(header, "PatientOrientation") or ()]
    except (DataError, TypeError):
        values = []
    if len(values) != 2 or not all(values):  # noqa: PLR2004 - a row's and a column's
        return "", ""
    return values[0][0], values[1][0]


def _radiograph(header: Dataset, values: NDArray[Any], digest: str) -> RadiographImage:
    notes: list[str] = []
    shown, note = _shown(header, values[0])
    notes += [note] if note else []
    notes += [f"{_LOSSY}: a fine fracture line may be lost"] if is_lossy(header) else []
    placed = Placed.of(shown)
    row, column = _directions(header)
    if row in {"H", "F"} and column in {"L", "R"}:
        placed, row, column = placed.transposed(), column, row
    if row in {"L", "R"} and column in {"H", "F"}:
        placed = placed.mirrored() if row == "R" else placed
        placed = placed.upended() if column == "H" else placed
    else:
        notes.append("it does not say how the patient lies (PatientOrientation): the right side is taken to be left")
    letter = (text_of(header, "ImageLaterality") or text_of(header, "Laterality")).upper()
    return RadiographImage(
        header=header,
        stored_values=shown,
        placed=placed,
        spacing_mm=_spacing(header),
        side=_SIDES.get(letter, ""),
        pixels_sha256=digest,
        notes=tuple(notes),
    )


def _shown(header: Dataset, stored: NDArray[Any]) -> tuple[Pixels, str]:
    """Return values as a workstation shows them (PS3.4 N.2): 0 to 1, bone bright; and what was odd about them."""
    note = ""
    values = np.asarray(apply_modality_lut(stored, header), dtype=np.float64)
    low, high = np.percentile(values, _PERCENTILES)
    if "VOILUTSequence" in header:
        values = np.asarray(apply_voi_lut(np.rint(values).astype(np.int32), header, prefer_lut=True), dtype=np.float64)
        low, high = float(values.min()), float(values.max())
    elif (window := _window(header)) is not None:
        clipped = float(((values <= window[0]) | (values >= window[1])).mean())
        if clipped < _MOST_CLIPPED:
            low, high = window
        else:
            note = "its window hides most of it and was not used"
    if high - low < 1e-6:  # noqa: PLR2004 - nothing at all is shown
        raise DataError("it is blank: all of its pixels have one value")
    shown = np.clip((values - low) / (high - low), 0.0, 1.0)
    if text_of(header, "PhotometricInterpretation").upper() == "MONOCHROME1":
        shown = 1.0 - shown
    return np.asarray(shown, dtype=np.float32), note


def _window(header: Dataset) -> tuple[float, float] | None:
    centre, width = (_first_number(header, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 1:
        return None
    return centre - width / 2.0, centre + width / 2.0


def _spacing(header: Dataset) -> float | None:
    for keyword in _SPACINGS:
        value = _first_number(header, keyword)
        if value is not None and _MIN_MM <= value <= _MAX_MM:
            return value
    return None


def _first_number(header: Dataset, keyword: str) -> float | None:
    """Return the first value of an attribute that may have several."""
    try:
        value = attribute(header, keyword)
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[0] if value else None
        number = float(value) if value not in (None, "") else None
    except (DataError, TypeError, ValueError):
        return None
    return number if number is not None and np.isfinite(number) else None
