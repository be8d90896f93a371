"""Anonymisation scripts: what they do to datasets, and what is refused when they are stored.

Meanings are those of DicomEdit 6's language reference and its own tests; hashed UIDs are compared with a definition of
our own, written down from RFC 9562 (version 5) and PS3.5 B.2.
"""

from __future__ import annotations

import hashlib
import io
import re
import string
from contextlib import suppress
from copy import deepcopy
from functools import cache

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from overread.dicom.dicomedit import ScriptError, apply_script, parse_script
from overread.dicom.dicomedit.functions import check_pattern, hash_uid
from overread.errors import DataError
from overread.synthetic.phantoms import make_mr_series

GIVEN = {"project": "BTS", "subject": "SUB1", "session": "EXAM1"}
UIDS = st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(lambda parts: ".".join(map(str, [1, *parts])))


def image() -> Dataset:
    return deepcopy(_image())


@cache
def _image() -> Dataset:
    found = make_mr_series((1, 8, 8))[0]
    found.PatientName, found.PatientID, found.PatientBirthDate = "Doe^Jane", "MRN-77", "19700131"
    found.ImageType = ["ORIGINAL", "PRIMARY"]
    block = found.private_block(0x0019, "ACME 1.0", create=True)
    block.add_new(0x0F, "LO", "secret")
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.4"
    inner = Dataset()
    inner.PatientName = "Doe^Jane"
    inner.private_block(0x0029, "ACME 2", create=True).add_new(0x01, "LO", "deep secret")
    reference.PurposeOfReferenceCodeSequence = Sequence([inner])
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.5"
    found.ReferencedImageSequence = Sequence([reference, other])
    return found


def run(script: str, dataset: Dataset | None = None, version: str = "6.3") -> Dataset:
    found = image() if dataset is None else dataset
    apply_script(parse_script(f'version "{version}"\n{script}'), found, GIVEN)
    return found


def file_of(dataset: Dataset) -> Dataset:
    """Write and read: what was assigned must be DICOM."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def test_what_is_set_deleted_blanked_and_hashed() -> None:
    before = image()
    after = file_of(
        run("""
            // who it is
            (0010,0010) := subject      // a comment
            (0010,0020) := session
            (0008,1030) := project
            (0010,0030) := ""
            - (0010,0040)
            (0020,000D) := hashUID[(0020,000D)]
            (0018,5100) := "HFS"
            (0028,0010) := 8
            """)
    )
    assert (after.PatientName, after.PatientID, after.StudyDescription) == ("SUB1", "EXAM1", "BTS")
    assert after.PatientBirthDate == ""
    assert "PatientSex" not in after
    assert after.StudyInstanceUID == hash_uid(before.StudyInstanceUID)
    assert after.PixelData == before.PixelData
    assert (after.Rows, after.PatientPosition) == (8, "HFS")
    changed = {"PatientName", "PatientID", "StudyDescription", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
               "PatientPosition"}  # fmt: skip
    for element in before:
        if element.keyword not in changed | {"Rows"}:
            assert after[element.tag].value == element.value, element.keyword


@given(UIDS)
def test_a_hashed_uid_is_a_version_5_uuid_below_2_25(uid: str) -> None:
    hashed = hash_uid(uid)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d*)", hashed)
    assert len(hashed) <= 64
    number = int(hashed.removeprefix("2.25."))
    raw = int.from_bytes(hashlib.sha1(uid.encode()).digest()[:16])
    assert (number >> 76) & 0xF == 5
    assert (number >> 62) & 0b11 == 0b10
    mask = (0xF << 76) | (0b11 << 62)
    assert number | mask == raw | mask, "all other bits are the digest's"
    assert hash_uid(uid) == hashed


@settings(max_examples=25)
@given(st.text(string.ascii_letters + string.digits + " ^_-", min_size=1, max_size=60).filter(lambda t: t == t.strip()))
def test_any_label_is_written_as_it_is_and_a_second_run_changes_nothing(label: str) -> None:
    script = parse_script('version "6.1"\n(0010,0010) := subject\n(0010,0020) := session\nremoveAllPrivateTags')
    once = image()
    apply_script(script, once, GIVEN | {"subject": label})
    assert str(file_of(once).PatientName) == label
    twice = deepcopy(once)
    apply_script(script, twice, GIVEN | {"subject": label})
    assert twice == once


@settings(max_examples=25)
@given(st.sets(st.sampled_from([int(e.tag) for e in image() if e.tag.group in {0x8, 0x10, 0x18}]), max_size=8))
def test_exactly_what_is_named_is_deleted(tags: set[int]) -> None:
    kept = {0x00080016, 0x00080018}
    before = image()
    lines = [f"- ({tag >> 16:04x},{tag & 0xFFFF:04X})" for tag in tags - kept]
    after = run("\n".join(lines))
    assert {int(tag) for tag in before.keys()} - {int(tag) for tag in after.keys()} == tags - kept  # noqa: SIM118


def test_private_attributes_are_named_by_their_creator() -> None:
    after = run('- (0019,{ACME 1.0}0F)\n(0019,{NEW}01) := "x"')
    assert after.private_block(0x19, "ACME 1.0")
    assert (0x0019, 0x100F) not in after
    assert after.private_block(0x19, "NEW")[0x01].value == b"x\0"
    assert (0x0019, 0x100F) in run("- (0019,{SOMEBODY ELSE}0F)")


def test_all_private_attributes_go_in_sequences_too() -> None:
    after = run("removeAllPrivateTags")
    assert not [e for e in after.iterall() if e.tag.is_private]


@pytest.mark.parametrize(
    ("path", "top", "inner"),
    [("(0010,0010)", False, True), ("*/(0010,0010)", False, False), ("+/(0010,0010)", True, False),
     ("./(0010,0010)", True, True), ("././(0010,0010)", True, False), ("(0008,1140)/*/(0010,0010)", True, False),
     ("(0008,1140)[1]/*/(0010,0010)", True, True), ("(0008,1140)[%]/(0040,A170)[0]/(0010,0010)", True, False)],
)  # fmt: skip
def test_where_a_path_leads(path: str, top: bool, inner: bool) -> None:
    after = run(f"- {path}")
    assert ("PatientName" in after) is top
    assert ("PatientName" in after.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0]) is inner


def test_items_are_set_made_and_left() -> None:
    after = run('(0008,1140)[1]/(0008,1155) := "1.2.9"\n(0008,1110)[0]/(0008,1155) := "1.2.8"')
    assert [item.ReferencedSOPInstanceUID for item in after.ReferencedImageSequence] == ["1.2.3.4", "1.2.9"]
    assert file_of(after).ReferencedStudySequence[0].ReferencedSOPInstanceUID == "1.2.8"
    with pytest.raises(DataError, match=r"Line 2.*no item 5"):
        run('(0008,1140)[5]/(0008,1155) := "1"')


def test_assignment_of_what_exists_alone() -> None:
    after = run('*/(0010,0010) ?= "gone"\n(0010,4000) ?= "new"')
    assert after.PatientName == "gone"
    assert after.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0].PatientName == "gone"
    assert "PatientComments" not in after


def test_wildcards_in_tags() -> None:
    after = run("- (0010,00XX)\n- (001@,10X#)")
    assert not [tag for tag in after.keys() if tag.group == 0x10 and tag.element < 0x100]  # noqa: SIM118


def test_references_follow_when_uids_are_hashed() -> None:
    before = image()
    before.ReferencedImageSequence[0].ReferencedSOPInstanceUID = before.SOPInstanceUID
    after = run("hashUIDList[*/(0008,1155), (0008,0018)]", before)
    assert after.ReferencedImageSequence[0].ReferencedSOPInstanceUID == after.SOPInstanceUID
    assert after.ReferencedImageSequence[1].ReferencedSOPInstanceUID == hash_uid("1.2.3.5")


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ('(0008,0060) = "MR" ? (0010,0010) := "yes" : (0010,0010) := "no"', "yes"),
        ('(0008,0060) = "CT" ? (0010,0010) := "yes" : (0010,0010) := "no"', "no"),
        ('(0008,0060) != "MR" ? (0010,0010) := "yes"', "Doe^Jane"),
        ('project != "Unassigned" ? (0010,0010) := project', "BTS"),
        ('(0008,0008) ~ ".*PRIMARY.*" ? (0010,0010) := "yes"', "yes"),
        ('(0008,0008) ~ "PRIMARY" ? (0010,0010) := "yes"', "Doe^Jane"),
        ('(0008,0008) !~ "PRIMARY" ? (0010,0010) := "yes"', "yes"),
        ('(0010,4000) = "" ? (0010,0010) := "yes"', "Doe^Jane"),
        ('(0010,4000) != "" ? (0010,0010) := "yes"', "yes"),
        ('(0010,4000) ~ ".*" ? (0010,0010) := "yes"', "Doe^Jane"),
        ('isPresent[(0010,0020)] ? (0010,0010) := "yes"', "yes"),
        ('isPresent[(0010,0020), (0010,4000)] ? (0010,0010) := "yes"', "Doe^Jane"),
        ('ismatch[(0010,0020), "MRN-.*"] ? (0010,0010) := "yes"', "yes"),
        ('if ((0008,0060) = "MR") {\n(0010,0010) := "a"\n} else {\n(0010,0010) := "b"\n}', "a"),
        ('if ((0008,0060) = "CT") { (0010,0010) := "a" }\nelseif (project = "BTS")\n{ (0010,0010) := "b" }', "b"),
        ('if ((0008,0060) = "CT") { - (0010,0010) } else { if (project = "BTS") { (0010,0010) := "in" } }', "in"),
        ('(0010,0010) := (0010,4000)', "Doe^Jane"),
        ('a := "x"\n(0010,0010) := a', "x"),
        ('subject := "other"\n(0010,0010) := subject', "other"),
        ('describe subject "Who"\n(0010,0010) := "d"', "d"),
        ('(0010,0010) := lowercase[(0010,0020)]', "mrn-77"),
        ('(0010,0010) := uppercase["abc"]', "ABC"),
        ('(0010,0010) := substring[(0010,0030), 0, 4]', "1970"),
        ('(0010,0010) := replace[(0010,0020), "-", ""]', "MRN77"),
        ('(0010,0010) := concatenate[project, "_", subject]', "BTS_SUB1"),
        ('(0010,0010) := format["{1}/{0}", project, uppercase[session]]', "EXAM1/BTS"),
        ('(0010,0010) := match[(0010,0020), "([A-Z]+)-([0-9]+)", 2]', "77"),
        ('(0010,0010) := match[(0010,0020), "z(.)", 1]', "Doe^Jane"),
        ('(0010,0010) := shiftDateByIncrement[(0010,0030), -31]', "19691231"),
        ('(0010,0010) := urlEncode["a b"]', "a+b"),
        ('(0010,0010) := normalizeString["Jürgen", "-"]', "J-rgen"),
        ('(0010,0010) := "a\\\\b"', "a\\b"),
    ],
)  # fmt: skip
def test_conditions_variables_and_functions(script: str, name: str) -> None:
    found = run(script, version="6.6")
    value = found.PatientName
    assert (str(value) if not isinstance(value, pydicom.multival.MultiValue) else "\\".join(map(str, value))) == name


@pytest.mark.parametrize(
    ("script", "line", "words"),
    [
        ("", 1, "begins with version"),
        ("(0010,0010) := subject", 1, "DicomEdit 4"),
        ('version "4.2"', 1, "not supported"),
        ('version "6.9"', 1, "not supported"),
        ('version "6.3"\nversion "6.3"', 2, "said once"),
        ('version "6.3"\n\n(0010,0010) := sbject', 3, "'sbject' has no value"),
        ('version "6.3"\n(0010,0010) := newUID[]', 2, "made up anew"),
        ('version "6.3"\nalterPixels["rectangle", "l=1", "solid", "v=1"]', 2, "pixels are kept"),
        ('version "6.3"\n(0010,0010) := getURL["http://x"]', 2, "another server"),
        ('version "6.3"\nretainPrivateTags["(0019,{X}01)"]', 2, "not run here"),
        ('version "6.3"\n(0010,0010) := frobnicate["x"]', 2, "no function 'frobnicate'"),
        ('version "6.3"\nlowercase["x"]', 2, "assign it"),
        ('version "6.3"\necho "x"', 2, "print values"),
        ('version "6.3"\nexport subject "x"', 2, "not run here"),
        ('version "6.3"\nreject["x"]', 2, "dropped silently"),
        ('version "6.3"\n(0019,1001) := "x"', 2, "by its creator"),
        ('version "6.3"\n- (0002,0010)', 2, "File meta"),
        ('version "6.3"\n*/(0010,0010) := "x"', 2, "several places"),
        ('version "6.3"\n(0008,1140)/(0008,1155) := "x"', 2, "several places"),
        ('version "6.3"\n(50XX,0010) := "x"', 2, "several places"),
        ('version "6.3"\n(0010,0010) := */(0010,0020)', 2, "as a value, name one"),
        ('version "6.3"\n(0010,0010) := lowercase[*/(0010,0020)]', 2, "name one"),
        ('version "6.3"\n- (0008,1140)[0]', 2, "end with an attribute"),
        ('version "6.3"\n(0008,0008) ~ "(a+)+" ? - (0010,0010)', 2, "for ever"),
        ('version "6.3"\n(0008,0008) ~ "(" ? - (0010,0010)', 2, "can't be used"),
        ('version "6.3"\n(0008,0008) ~ subject ? - (0010,0010)', 2, "text in quotes"),
        ('version "6.3"\n(0008,0008) ? - (0010,0010)', 2, "comparison"),
        ('version "6.3"\n(0010,0010) := "x" (0010,0020) := "y"', 2, "end of the line"),
        ('version "6.3"\n(0010,0010) := "x', 2, "can't be read"),
        ('version "6.3"\n(0010,0010) "x"', 2, "':=' was expected"),
        ('version "6.3"\n(0010,0010) := ', 2, "end of the script"),
        ('version "6.3"\n(0010,0010) := substring["x", 1]', 2, "is called as"),
        ('version "6.3"\na := {"x", "y"}', 2, "Lists"),
        ('version "6.6"\nif ((0008,0060) = "CT") {\n- (0010,0010)', 3, "'}' was expected"),
        ('version "6.6"\nif ((0008,0060) = "CT") { a := "1" }\n(0010,0010) := a', 3, "'a' has no value"),
        ('version "6.3"\n(0008,0060) = "CT" ? a := "1"\n(0010,0010) := a', 3, "'a' has no value"),
        ('version "6.3"\n§', 2, "can't be read"),
    ],
)  # fmt: skip
def test_what_can_not_be_run_is_refused_with_its_line(script: str, line: int, words: str) -> None:
    with pytest.raises(ScriptError) as problem:
        parse_script(script)
    assert problem.value.line == line
    assert words in problem.value.reason


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for script in (text, f'version "6.3"\n{text}'):
        with suppress(ScriptError):  # and nothing else
            parse_script(script)


WORDS = st.sampled_from(
    ['version "6.3"', "\n", "(0010,0010)", "(0008,1140)[0]/(0008,1155)", ":=", "?=", "-", "?", ":", "=", "~", "if",
     "(", ")", "{", "}", "[", "]", ",", '"x"', "subject", "a", "hashUID", "hashUIDList", "removeAllPrivateTags", "*/"],
)  # fmt: skip


@given(st.lists(WORDS, max_size=25))
def test_what_is_read_can_be_run_or_says_why_not(words: list[str]) -> None:
    with suppress(ScriptError, DataError):  # and nothing else
        apply_script(parse_script('version "6.3"\n' + " ".join(words)), image(), GIVEN)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("- (0020,000D)", "StudyInstanceUID.*without this attribute"),
        ('(0008,0018) := ""', "SOPInstanceUID.*without"),
        ('(0028,0010) := "many"', "Line 2"),
        ('(0010,0010) := "Jürgen"', "Line 2.*character set"),
        ("(0010,0010) := concatenate[(0010,4000), project]", "Line 2.*absent"),
        ("(0010,0010) := substring[(0010,0020), 0, 99]", "Line 2.*characters"),
        ("(0010,0010) := shiftDateByIncrement[(0010,0020), 3]", "Line 2.*no date"),
        ('(0010,0020)[0]/(0010,0010) := "x"', "Line 2.*no sequence"),
    ],
)
def test_what_fails_on_an_exam_says_where_and_no_value_of_it(script: str, words: str) -> None:
    dataset = image()
    del dataset.SpecificCharacterSet
    with pytest.raises(DataError, match=words) as problem:
        run(script, dataset)
    assert "MRN" not in str(problem.value)


def test_letters_of_the_objects_own_character_set_are_written() -> None:
    dataset = image()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    assert file_of(run('(0010,0010) := "Jürgen"', dataset)).PatientName == "Jürgen"


def test_what_a_script_wants_is_known() -> None:
    script = parse_script('version "6.3"\n(0010,0010) := subject\nsession := "x"\n(0010,0020) := session')
    assert list(script.variables) == ["subject"]


@pytest.mark.parametrize(("pattern", "fine"), [
    ("MR|CT", True), ("[^(]*", True), (r"\(+x\)+", True), ("(ab)*", True), ("(a*)b", True), ("(a*)*", False),
    ("(a|aa)+", False), ("((a+)b)*", False), ("(a{1,5}){2,}", False), ("[", False),
])  # fmt: skip
def test_patterns_that_could_take_for_ever_are_not_used(pattern: str, fine: bool) -> None:
    assert (check_pattern(pattern) == "") is fine
