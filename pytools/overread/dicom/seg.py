"""DICOM segmentations: write BINARY ones, read BINARY, FRACTIONAL and LABELMAP.

`write_seg` and `decode_seg` are each other's inverse on the grid of the source images.
"""

from overread.dicom.seg_read import DecodedSeg, decode_seg, is_seg, predecessor_of
from overread.dicom.seg_write import ObjectInfo, write_seg
from overread.dicom.segments import AlgorithmType, SegmentInfo

__all__ = [
    "AlgorithmType",
    "DecodedSeg",
    "ObjectInfo",
    "SegmentInfo",
    "decode_seg",
    "is_seg",
    "predecessor_of",
    "write_seg",
]
