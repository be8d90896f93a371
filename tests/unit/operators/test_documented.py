"""The operators are a documented library."""

from __future__ import annotations

from helpers.operators_page import DOCUMENT, document, undocumented


def test_everything_public_says_what_it_is() -> None:
    assert undocumented() == []


def test_the_page_is_computed() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run: python tests/helpers/operators_page.py"
