"""One made-up image, sent to a receiver and found again: nothing else shows that exams arrive."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from overread.errors import Unavailable

CALLING_AE = "OVERREAD"
PATIENT_ID = "OVERREAD-DOCTOR"
_SIDE, _TIMEOUT_S = 16, 10.0


@dataclass(frozen=True)
class Address:
    """A DICOM receiver."""

    host: str
    port: int
    ae_title: str

    def __str__(self) -> str:
        """``TITLE at host:port``."""
        return f"{self.ae_title} at {self.host}:{self.port}"


def echo(address: Address) -> None:
    """Ask a receiver whether it is there (C-ECHO).

    Raises
    ------
    Unavailable
        Nobody listens, or the association is refused.
    """
    entity = _entity(address)
    entity.add_requested_context(Verification)
    association = entity.associate(address.host, address.port, ae_title=address.ae_title)
    if not association.is_established:
        raise Unavailable(f"{address} does not accept an association from {CALLING_AE}")
    status = association.send_c_echo()
    association.release()
    if not status or status.Status != 0:
        raise Unavailable(f"{address} does not answer C-ECHO")


def store(address: Address, image: Dataset) -> None:
    """Send one image (C-STORE).

    Raises
    ------
    Unavailable
        It is not taken.
    """
    entity = _entity(address)
    entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = entity.associate(address.host, address.port, ae_title=address.ae_title)
    if not association.is_established:
        raise Unavailable(f"{address} does not accept an association from {CALLING_AE}")
    try:
        status = association.send_c_store(image)
    except ValueError as error:
        raise Unavailable(f"{address} does not take MR images ({error})") from None
    finally:
        association.release()
    if not status or status.Status != 0:
        code = f"{status.Status:#06x}" if status else "no answer"
        raise Unavailable(f"{address} refuses the image ({code})")


def phantom() -> Dataset:
    """Make a tiny MR image of nobody, in a study of its own."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, generate_uid()
    image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = (
        image.SOPClassUID, image.SOPInstanceUID,
    )  # fmt: skip
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.FrameOfReferenceUID = generate_uid()
    image.Modality, image.PatientID, image.PatientName = "MR", PATIENT_ID, "Doctor^Overread"
    image.StudyDescription = image.SeriesDescription = "overread doctor"
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20000101", "000000", "", ""
    image.PatientBirthDate, image.PatientSex, image.ReferringPhysicianName = "", "O", ""
    image.SeriesNumber, image.InstanceNumber, image.Manufacturer = 1, 1, "overread"
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.Rows = image.Columns = _SIDE
    image.PixelSpacing, image.SliceThickness = [1.0, 1.0], 1.0
    image.ImagePositionPatient, image.ImageOrientationPatient = [0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelData = bytes(2 * _SIDE * _SIDE)
    return image


def _entity(address: Address) -> AE:
    """Make an application entity, once it is clear that somebody listens there."""
    try:
        socket.create_connection((address.host, address.port), timeout=_TIMEOUT_S).close()
    except OSError as error:
        raise Unavailable(f"nobody listens for {address} ({error.strerror or 'no such host'})") from None
    entity = AE(ae_title=CALLING_AE)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = _TIMEOUT_S
    return entity
