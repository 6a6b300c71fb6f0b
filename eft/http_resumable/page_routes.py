"""The addresses of the Transfer Files page, and what answers at each."""

from __future__ import annotations

from eft.accounts.launches import Launches
from eft.audit.receipts import Receipts
from eft.cases.service import Cases
from eft.domain.clock import Clock
from eft.domain.region import Region
from eft.http_resumable.callers import Callers
from eft.http_resumable.page import LAUNCH, TRANSFER, LaunchPage, TransferPage
from eft.http_resumable.page_assets import ASSETS, STATIC, Build, assets, read_build, static
from eft.http_resumable.page_cookies import PageCookie
from eft.http_resumable.page_files import CaseFiles
from eft.http_resumable.page_html import Pages
from eft.http_resumable.page_state import PageState
from eft.http_resumable.rates import Rates
from eft.http_resumable.wire import Handler
from eft.transfers import Transfers


def page_routes(
    *,
    launches: Launches,
    cases: Cases,
    transfers: Transfers,
    receipts: Receipts,
    callers: Callers,
    cookie: PageCookie,
    clock: Clock,
    region: Region,
    portal_url: str | None,
    build: Build | None = None,
    max_size: int | None = None,
    rates: Rates | None = None,
) -> dict[str, Handler]:
    """Handlers by path prefix. `build`: the script that the page loads; by default the one that was built into the package."""
    pages = Pages(portal_url=portal_url, region_title=region.title)
    state = PageState(cases=cases, transfers=transfers, region=region.name, portal_url=portal_url)
    return {
        LAUNCH: LaunchPage(launches=launches, cookie=cookie, pages=pages),
        TRANSFER: TransferPage(
            state=state,
            transfers=transfers,
            files=CaseFiles(transfers=transfers, cases=cases, receipts=receipts),
            callers=callers,
            cookie=cookie,
            pages=pages,
            build=read_build() if build is None else build,
            clock=clock,
            max_size=max_size,
            rates=rates,
        ),
        ASSETS: assets(),
        STATIC: static(),
    }
