"""The operations listener of a gateway: `/healthz`, `/readyz` and `/metrics` over HTTP, on 127.0.0.1 only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from aiohttp import web

from eft.domain.errors import UnsafeSetting

_ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker in the answer of `/readyz`; its age is in seconds since it was last heard from, None before it runs."""

    number: int
    pid: int | None
    ready: bool
    heartbeat_age_s: float | None


class Operations:
    """Answers from what the supervisor knows; asks no worker, so that it answers however busy they are."""

    def __init__(self, port: int, workers: Callable[[], list[WorkerState]], metrics: Callable[[], bytes]) -> None:
        self._port = port
        self._workers = workers
        self._metrics = metrics
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_page)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self) -> None:
        """Listens. Raises UnsafeSetting where the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, _ADDRESS, self._port, shutdown_timeout=1.0).start()
        except OSError as error:
            raise UnsafeSetting(
                f"The operations listener cannot listen on {_ADDRESS}, port {self._port}: {error.strerror}.",
                "Stop what listens there, or choose another operations.port.",
            ) from None

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        workers = self._workers()
        ready = all(worker.ready for worker in workers)
        return web.json_response(
            {"ready": ready, "workers": [asdict(worker) for worker in workers]}, status=200 if ready else 503
        )

    async def _metrics_page(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
