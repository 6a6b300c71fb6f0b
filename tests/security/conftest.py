"""What the security tests share: one region with the cases C-1 and C-2."""

from __future__ import annotations

from tests.contract.receive_path.conftest import site

__all__ = ["site"]
