"""What the control API is given: the services it speaks for, and the addresses it tells callers."""

from __future__ import annotations

from dataclasses import dataclass

from eft.accounts.launches import Launches
from eft.accounts.temporary import TemporaryAccounts
from eft.accounts.tokens import Tokens
from eft.audit.receipts import Receipts
from eft.cases.service import Cases
from eft.transfers.service import Transfers


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
    cases: Cases
    accounts: TemporaryAccounts
    tokens: Tokens
    transfers: Transfers
    launches: Launches
    receipts: Receipts


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where a temporary account signs in, and where browsers find the page (`page_url`, without a path). Fingerprints are as
    OpenSSH prints them: `SHA256:…`."""

    sftp_host: str
    sftp_port: int
    host_key_fingerprints: tuple[str, ...]
    page_url: str
