"""Writes in any order become a stream, or are refused."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from eft.domain.errors import NotSequential
from eft.sftp_temp.handles import WritableFile
from eft.sftp_temp.reorder import Allowance
from tests.unit.sftp.fakes import FakeReception, StoredFile

WINDOW = 1000


def new_file(*, append: bool = False, held: bytes = b"") -> tuple[WritableFile, FakeReception]:
    reception = FakeReception(StoredFile(bytearray(held)))
    file = WritableFile(reception, append=append, window_bytes=WINDOW, allowance=Allowance(2 * WINDOW))
    return file, reception


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=15), st.randoms(use_true_random=False))
async def test_any_order_within_the_window_gives_the_file(sizes: list[int], random: object) -> None:
    whole = bytes(n % 251 for n in range(sum(sizes)))
    pieces, offset = [], 0
    for size in sizes:
        pieces.append((offset, whole[offset : offset + size]))
        offset += size
    random.shuffle(pieces)  # type: ignore[attr-defined]
    file, reception = new_file()
    for at, piece in pieces:
        file.write(at, (piece[:3], piece[3:]), len(piece))
    file.check_whole()
    assert bytes(reception.file.data) == whole


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 60)), max_size=20))
async def test_whatever_is_written_the_file_is_a_prefix_of_what_the_client_meant(writes: list[tuple[int, int]]) -> None:
    """Each byte says where it belongs, so that one in the wrong place is seen."""
    file, reception = new_file()
    for offset, length in writes:
        try:
            file.write(offset, (bytes((offset + n) % 251 for n in range(length)),), length)
        except NotSequential:
            break
    assert bytes(reception.file.data) == bytes(n % 251 for n in range(reception.offset))


async def test_a_write_before_what_was_received_is_refused_for_good() -> None:
    file, reception = new_file(held=b"12345")
    with pytest.raises(NotSequential):
        file.write(3, (b"xx",), 2)
    with pytest.raises(NotSequential):
        file.write(5, (b"6",), 1)
    assert bytes(reception.file.data) == b"12345"
    with pytest.raises(NotSequential):
        file.check_whole()


async def test_a_write_beyond_the_window_is_refused() -> None:
    file, _ = new_file()
    file.write(WINDOW - 10, (bytes(10),), 10)
    with pytest.raises(NotSequential):
        file.write(WINDOW, (b"x",), 1)


async def test_overlapping_writes_are_refused() -> None:
    file, _ = new_file()
    file.write(10, (bytes(10),), 10)
    with pytest.raises(NotSequential):
        file.write(15, (bytes(10),), 10)
    file, _ = new_file()
    file.write(10, (bytes(10),), 10)
    with pytest.raises(NotSequential):
        file.write(0, (bytes(12),), 12)


async def test_a_hole_is_not_a_whole_file() -> None:
    file, _ = new_file()
    file.write(0, (b"a",), 1)
    file.write(5, (b"b",), 1)
    with pytest.raises(NotSequential):
        file.check_whole()


async def test_all_files_of_a_session_share_what_may_wait() -> None:
    allowance = Allowance(100)
    first = WritableFile(FakeReception(StoredFile()), append=False, window_bytes=WINDOW, allowance=allowance)
    second = WritableFile(FakeReception(StoredFile()), append=False, window_bytes=WINDOW, allowance=allowance)
    first.write(1, (bytes(80),), 80)
    with pytest.raises(NotSequential):
        second.write(1, (bytes(30),), 30)
    first.write(0, (b"x",), 1)
    assert allowance.left == 100
    await first.let_go()
    await second.let_go()


@pytest.mark.parametrize(("sizes", "seconds"), [([261_120, 261_120], 600.0), ([261_120, 261_120, 5], 5.0), ([261_120], 600.0)])
async def test_a_file_that_was_gone_on_with_is_told_by_what_was_added(sizes: list[int], seconds: float) -> None:
    """A `reput` goes on from where the stored bytes end, which may be anywhere."""
    file, reception = new_file(append=True, held=b"12345")
    for size in sizes:
        file.write(reception.offset, (bytes(size),), size)
    assert file.quarantine(5.0, 600.0) == seconds


async def test_append_overrides_offsets() -> None:
    """curl --append sends the offset 0; OpenSSH's reput the true ones."""
    file, reception = new_file(append=True, held=b"12345")
    file.write(0, (b"67",), 2)
    file.write(7, (b"89",), 2)
    assert bytes(reception.file.data) == b"123456789"


@pytest.mark.parametrize(
    ("name", "sizes", "seconds"),
    [
        ("a", [261120, 261120], 600.0),
        ("a", [261120, 261120, 5], 5.0),
        ("a", [5], 5.0),
        ("a", [], 5.0),
        ("a", [4096, 4096], 5.0),
        ("a", [8192, 8192, 8192], 600.0),
        ("a", [30_000, 30_000, 5536], 600.0),
        ("a", [30_000, 30_000, 5537], 5.0),
        ("a", [30_000, 30_000], 600.0),
        ("a", [4096] * 8, 5.0),
        ("a", [261_120, 1024], 5.0),
        ("a", [32768, 32768, 32768], 600.0),
        ("a", [100_000, 100_000], 600.0),
        ("a", [100_000], 5.0),
        ("a", [65536], 5.0),
        ("a", [32768], 600.0),
        ("a", [261120], 600.0),
        ("a", [32768, 100, 32768], 5.0),
        ("a.filepart", [5], None),
        ("dir/.in.a", [5], None),
        ("dir.tmp/a", [5], 5.0),
        ("a.part", [261120], None),
        ("a.tmp", [], None),
    ],
)
async def test_how_long_a_closed_file_rests(name: str, sizes: list[int], seconds: float | None) -> None:
    reception = FakeReception(StoredFile(), name)
    file = WritableFile(reception, append=False, window_bytes=2**21, allowance=Allowance(2**21))
    for size in sizes:
        file.write(reception.offset, (bytes(size),), size)
    assert file.quarantine(5.0, 600.0) == seconds
