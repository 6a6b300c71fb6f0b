"""The reading of traces: an answer that comes too early is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.system_calls import SENDS, calls, changes_not_synced

SOCKET = "7<TCP:[127.0.0.1:8441->127.0.0.1:50000]>"
FILE, DIRECTORY, TOP = "9</data/segments/c/u-1.seg>", "8</data/segments/c>", "6</data/segments>"
MAKE = f'mkdirat({TOP}, "c", 0700) = 0'
CREATE = f'openat({DIRECTORY}, "u-1.seg", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = {FILE}'
WRITE = f'pwrite64({FILE}, ""..., 100, 0) = 100'
SYNC, SYNC_DIRECTORY, SYNC_TOP = f"fdatasync({FILE}) = 0", f"fsync({DIRECTORY}) = 0", f"fsync({TOP}) = 0"
ANSWER = f'sendto({SOCKET}, ""..., 300, 0, NULL, 0) = 300'
ALL = [MAKE, CREATE, WRITE, SYNC, SYNC_DIRECTORY, SYNC_TOP, ANSWER]


def waiting_at_the_answer(trace: Path, lines: list[str]) -> list[str]:
    trace.write_text("".join(f"100 {number}.5 {line}\n" for number, line in enumerate(lines)))
    found = calls(trace)
    (answer,) = (call for call in found if call.name in SENDS)
    return [call.name for call in changes_not_synced(found, answer.began, "/data/segments")]


def test_nothing_waits_where_all_was_synced(tmp_path: Path) -> None:
    assert waiting_at_the_answer(tmp_path / "trace", ALL) == []


@pytest.mark.parametrize(("missing", "waiting"), [(SYNC, ["pwrite64"]), (SYNC_DIRECTORY, ["openat"]), (SYNC_TOP, ["mkdirat"])])
def test_a_sync_that_is_missing_failed_or_came_before_the_change_or_after_the_answer_is_noticed(
    tmp_path: Path, missing: str, waiting: list[str]
) -> None:
    others = [line for line in ALL if line != missing]
    for lines in (
        others,
        [missing, *others],
        [*others, missing],
        [missing.replace("= 0", "= -1 EIO (Input/output error)") if line == missing else line for line in ALL],
    ):
        assert waiting_at_the_answer(tmp_path / "trace", lines) == waiting


def test_a_sync_that_has_not_returned_when_the_answer_is_sent_does_not_count(tmp_path: Path) -> None:
    begun = SYNC.replace(") = 0", " <unfinished ...>")
    trace = tmp_path / "trace"
    lines = [
        *(f"100 1.0 {line}" for line in (MAKE, CREATE, WRITE, SYNC_DIRECTORY, SYNC_TOP, begun)),
        f"101 2.0 {ANSWER}",
        "100 3.0 <... fdatasync resumed>) = 0",
    ]
    trace.write_text("\n".join(lines))
    found = calls(trace)
    (answer,) = (call for call in found if call.name in SENDS)
    assert [call.name for call in changes_not_synced(found, answer.began, "/data")] == ["pwrite64"]
