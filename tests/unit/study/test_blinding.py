from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.study.blinding import code_of, shuffle_key, uids_of

SALT, OTHER = bytes(range(32)), bytes(range(1, 33))


def test_a_code_is_the_same_everywhere_and_needs_the_salt():
    assert code_of(SALT, ["liver", "E1", "model"]) == "F4KYXXH9VP"
    assert code_of(OTHER, ["liver", "E1", "model"]) != code_of(SALT, ["liver", "E1", "model"])


def test_where_a_part_ends_counts():
    codes = {code_of(SALT, parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "c", ""])}
    assert len(codes) == 5


@given(st.lists(st.text(), max_size=4))
def test_codes_read_well_and_are_no_words(parts):
    code = code_of(SALT, parts)
    assert len(code) == 10
    assert code[0] in "BCDFGHJKMNPQRSTVWXYZ"
    assert not set(code) - set("0123456789BCDFGHJKMNPQRSTVWXYZ")


def test_ten_thousand_cases_have_ten_thousand_codes():
    assert len({code_of(SALT, [str(n)]) for n in range(10_000)}) == 10_000


@given(st.text(), st.text())
def test_new_uids_have_one_root_and_one_length_whatever_they_replace(code, old):
    new = uids_of(SALT, code)(old)
    assert new.startswith("2.25.")
    assert len(new) == 44
    assert new == uids_of(SALT, code)(old)
    assert int(new[5:]) < 2**128


def test_two_cases_share_no_uid():
    assert uids_of(SALT, "A")("1.2.3") != uids_of(SALT, "B")("1.2.3") != uids_of(OTHER, "B")("1.2.3")


@pytest.mark.parametrize("use", [lambda s: code_of(s, ["a"]), lambda s: uids_of(s, "a"), lambda s: shuffle_key(s, [])])
def test_a_short_salt_is_refused(use):
    with pytest.raises(ValueError, match="at least 32 bytes, this one 31"):
        use(bytes(31))
