"""Places in a dataset: ``(0010,0010)``, ``(0008,1140)[0]/(0008,1155)``, ``*/(0008,0018)``, ``(50XX,XXXX)``.

``X`` stands for any hexadecimal digit, ``@`` for an even and ``#`` for an odd one. A private attribute is named by its
creator: ``(0019,{SIEMENS MR HEADER}0F)``. Before an attribute, ``*`` stands for any number of sequences (none, too),
``+`` for at least one, ``.`` for exactly one; ``[%]``, or no number, for every item of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

_EVEN: Final = frozenset("02468ACE")
_ODD: Final = frozenset("13579BDF")
_DEEPEST: Final = 100
"""So many sequences within each other are looked into: nobody makes that many in earnest."""


@dataclass(frozen=True)
class Element:
    """One attribute, or all that fit.

    Parameters
    ----------
    group, element
        Hexadecimal digits and wildcards in upper case: four of each, of a private element the last two.
    creator
        Private creator; "" for a public attribute.
    item
        Which item of the sequence is entered: its number, or None for all.
    """

    group: str
    element: str
    creator: str = ""
    item: int | None = None

    @property
    def is_one(self) -> bool:
        """Whether it fits one attribute alone."""
        return not set(self.group + self.element) & set("X@#")

    def fits(self, dataset: Dataset, tag: BaseTag) -> bool:
        """Whether an attribute of `dataset` is meant."""
        digits = f"{tag:08X}"
        if not _like(self.group, digits[:4]):
            return False
        if not self.creator:
            return not tag.is_private and _like(self.element, digits[4:])
        if not tag.is_private or tag.is_private_creator or not _like(self.element, digits[6:]):
            return False
        block = dataset.get(Tag(tag.group, tag.element >> 8))
        return block is not None and str(block.value).strip() == self.creator


@dataclass(frozen=True)
class Levels:
    """Any number of sequences: ``*``, ``+`` or ``.``."""

    kind: Literal["*", "+", "."]


@dataclass(frozen=True)
class TagPath:
    """Where something lies: sequences, then an attribute.

    Parameters
    ----------
    steps
        The last is an `Element`.
    source
        As it was written.
    """

    steps: tuple[Element | Levels, ...]
    source: str

    @property
    def is_one(self) -> bool:
        """Whether it is one place: no wildcards, and each item has its number."""
        *sequences, last = self.steps
        return (
            isinstance(last, Element)
            and last.is_one
            and all(isinstance(step, Element) and step.is_one and step.item is not None for step in sequences)
        )

    @property
    def last(self) -> Element:
        """The attribute at the end."""
        step = self.steps[-1]
        assert isinstance(step, Element)  # noqa: S101 - the parser sees to it
        return step


def find(dataset: Dataset, path: TagPath) -> Iterator[tuple[Dataset, BaseTag]]:
    """Go through what is there of a path: the dataset or item that holds it, and its tag."""
    yield from _find(dataset, path.steps, 0)


def make(dataset: Dataset, path: TagPath) -> tuple[Dataset, BaseTag]:
    """Return the place of a path that is one; sequences, items and private blocks on the way are made.

    Raises
    ------
    ValueError
        An item before the one that is named is missing, or what should be a sequence is none.
    """
    *sequences, _ = path.steps
    for step in sequences:
        assert isinstance(step, Element)  # noqa: S101 - a path that is one
        assert step.item is not None  # noqa: S101
        tag = _tag(dataset, step)
        if tag not in dataset:
            dataset.add_new(tag, "SQ", Sequence())
        held = dataset[tag]
        if held.VR != "SQ":
            raise ValueError(f"{tag} is no sequence")
        if step.item > len(held.value):
            raise ValueError(f"{tag} has {len(held.value)} items, there can be no item {step.item}")
        if step.item == len(held.value):
            held.value.append(Dataset())
        dataset = held.value[step.item]
    return dataset, _tag(dataset, path.last)


def _tag(dataset: Dataset, step: Element) -> BaseTag:
    group = int(step.group, 16)
    if not step.creator:
        return Tag(group, int(step.element, 16))
    return dataset.private_block(group, step.creator, create=True).get_tag(int(step.element, 16))


def _find(dataset: Dataset, steps: tuple[Element | Levels, ...], depth: int) -> Iterator[tuple[Dataset, BaseTag]]:
    if depth > _DEEPEST:
        raise ValueError(f"sequences lie more than {_DEEPEST} deep in each other")
    head, rest = steps[0], steps[1:]
    if isinstance(head, Levels):
        if head.kind == "*":
            yield from _find(dataset, rest, depth)
        below = rest if head.kind == "." else (Levels("*"), *rest)
        for item in _items(dataset):
            yield from _find(item, below, depth + 1)
        return
    tags = [tag for tag in dataset.keys() if head.fits(dataset, tag)]  # noqa: SIM118 - a dataset's items are elements
    if not rest:
        yield from ((dataset, tag) for tag in tags)
        return
    for tag in tags:
        held = dataset[tag]
        if held.VR == "SQ":
            for number, item in enumerate(held.value):
                if head.item in (None, number):
                    yield from _find(item, rest, depth + 1)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for tag in list(dataset.keys()):
        # Pixel data is read as it is: looking at it as an element would cost a copy.
        if tag.group != 0x7FE0:  # noqa: PLR2004 - pixel data (PS3.3 C.7.6.3)
            held = dataset[tag]
            if held.VR == "SQ":
                yield from held.value


def _like(pattern: str, digits: str) -> bool:
    return all(
        wanted in ("X", digit) or (wanted == "@" and digit in _EVEN) or (wanted == "#" and digit in _ODD)
        for wanted, digit in zip(pattern, digits, strict=True)
    )
