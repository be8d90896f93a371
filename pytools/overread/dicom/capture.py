"""Pictures and documents as DICOM objects of a study: Secondary Capture (PS3.3 A.8), Encapsulated PDF (A.45)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from overread.dicom.geometry import text_of
from overread.dicom.headers import as_read, copy_patient_and_study, plain_text
from overread.dicom.seg_write import ObjectInfo
from overread.errors import DataError

_LO_MAX: Final = 64
_CHANNELS: Final = 3


def secondary_capture(
    rgb: NDArray[np.uint8], image: Dataset, *, info: ObjectInfo, sources: Sequence[Dataset] = (), derivation: str = ""
) -> Dataset:
    """Return a picture as a colour Secondary Capture.

    Parameters
    ----------
    rgb
        (rows, columns, 3). It must show no name: BurnedInAnnotation says NO.
    image
        Any image of the exam: patient and study are taken from it.
    info
        What the object says of itself.
    sources
        Images that are shown in it.
    derivation
        How it was made, in words.

    Raises
    ------
    DataError
        If the picture is none.
    """
    if rgb.ndim != _CHANNELS or rgb.shape[2] != _CHANNELS or rgb.dtype != np.uint8:
        raise DataError(f"The picture is {rgb.shape} {rgb.dtype}: give (rows, columns, 3) of uint8.")
    ds = _object(SecondaryCaptureImageStorage, image, info, modality="OT")
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "NO"
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.PatientOrientation = ds.Laterality = None
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = _CHANNELS, "RGB", 0
    ds.Rows, ds.Columns = rgb.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.LossyImageCompression = "00"
    if derivation:
        ds.DerivationDescription = plain_text(derivation, limit=1024)
    if sources:
        ds.SourceImageSequence = [_reference(source) for source in sources]
    pixels = np.ascontiguousarray(rgb).tobytes()
    ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OB"
    return as_read(ds)


def encapsulated_pdf(pdf: bytes, image: Dataset, *, info: ObjectInfo, title: str) -> Dataset:
    """Return a PDF as a DICOM object.

    Parameters
    ----------
    pdf
        The document. It must show no name: BurnedInAnnotation says NO.
    image, info
        As for `secondary_capture`.
    title
        DocumentTitle.

    Raises
    ------
    DataError
        If it is no PDF.
    """
    if not pdf.startswith(b"%PDF-"):
        raise DataError("The document is no PDF: it must begin with %PDF-.")
    ds = _object(EncapsulatedPDFStorage, image, info, modality="DOC")
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "NO"
    ds.AcquisitionDateTime = None
    ds.DocumentTitle = plain_text(title, limit=_LO_MAX)
    ds.ConceptNameCodeSequence = []
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    ds.EncapsulatedDocumentLength = len(pdf)
    return as_read(ds)


def _object(sop_class: str, image: Dataset, info: ObjectInfo, *, modality: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    ds.SeriesInstanceUID, ds.SOPInstanceUID = info.uids()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    moment = info.moment()
    ds.SeriesDate = ds.ContentDate = ds.InstanceCreationDate = moment.strftime("%Y%m%d")
    ds.SeriesTime = ds.ContentTime = ds.InstanceCreationTime = moment.strftime("%H%M%S")
    ds.Modality = modality
    ds.SeriesNumber, ds.InstanceNumber = info.series_number, 1
    ds.SeriesDescription = info.series_description
    ds.Manufacturer = info.manufacturer
    ds.ManufacturerModelName = info.model_name
    ds.SoftwareVersions = info.software_version
    ds.DeviceSerialNumber = info.serial_number
    copy_patient_and_study(image, ds)
    return ds


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = text_of(image, "SOPClassUID")
    item.ReferencedSOPInstanceUID = text_of(image, "SOPInstanceUID")
    return item
