"""What goes wrong at a customer's, as one tree; each leaf has an exit code that scripts can rely on.

::

    ClientError                 1   anything that has no code of its own
    ├── Wrong                   2   the command itself is wrong
    ├── GaveUp                  3   the gateway could not be reached for too long
    ├── TokenRefused            4   the token is unknown or has expired
    ├── CaseRefuses             5   the case is closed, or the token may not do this
    ├── NotVerified             6   what arrived is not what was sent
    │   └── FileDiffers         6   the receipt is good, and is about other bytes
    ├── FileChanged             7   a file changed while it was being sent
    ├── NoRoom                  8   the gateway has no room now, or the file is larger than it takes
    ├── NotTrusted              9   the gateway's certificate does not verify
    ├── WrongGateway           10   the case is in another region
    ├── ReceiptBad             11   no receipt, or one whose signature does not verify
    ├── KeyUnknown             12   signed by a key that is not among the trusted ones, or there are none
    └── Interrupted           130   Ctrl-C

`Transient` is what another attempt may mend; it never leaves the client.
"""

from __future__ import annotations

from typing import ClassVar


class ClientError(Exception):
    """One sentence, what to do next, and whether the same command goes on where this one ended. `concerns_all`: no other file
    would fare better."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"
    concerns_all: ClassVar[bool] = False

    def __init__(self, detail: str, remedy: str = "") -> None:
        super().__init__(f"{detail} {remedy}".strip())
        self.detail = detail
        self.remedy = remedy


class Wrong(ClientError):
    exit_code = 2
    code = "usage"
    concerns_all = True


class GaveUp(ClientError):
    exit_code = 3
    code = "unreachable"
    concerns_all = True


class TokenRefused(ClientError):
    exit_code = 4
    code = "token-refused"
    concerns_all = True


class CaseRefuses(ClientError):
    exit_code = 5
    code = "case-refuses"
    concerns_all = True


class NotVerified(ClientError):
    exit_code = 6
    code = "not-verified"


class FileDiffers(NotVerified):
    code = "file-differs"


class FileChanged(ClientError):
    exit_code = 7
    code = "file-changed"


class NoRoom(ClientError):
    exit_code = 8
    code = "no-room"


class NotTrusted(ClientError):
    exit_code = 9
    code = "not-trusted"
    concerns_all = True


class WrongGateway(ClientError):
    exit_code = 10
    code = "wrong-gateway"
    concerns_all = True


class ReceiptBad(ClientError):
    exit_code = 11
    code = "receipt-bad"


class KeyUnknown(ClientError):
    exit_code = 12
    code = "key-unknown"


class Interrupted(ClientError):
    exit_code = 130
    code = "interrupted"
    concerns_all = True


class Missing(ClientError):
    """The gateway has no such upload or attachment (any more), for this token."""

    code = "missing"


class Transient(Exception):
    """Worth another attempt, `after_s` seconds from now at the earliest. `code`: the gateway's word for it, if it had one."""

    def __init__(self, why: str, after_s: float = 0.0, code: str = "") -> None:
        super().__init__(why)
        self.after_s = after_s
        self.code = code
