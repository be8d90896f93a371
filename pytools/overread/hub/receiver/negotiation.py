"""What the receiver agrees to take: every kind of object that can be kept, in the syntax the sender likes best.

Bytes are kept as they come, so nothing need be understood but the attributes before the pixels. Refused are services
that are no storage, objects of no patient (they have no study in which they could lie), and transfer syntaxes whose
pixels are elsewhere or whose form nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import _STORAGE_CLASSES

VERIFICATION: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"
_PLAIN: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_STANDARD: Final = "1.2.840.10008."
_STORAGE: Final = frozenset(str(uid) for uid in _STORAGE_CLASSES.values())
_STORAGE_PREFIX: Final = "1.2.840.10008.5.1.4.1.1."
"""Where the standard puts its storage SOP classes: also those younger than the library's list."""
_ENCAPSULATED: Final = "1.2.840.10008.1.2.4."
_OTHER_SYNTAXES: Final = frozenset(
    {
        "1.2.840.10008.1.2",  # implicit VR little endian
        "1.2.840.10008.1.2.1",  # explicit VR little endian
        "1.2.840.10008.1.2.1.98",  # the same, encapsulated without compression
        "1.2.840.10008.1.2.1.99",  # deflated
        "1.2.840.10008.1.2.2",  # explicit VR big endian, retired
        "1.2.840.10008.1.2.5",  # RLE
    }
)
_PIXELS_ELSEWHERE: Final = frozenset(_ENCAPSULATED + end for end in ("94", "95", "204", "205"))
"""JPIP: the object holds a URL in the place of pixels."""


def is_storage(abstract_syntax: str) -> bool:
    """Whether objects of this SOP class can be kept: those of a patient, private ones too."""
    if not abstract_syntax.startswith(_STANDARD):
        return True
    return abstract_syntax in _STORAGE or abstract_syntax.startswith(_STORAGE_PREFIX)


def is_kept(transfer_syntax: str) -> bool:
    """Whether objects can be kept in this transfer syntax."""
    if transfer_syntax in _PIXELS_ELSEWHERE:
        return False
    return transfer_syntax in _OTHER_SYNTAXES or transfer_syntax.startswith(_ENCAPSULATED)


def refused(requested: Iterable[PresentationContext]) -> str:
    """Say what a sender may not send of what it asks for; "" if something of each kind of object can be taken."""
    takes = {str(context.abstract_syntax) for context in supported(requested)}
    lacking: dict[str, set[str]] = {}
    for context in requested:
        abstract = str(context.abstract_syntax)
        if abstract not in takes:
            syntaxes = lacking.setdefault(UID(abstract).name, set())
            syntaxes.update(UID(one).name for one in context.transfer_syntax if is_storage(abstract))
    if not lacking or (takes and not any(lacking.values())):  # other services beside storing are nobody's mistake
        return ""
    said = [f"{name} in {', '.join(sorted(syntaxes))}" if syntaxes else name for name, syntaxes in lacking.items()]
    return f"can't be taken: {'; '.join(said)}"


def supported(requested: Iterable[PresentationContext]) -> list[PresentationContext]:
    """Return the contexts to accept of those that a sender asks for, one for each abstract syntax."""
    agreed: dict[str, list[str | bytes | UID]] = {}
    for context in requested:
        abstract = str(context.abstract_syntax)
        if abstract in {VERIFICATION, STORAGE_COMMITMENT}:
            agreed.setdefault(abstract, [UID(uid) for uid in _PLAIN])
        elif is_storage(abstract):
            known = agreed.setdefault(abstract, [])
            known += [uid for uid in context.transfer_syntax if is_kept(str(uid)) and uid not in known]
    contexts = []
    for abstract, syntaxes in agreed.items():
        if syntaxes:
            context = PresentationContext()
            context.abstract_syntax, context.transfer_syntax = UID(abstract), syntaxes
            contexts.append(context)
    return contexts
