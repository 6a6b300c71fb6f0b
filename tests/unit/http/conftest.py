"""A real server on loopback, with TLS, for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from eft.http_resumable.limits import Limits
from eft.http_resumable.wire import Handler
from tests.fixtures.tls import Certificates, RunningServer, make_certificates, running_server
from tests.unit.http.page_site import PageSite, page_site
from tests.unit.http.tus_site import TusSite, tus_site

Serve = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def serve(certificates: Certificates) -> Iterator[Serve]:
    """Starts a server for a handler: `serve(handler, head_s=0.3)`; keywords are limits."""
    with ExitStack() as stack:

        def start(handler: Handler, **limits: float) -> RunningServer:
            chosen = Limits(**{"sweep_s": 0.05, **limits})  # type: ignore[arg-type]
            return stack.enter_context(running_server(handler, certificates, chosen))

        yield start


@pytest.fixture
def site(certificates: Certificates, tmp_path: Path) -> Iterator[TusSite]:
    with tus_site(tmp_path, certificates) as made:
        yield made


@pytest.fixture
def pages(certificates: Certificates, tmp_path: Path) -> Iterator[PageSite]:
    with page_site(tmp_path, certificates) as made:
        yield made
