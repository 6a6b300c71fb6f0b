"""The supervisor of one gateway: starts its workers, starts them again when they die, and answers for them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
import logging
import os
from pathlib import Path
import signal
import socket

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from eft.cli.instance import bound_to, check_addresses, claim, empty_directory
from eft.cli.operations import Operations, WorkerState
from eft.cli.reports import Refusal
from eft.cli.worker_process import WorkerProcess
from eft.domain.clock import Clock
from eft.observability import METRICS_DIRECTORY_VARIABLE, exposition, forget_process

log = logging.getLogger(__name__)

STOP_S = 10.0
"""How long workers have to end in order; what is left then is killed, which harms nothing that was acknowledged."""

_STEADY_S = 1.0
_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `doors` are the addresses and ports that workers listen on, `shared` those of them that they accept from
    together; `run_dir` is where running processes keep things."""

    command: tuple[str, ...]
    workers: int
    run_dir: Path
    operations_port: int
    doors: tuple[tuple[str, int], ...] = ()
    shared: tuple[tuple[str, int], ...] = ()


class Supervisor:
    """Runs a plan until it is told to stop, by SIGTERM, SIGINT, or a worker that refuses to start at all."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._metrics_dir = plan.run_dir / "metrics"
        self._temporary_dir = plan.run_dir / "tmp"
        self._lock = -1
        self._shared: list[socket.socket] = []
        self._workers: dict[int, WorkerProcess] = {}
        self._stopping = asyncio.Event()
        self._refusal: Refusal | None = None
        registry = CollectorRegistry()
        self._registry = registry
        self._ready = Gauge("eft_workers_ready", "Workers that are ready.", registry=registry)
        self._deaths = Counter("eft_worker_deaths", "Workers that ended without being told to.", registry=registry)

    async def run(self) -> None:
        """Returns after an orderly stop. Raises EftError where the gateway cannot start, or a worker refuses to."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._lock = await claim(self._plan.run_dir, self._clock)
        operations = Operations(self._plan.operations_port, self._states, self._metrics)
        try:
            empty_directory(self._metrics_dir)
            empty_directory(self._temporary_dir)
            check_addresses(self._plan.doors)
            self._shared = bound_to(self._plan.shared)
            await operations.start()
            log.info("gateway.starting", extra={"workers": self._plan.workers, "port": self._plan.operations_port})
            await self._keep_all()
        finally:
            self._close_shared()
            await operations.stop()
            os.close(self._lock)
        log.info("gateway.stopped")
        if self._refusal is not None:
            raise self._refusal.as_error()

    def _close_shared(self) -> None:
        for listener in self._shared:
            listener.close()
        self._shared.clear()

    async def _keep_all(self) -> None:
        keepers = {asyncio.create_task(self._keep(number)) for number in range(1, self._plan.workers + 1)}
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stopped, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            self._stopping.set()
            log.info("gateway.stopping")
            self._close_shared()  # or whoever comes now would wait for nobody once the workers have closed theirs
            for worker in self._workers.values():
                worker.stop()
            _, late = await asyncio.wait(keepers, timeout=STOP_S)
            for worker in self._workers.values():
                log.warning("worker.killed", extra={"worker": worker.number, "worker_pid": worker.pid})
                worker.kill()
            if late:
                await asyncio.wait(late)
        for keeper in keepers:
            keeper.result()

    async def _keep(self, number: int) -> None:
        """Has worker `number` running, until the gateway stops or the worker refuses to start."""
        deaths_in_a_row = 0
        while not self._stopping.is_set():
            try:
                steady = await self._run_once(number)
            except OSError:
                log.exception("worker.failed", extra={"worker": number})
                steady = False
            if self._stopping.is_set():
                return
            self._deaths.inc()
            deaths_in_a_row = 0 if steady else deaths_in_a_row + 1
            if deaths_in_a_row:
                delay_s = min(_FIRST_DELAY_S * 2 ** (deaths_in_a_row - 1), _LONGEST_DELAY_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _run_once(self, number: int) -> bool:
        """One life of worker `number`, from its start to its end. Whether it had served for a while by then."""
        environment = {
            **os.environ,
            METRICS_DIRECTORY_VARIABLE: str(self._metrics_dir),
            # What a library may keep in a temporary file stays in the region too (P8).
            "TMPDIR": str(self._temporary_dir),
        }
        listeners = [listener.fileno() for listener in self._shared]
        worker = await WorkerProcess.start(
            number, self._plan.command, environment, self._clock, keep_open=(self._lock,), listeners=listeners
        )
        self._workers[number] = worker
        log.info("worker.started", extra={"worker": number, "worker_pid": worker.pid})
        if self._stopping.is_set():
            worker.stop()
        ready = asyncio.Event()
        announcing = asyncio.create_task(self._announce(worker, ready))
        try:
            exit_code = await worker.watch(ready)
        finally:
            announcing.cancel()
            del self._workers[number]
            forget_process(worker.pid, self._metrics_dir)
        if worker.refusal is not None:
            self._refusal = self._refusal or worker.refusal
            self._stopping.set()
        facts = {"worker": number, "worker_pid": worker.pid, "exit_code": exit_code}
        if self._stopping.is_set():
            log.info("worker.stopped", extra=facts)
        else:
            log.error("worker.died", extra=facts)
        return worker.ready_at is not None and self._clock.monotonic() - worker.ready_at >= _STEADY_S

    async def _announce(self, worker: WorkerProcess, ready: asyncio.Event) -> None:
        await ready.wait()
        log.info("worker.ready", extra={"worker": worker.number, "worker_pid": worker.pid})
        if all(state.ready for state in self._states()):
            log.info("gateway.ready", extra={"workers": self._plan.workers})

    def _states(self) -> list[WorkerState]:
        states = []
        for number in range(1, self._plan.workers + 1):
            worker = self._workers.get(number)
            if worker is None:
                states.append(WorkerState(number, None, False, None))
            else:
                ready = worker.is_ready and not self._stopping.is_set()
                states.append(WorkerState(number, worker.pid, ready, round(worker.beat_age_s, 3)))
        return states

    def _metrics(self) -> bytes:
        self._ready.set(sum(state.ready for state in self._states()))
        return generate_latest(self._registry) + exposition(self._metrics_dir)
