"""docs/sftp-clients.md is what the tests of the clients try."""

from __future__ import annotations

from tests.interop.sftp_matrix.page import PAGE, page


def test_the_page_says_what_the_tests_try() -> None:
    assert PAGE.read_text() == page(), "out of date: python -m tests.interop.sftp_matrix.page"
