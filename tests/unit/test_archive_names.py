"""What files are called in an archive of their case."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from eft.domain.archive_names import ArchiveNames


def named(*names: tuple[str, int]) -> list[str]:
    archive = ArchiveNames([name for name, _ in names], taken="SHA256SUMS")
    return [archive.add(name, version) for name, version in names]


@pytest.mark.parametrize(
    ("names", "given"),
    [
        ([("a.log", 2), ("a.log", 1)], ["a.log", "a (version 1).log"]),
        ([("d/a.tar.gz", 3), ("d/a.tar.gz", 1)], ["d/a.tar.gz", "d/a.tar (version 1).gz"]),
        ([("trace", 2), ("trace", 1)], ["trace", "trace (version 1)"]),
        ([(".env", 2), (".env", 1)], [".env", ".env (version 1)"]),
        ([("A.log", 1), ("a.LOG", 1)], ["A.log", "a (version 1).LOG"]),
        ([("\u00e9.log", 1), ("e\u0301.log", 1)], ["\u00e9.log", "e\u0301 (version 1).log"]),
        ([("a (version 1)", 1), ("a", 2), ("a", 1)], ["a (version 1)", "a", "a (version 2)"]),
        ([("logs", 1), ("logs/a", 1)], ["logs (version 1)", "logs/a"]),
        ([("LOGS", 1), ("logs/deep/a", 1), ("logs/Deep", 4)], ["LOGS (version 1)", "logs/deep/a", "logs/Deep (version 4)"]),
        ([("SHA256SUMS", 1), ("sha256sums/a", 1)], ["SHA256SUMS (version 1)", "sha256sums_/a"]),
        ([("C:/evil", 1), ("file:stream", 1)], ["C_/evil", "file_stream"]),
        ([("日本 ログ.txt", 1)], ["日本 ログ.txt"]),
    ],
)
def test_each_file_has_a_name_of_its_own(names: list[tuple[str, int]], given: list[str]) -> None:
    assert named(*names) == given


def test_a_long_name_is_cut_before_its_suffix_where_a_mark_makes_it_longer() -> None:
    longest = "é" * 125 + ".json"
    first, second = named((longest, 2), (longest, 1))
    assert first == longest
    assert second.endswith("é (version 1).json")
    assert len(second.encode()) <= 255
    (receipt,) = named((f"receipts/{longest}.receipt", 1))
    assert receipt.endswith(".receipt")
    assert len(receipt.rpartition("/")[2].encode()) <= 255


_COMPONENT = st.text(st.sampled_from("aAéE\u0301:s.S "), min_size=1, max_size=4).filter(lambda text: text not in (".", ".."))


@given(st.lists(st.tuples(st.lists(_COMPONENT, min_size=1, max_size=3).map("/".join), st.integers(1, 3)), max_size=12))
def test_no_file_takes_the_place_of_another_or_of_a_directory(names: list[tuple[str, int]]) -> None:
    made = [name.casefold() for name in named(*names)]
    assert len(set(made)) == len(made)
    directories = {"/".join(name.split("/")[:count]) for name in made for count in range(1, name.count("/") + 1)}
    assert not directories & set(made)
    assert not any(":" in name or name.startswith("/") for name in made)
