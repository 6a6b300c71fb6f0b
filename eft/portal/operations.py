"""The operations listener of the portal: `/healthz`, `/readyz` and `/metrics`, plain HTTP on 127.0.0.1."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eft.portal.database import Database


class Metrics:
    """What a portal counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "eft_portal_answers", "Answers, by the class of their status.", ["status"], registry=self.registry
        )
        self._sign_ins = Counter("eft_portal_sign_ins", "Tries to sign in, by outcome.", ["outcome"], registry=self.registry)
        self._gateways = Counter(
            "eft_portal_gateway_failures", "Pages that a gateway's silence spoiled.", ["region"], registry=self.registry
        )

    def answered(self, status: int) -> None:
        self._answers.labels(f"{status // 100}xx").inc()

    def signed_in(self, outcome: str) -> None:
        self._sign_ins.labels(outcome).inc()

    def gateway_down(self, region: str) -> None:
        self._gateways.labels(region).inc()


def operations_app(database: Database, metrics: Metrics) -> Starlette:
    """A portal is ready when its database answers: pages are shown, with a message, while a gateway is down."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        try:
            await database.run(lambda conn: conn.execute(select(1)).scalar_one())
        except SQLAlchemyError:
            return JSONResponse({"ready": False, "database": "does not answer"}, 503)
        return JSONResponse({"ready": True, "database": "answers"})

    async def show_metrics(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", show_metrics)])
