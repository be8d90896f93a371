"""C-STORE requests of one association, written to the spool piece by piece as they come (PS3.7 9.1.1).

Nothing of an object but one PDU is ever in memory, however large it is.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from overread.hub.arrival.objects import Fault, examine, file_meta_bytes
from overread.hub.arrival.spool import Desk, SpoolFile, SpoolFullError
from overread.hub.receiver.dimse import C_STORE_REQUEST, BadCommandError, Command, parse_command, store_response

log = logging.getLogger(__name__)

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110

_STATUSES: Final = {None: SUCCESS, Fault.UNREADABLE: CANNOT_UNDERSTAND, Fault.MISMATCH: MISMATCH}
_MAX_COMMAND_BYTES: Final = 65536
_COMMAND, _LAST = 0x01, 0x02


class BadMessageError(ValueError):
    """The sender breaks the protocol: the association must end."""


@dataclass(frozen=True)
class Origin:
    """Where an association's objects come from.

    Parameters
    ----------
    sender, receiver
        AE titles.
    port
        The hub's port.
    """

    sender: str
    receiver: str
    port: int


@dataclass(frozen=True)
class Taken:
    """What is to be done after a presentation data value.

    Parameters
    ----------
    answers
        PDUs to send at once.
    others
        Presentation data values of other messages than C-STORE requests, for the library.
    """

    answers: list[bytes]
    others: list[bytes]


class _Transfer:
    """One object on its way. Whatever goes wrong is answered at its end: what comes until then is thrown away."""

    def __init__(self, request: Command, context_id: int, transfer_syntax: str, stores: Stores) -> None:
        self.request, self.context_id = request, context_id
        self._port = stores.origin.port
        self._file: SpoolFile | None = None
        self._failure: tuple[int, str] | None = None
        try:
            self._file = SpoolFile(stores.desk)
            self._file.write(
                file_meta_bytes(
                    sop_class_uid=request.sop_class_uid,
                    sop_instance_uid=request.sop_instance_uid,
                    transfer_syntax_uid=transfer_syntax,
                    sender=stores.origin.sender,
                    receiver=stores.origin.receiver,
                )
            )
        except OSError as problem:
            self._fail(problem)

    def write(self, data: memoryview) -> None:
        if self._file is None:
            return
        try:
            self._file.write(data)
        except OSError as problem:
            self._fail(problem)

    def finish(self) -> tuple[int, str, bool]:
        """Return status and comment of the answer, and whether something was kept."""
        try:
            if self._file is not None:
                finding = examine(self._file.path)
                self._file.keep(self._port)
                return _STATUSES[finding.fault], finding.reason, True
        except OSError as problem:
            self._fail(problem)
        except Exception:  # the outermost loop of an association: the sender gets an answer whatever happened
            log.exception("storing an object failed")
            self.drop()
            self._failure = PROCESSING_FAILURE, "the hub failed, its log says why"
        status, comment = self._failure or (PROCESSING_FAILURE, "")
        return status, comment, False

    def drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fail(self, problem: OSError) -> None:
        self.drop()
        if isinstance(problem, SpoolFullError):
            log.warning("an object was refused: the hub's disk is full")
            self._failure = OUT_OF_RESOURCES, "the hub's disk is full"
        else:
            log.error("an object could not be stored: %s", problem.strerror or problem)
            self._failure = OUT_OF_RESOURCES, "the hub can't store now, try again later"


class Stores:
    """Takes the presentation data values of one association.

    Parameters
    ----------
    desk
        Where objects go.
    origin
        Where the objects come from.
    syntax_of
        Transfer syntax of an accepted context; None for one that was not accepted.
    on_kept
        Called after each object that lies in the spool.
    """

    def __init__(
        self,
        desk: Desk,
        origin: Origin,
        *,
        syntax_of: Callable[[int], str | None],
        on_kept: Callable[[], None],
    ) -> None:
        self.desk, self.origin = desk, origin
        self._syntax_of, self._on_kept = syntax_of, on_kept
        self._transfer: _Transfer | None = None
        self._command: list[bytes] = []  # presentation data values of a command that is not complete
        self._passing = False  # a message of another kind is being handed on

    @property
    def under_way(self) -> bool:
        """Whether an object has begun and not ended."""
        return self._transfer is not None

    def take(self, body: memoryview) -> Taken:
        """Take the body of one P-DATA-TF PDU.

        Raises
        ------
        BadMessageError
            It is none, or its messages are out of order.
        """
        taken = Taken([], [])
        position = 0
        while position < len(body):
            if position + 6 > len(body):
                raise BadMessageError("a presentation data value ends too early")
            (length,) = struct.unpack_from(">L", body, position)
            value = body[position + 4 : position + 4 + length]
            if length < 2 or len(value) < length:  # noqa: PLR2004 - context and header
                raise BadMessageError("a presentation data value has a wrong length")
            self._take_value(value, taken)
            position += 4 + length
        return taken

    def abandon(self) -> bool:
        """Throw away what has not come to its end; whether there was something."""
        if self._transfer is None:
            return False
        log.warning(
            "an object from %s to %s broke off before its end: nothing of it is kept, its sender has no answer",
            self.origin.sender,
            self.origin.receiver,
        )
        self._transfer.drop()
        self._transfer = None
        return True

    def _take_value(self, value: memoryview, taken: Taken) -> None:
        context_id, header = value[0], value[1]
        if header & _COMMAND:
            if self._transfer is not None:
                raise BadMessageError("a command came in the middle of an object")
            self._take_command(context_id, value, last=bool(header & _LAST), taken=taken)
        elif self._transfer is not None:
            if context_id != self._transfer.context_id:
                raise BadMessageError("an object changes its presentation context")
            self._transfer.write(value[2:])
            if header & _LAST:
                self._finish(taken)
        elif self._passing:
            taken.others.append(bytes(value))
            self._passing = not header & _LAST
        else:
            raise BadMessageError("a dataset came without a command")

    def _take_command(self, context_id: int, value: memoryview, *, last: bool, taken: Taken) -> None:
        self._command.append(bytes(value))
        if sum(map(len, self._command)) > _MAX_COMMAND_BYTES:
            raise BadMessageError("a command set is too long")
        if not last:
            return
        values, self._command = self._command, []
        try:
            command = parse_command(b"".join(one[2:] for one in values))
        except BadCommandError as problem:
            raise BadMessageError(str(problem)) from problem
        if command.field != C_STORE_REQUEST:
            taken.others.extend(values)
            self._passing = command.has_dataset
            return
        syntax = self._syntax_of(context_id)
        if syntax is None:
            raise BadMessageError("an object came in a presentation context that was not accepted")
        if not command.has_dataset:
            taken.answers.append(
                store_response(command, context_id=context_id, status=CANNOT_UNDERSTAND, comment="there is no dataset")
            )
            return
        self._transfer = _Transfer(command, context_id, syntax, self)

    def _finish(self, taken: Taken) -> None:
        transfer = self._transfer
        if transfer is None:
            return
        status, comment, kept = transfer.finish()
        self._transfer = None
        if kept:
            self._on_kept()
        taken.answers.append(
            store_response(transfer.request, context_id=transfer.context_id, status=status, comment=comment)
        )
