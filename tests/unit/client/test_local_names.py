"""Names that a gateway tells lead below the directory and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from eft.client.errors import ClientError
from eft.client.local_names import local_path


@pytest.mark.parametrize(
    ("name", "windows", "expected"),
    [
        ("a/b.txt", False, "a/b.txt"),
        ("../../etc/passwd", False, "etc/passwd"),
        ("/etc/passwd", False, "etc/passwd"),
        ("..", False, "unnamed"),
        ("a\x1b[2J\nb", False, "a_[2J_b"),
        ("..\\..\\evil", True, "evil"),
        ("C:\\x", True, "C_/x"),
        ("con.txt", True, "_con.txt"),
        ('a<b>:"|?*', True, "a_b______"),
        ("dots. . .", True, "dots"),
    ],
)
def test_a_name_stays_below_the_directory(tmp_path: Path, name: str, windows: bool, expected: str) -> None:
    assert local_path(tmp_path, name, windows=windows) == tmp_path / expected


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path)
    with pytest.raises(ClientError):
        local_path(tmp_path / "in", "link/x")


def test_a_long_name_is_cut_and_keeps_its_ending(tmp_path: Path) -> None:
    path = local_path(tmp_path, "ä" * 300 + ".log")
    assert path.name.endswith(".log")
    assert len(path.name.encode()) <= 240
