"""What a running gateway tells of itself: events as JSON lines, metrics, and the time it goes by.

Every module logs with the standard library, an event's name as the message and its facts as fields::

    log.info("upload.resumed", extra={"upload_id": upload.id, "offset": upload.offset})

Events and fields come from closed lists. A name that is not in them fails the tests; in production the event is still written,
and an unknown field is left out, so that no secret and no client's file name gets into a log by accident.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
import json
import logging
from pathlib import Path
import sys
import time
import traceback

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from eft.domain.errors import EftError


class SystemClock:
    """The machine's clock, and the only place in eft that asks it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Event(StrEnum):
    """Everything that is ever logged."""

    GATEWAY_STARTING = "gateway.starting"
    GATEWAY_READY = "gateway.ready"
    GATEWAY_STOPPING = "gateway.stopping"
    GATEWAY_STOPPED = "gateway.stopped"
    WORKER_STARTED = "worker.started"
    WORKER_READY = "worker.ready"
    WORKER_DIED = "worker.died"
    WORKER_FAILED = "worker.failed"
    WORKER_STOPPED = "worker.stopped"
    WORKER_KILLED = "worker.killed"
    ADDRESS_UNAVAILABLE = "address.unavailable"

    HTTP_ACCEPT_FAILED = "http.accept_failed"
    HTTP_HANDLER_FAILED = "http.handler_failed"
    HTTP_ANSWER_FAILED = "http.answer_failed"
    HTTP_REFUSED = "http.refused"
    API_FAILED = "api.failed"
    SFTP_SIGNED_IN = "sftp.signed_in"
    SFTP_REFUSED = "sftp.refused"
    SFTP_CUT = "sftp.cut"
    SFTP_REQUEST_FAILED = "sftp.request_failed"

    UPLOAD_RESUMED = "upload.resumed"
    UPLOAD_DISPLACED = "upload.displaced"
    UPLOAD_PUBLISHED = "upload.published"
    UPLOAD_REFUSED = "upload.refused"
    UPLOAD_EXPIRED = "upload.expired"
    UPLOAD_TERMINATED = "upload.terminated"
    SEGMENT_FAILED = "segment.failed"
    STORAGE_FULL = "storage.full"

    PURGE_STARTED = "purge.started"
    PURGE_DONE = "purge.done"
    PURGE_POSTPONED = "purge.postponed"
    PURGE_FAILED = "purge.failed"
    TOMBSTONES_APPLIED = "tombstones.applied"
    JOB_FAILED = "job.failed"

    PORTAL_STARTING = "portal.starting"
    PORTAL_READY = "portal.ready"
    PORTAL_STOPPED = "portal.stopped"
    PORTAL_FAILED = "portal.failed"
    PORTAL_MAIL_FAILED = "portal.mail_failed"
    PORTAL_GATEWAY_FAILED = "portal.gateway_failed"

    LIBRARY_MESSAGE = "library.message"
    """Something a library had to say. Never logged by eft itself."""


FIELDS = frozenset(
    {
        "account",
        "address",
        "attachment_id",
        "bytes",
        "case_id",
        "code",
        "count",
        "detail",
        "door",
        "epoch",
        "exit_code",
        "holder",
        "job",
        "length",
        "method",
        "offset",
        "outcome",
        "port",
        "reason",
        "region",
        "remedy",
        "retry_s",
        "seconds",
        "signal",
        "source",
        "state",
        "status",
        "upload_id",
        "verdict",
        "worker",
        "workers",
        "worker_pid",
    }
)
"""Every fact that an event may carry. None of them is a secret or a name that a client chose."""

_EVENTS = frozenset(str(event) for event in Event)
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST_MESSAGE = 500


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == "eft" or record.name.startswith("eft.")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _OF_EVERY_RECORD}


class JsonLines(logging.Formatter):
    """One record, one line of JSON, with what is `common` to all of this process's records."""

    def __init__(self, **common: str | int) -> None:
        super().__init__()
        self._common = common

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, object] = {"at": at, "level": record.levelname.lower(), "event": str(Event.LIBRARY_MESSAGE)}
        line.update(self._common, pid=record.process)
        if _is_ours(record):
            line["event"] = str(record.msg)
            line.update((key, value) for key, value in _extra(record).items() if key in FIELDS)
        else:
            line.update(logger=record.name, message=record.getMessage()[:_LONGEST_MESSAGE])
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _describe(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def _describe(error: BaseException) -> dict[str, object]:
    """Type and place. The text only of errors whose texts are known to hold no secret: our own, and the operating system's."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    described: dict[str, object] = {"type": type(error).__name__, "frames": frames}
    if isinstance(error, EftError):
        described.update(code=error.code, detail=error.detail)
    elif isinstance(error, OSError):
        described["detail"] = str(error)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        described["cause"] = _describe(cause)
    return described


def log_to_stderr(**common: str | int) -> None:
    """From here on events go to standard error, each with the `common` facts (`region`, `worker`). Libraries are heard from
    `WARNING` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(**common))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("eft").setLevel(logging.INFO)


class StrictEvents(logging.Handler):
    """Notes every record of eft whose event or fields are not from the closed lists. For tests."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg) not in _EVENTS or record.args:
            self.faults.append(f'"{record.msg}" ({record.name}) is not an event of eft.observability.Event')
        unknown = sorted(set(_extra(record)) - FIELDS)
        if unknown:
            self.faults.append(
                f'"{record.msg}" ({record.name}) has fields that eft.observability.FIELDS lacks: {", ".join(unknown)}'
            )


class Metrics:
    """What a worker counts. Doors are `https` and `sftp`, sources those of uploads; sizes in bytes, spans in seconds."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._connections = Gauge(
            "eft_connections", "Open connections.", ["door"], registry=registry, multiprocess_mode="livesum"
        )
        self._received = Counter("eft_received_bytes", "Plaintext bytes made durable.", ["source"], registry=registry)
        self._commits = Histogram(
            "eft_commit_seconds",
            "How long commits took, until what they hold was durable.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
        )
        self._published = Counter("eft_published", "Uploads published.", ["source"], registry=registry)
        self._purged = Counter("eft_purges", "Cases looked at by the purge, by how that ended.", ["outcome"], registry=registry)

    def connections(self, door: str, count: int) -> None:
        self._connections.labels(door).set(count)

    def received(self, source: str, size: int) -> None:
        self._received.labels(source).inc(size)

    def committed(self, seconds: float) -> None:
        self._commits.observe(seconds)

    def published(self, source: str) -> None:
        self._published.labels(source).inc()

    def purged(self, outcome: str, cases: int) -> None:
        self._purged.labels(outcome).inc(cases)


METRICS_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where it is set before the start, as it is for workers, metrics are kept in files of that directory, and can be added up."""


def exposition(directory: Path) -> bytes:
    """The metrics of all workers that keep theirs in `directory`, as Prometheus reads them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget_process(pid: int, directory: Path) -> None:
    """A dead worker's connections are gone; what it has counted stays."""
    mark_process_dead(pid, path=str(directory))  # type: ignore[no-untyped-call]
