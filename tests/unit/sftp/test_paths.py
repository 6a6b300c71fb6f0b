"""Names from the wire never leave the case."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
import pytest

from eft.domain.errors import NameNotAllowed
from eft.sftp_temp import paths

PIECES = st.lists(st.sampled_from(["..", ".", "", "a", "…", "...", "a..", "..a", "\\", "from-support", " ", "é", "\n", "CON"]))


@given(st.one_of(st.text(), PIECES.map("/".join), PIECES.map(lambda pieces: "/" + "/".join(pieces))))
@example("/../../etc/passwd")
@example("//etc/passwd")
@example("a/../../b")
def test_no_path_leaves_the_root(text: str) -> None:
    try:
        path = paths.resolve(text.encode("utf-8", "surrogatepass"))
    except NameNotAllowed:
        return
    assert not path.startswith("/")
    if path:
        assert all(component not in ("", ".", "..") for component in path.split("/"))
    assert "\0" not in path
    assert paths.resolve(path.encode()) == path
    assert paths.resolve(paths.absolute(path).encode()) == path


@given(PIECES)
def test_a_path_means_what_a_walk_from_the_root_means(pieces: list[str]) -> None:
    walked: list[str] = []
    for piece in pieces:
        if piece == "..":
            walked = walked[:-1]
        elif piece not in ("", "."):
            walked = [*walked, piece]
    assert paths.resolve("/".join(pieces).encode()) == "/".join(walked)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"", ""),
        (b".", ""),
        (b"/", ""),
        (b"..", ""),
        (b"/..", ""),
        (b"a/", "a"),
        (b"//a//b/./c", "a/b/c"),
        (b"a/../b", "b"),
        (b"/../../../a", "a"),
        ("/новый/ファイル 1".encode(), "новый/ファイル 1"),
    ],
)
def test_paths_are_normalised(raw: bytes, path: str) -> None:
    assert paths.resolve(raw) == path


@pytest.mark.parametrize("raw", [b"\xff", b"a/\xc3", b"a\0b", b"\xed\xa0\x80"])
def test_what_is_no_text_is_refused_with_a_reason(raw: bytes) -> None:
    with pytest.raises(NameNotAllowed):
        paths.resolve(raw)
