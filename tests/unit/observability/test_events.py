from __future__ import annotations

from datetime import UTC, datetime
import json
import logging
import sys

from prometheus_client import CollectorRegistry, generate_latest
import pytest

from eft.domain.errors import StorageFull
from eft.observability import Event, JsonLines, Metrics, StrictEvents, SystemClock


def record(message: str, name: str = "eft.transfers", **fields: object) -> logging.LogRecord:
    made = logging.getLogger(name).makeRecord(name, logging.INFO, "file", 1, message, (), None, extra=fields)
    made.created = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    return made


def line(made: logging.LogRecord) -> dict[str, object]:
    told = JsonLines(region="us", worker=1).format(made)
    assert "\n" not in told
    loaded: dict[str, object] = json.loads(told)
    return loaded


def test_an_event_is_one_line_with_its_facts() -> None:
    told = line(record("upload.resumed", upload_id="ab", offset=7))
    assert told == {
        "at": "2026-11-23T12:00:00.000Z",
        "level": "info",
        "event": "upload.resumed",
        "region": "us",
        "worker": 1,
        "pid": told["pid"],
        "upload_id": "ab",
        "offset": 7,
    }


def test_a_field_that_is_not_listed_is_left_out() -> None:
    assert "password" not in line(record("sftp.refused", password="secret"))
    assert "secret" not in json.dumps(line(record("sftp.refused", password="secret")))


def test_an_error_is_told_with_its_place_and_no_text_that_may_hold_a_secret() -> None:
    try:
        try:
            raise StorageFull
        except StorageFull as cause:
            raise ValueError("hunter2") from cause
    except ValueError:
        made = record("upload.failed")
        made.exc_info = sys.exc_info()
    told = json.dumps(line(made))
    assert "hunter2" not in told
    assert "test_events.py" in told
    assert '"code": "storage-full"' in told


def test_a_library_is_heard_under_its_own_name() -> None:
    told = line(record("something %s", name="asyncio"))
    assert (told["event"], told["logger"]) == ("library.message", "asyncio")


def test_a_name_or_field_from_no_list_is_a_fault() -> None:
    strict = StrictEvents()
    strict.emit(record("upload.resumed", offset=1))
    assert strict.faults == []
    strict.emit(record("upload.rseumed"))
    strict.emit(record("upload.resumed", passwd=1))
    assert len(strict.faults) == 2


@pytest.mark.parametrize("event", list(Event))
def test_events_are_named_noun_dot_verb(event: Event) -> None:
    noun, _, verb = event.partition(".")
    assert noun.isalpha()
    assert verb.replace("_", "").isalpha()


def test_what_is_counted_can_be_read() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.connections("sftp", 3)
    metrics.received("https", 5)
    metrics.committed(0.002)
    metrics.published("https")
    metrics.purged("kept", 2)
    text = generate_latest(registry).decode()
    for sample in (
        'eft_connections{door="sftp"} 3.0',
        'eft_received_bytes_total{source="https"} 5.0',
        "eft_commit_seconds_count 1.0",
        'eft_published_total{source="https"} 1.0',
        'eft_purges_total{outcome="kept"} 2.0',
    ):
        assert sample in text
    metrics.connections("sftp", 0)
    assert 'eft_connections{door="sftp"} 0.0' in generate_latest(registry).decode()


def test_the_clock_is_aware_utc() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()
