from __future__ import annotations

import pytest

from helpers.segments import BRAIN, LESION, NEOPLASM, measurement_groups, seg_of, through_bytes
from overread.dicom.codes import LONG_AXIS, MILLILITRE, MILLIMETRE, VOLUME
from overread.dicom.seg import ObjectInfo, SegmentInfo, write_seg
from overread.dicom.sr import SegmentMeasurement, measurement_report
from overread.dicom.volumes import volumes_ml
from overread.errors import DataError
from overread.synthetic.phantoms import make_case

CASE = make_case()
SEG = seg_of(CASE)
ML = volumes_ml(SEG)[1]


def report(*, seg=SEG, segment=1, creator="", volume=ML):
    measurements = [
        SegmentMeasurement(segment_number=segment, name=VOLUME, value=volume, unit=MILLILITRE),
        SegmentMeasurement(segment_number=segment, name=LONG_AXIS, value=12.34, unit=MILLIMETRE),
    ]
    info = ObjectInfo(model_name="brain-tumor-segmentation", software_version="1.0.0", content_creator_name=creator)
    return through_bytes(
        measurement_report(seg, CASE.datasets, measurements=measurements, info=info, device_uid="2.25.4")
    )


def test_a_foreign_reader_finds_volume_segment_and_tracking():
    (group,) = measurement_groups(report(), tracking_uid=LESION.tracking_uid)
    assert group.tracking_identifier == "Lesion"
    assert group.finding_type == NEOPLASM.as_code()
    assert group.finding_sites[0].topographical_modifier is None
    assert group.finding_sites[0].value == BRAIN.as_code()
    (volume,) = group.get_measurements(name=VOLUME.as_code())
    assert (volume.value, volume.unit) == (pytest.approx(ML), MILLILITRE.as_code())
    (axis,) = group.get_measurements(name=LONG_AXIS.as_code())
    assert (axis.value, axis.unit) == (12.34, MILLIMETRE.as_code())
    segment = group.referenced_segment
    assert segment.referenced_sop_instance_uid == SEG.SOPInstanceUID
    assert segment.referenced_segment_numbers == [1]
    assert segment.source_series_for_segmentation.value == CASE.datasets[0].SeriesInstanceUID


def test_segmentation_and_images_are_named_as_evidence():
    sr = report()
    assert sr.StudyInstanceUID == CASE.datasets[0].StudyInstanceUID
    assert sr.PatientName == CASE.datasets[0].PatientName
    named = {
        instance.ReferencedSOPInstanceUID
        for study in (*sr.CurrentRequestedProcedureEvidenceSequence, *sr.get("PertinentOtherEvidenceSequence", ()))
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert named == {SEG.SOPInstanceUID, *(ds.SOPInstanceUID for ds in CASE.datasets)}


@pytest.mark.parametrize(("creator", "code"), [("", "121007"), ("jdoe", "121006")])
def test_the_observer_is_the_program_or_the_reader(creator, code):
    observers = [
        item.ConceptCodeSequence[0].CodeValue
        for item in report(creator=creator).ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "121005"
    ]
    assert observers == [code]


def test_a_volume_of_zero_is_a_measurement():
    seg = write_seg(CASE.datasets, {1: CASE.mask & ~CASE.mask}, [LESION])
    (group,) = measurement_groups(report(seg=seg, volume=0.0))
    assert group.get_measurements(name=VOLUME.as_code())[0].value == 0.0


def test_a_segment_that_is_not_there_is_refused():
    with pytest.raises(DataError, match=r"segments \[2\], the segmentation has \[1\]"):
        report(segment=2)


def test_a_segment_without_tracking_is_refused():
    seg = write_seg(CASE.datasets, {1: CASE.mask}, [SegmentInfo(number=1, label="Lesion")])
    with pytest.raises(DataError, match="no tracking ID and UID"):
        report(seg=seg)
