"""What the operating system refuses, in eft's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import errno

from eft.domain.errors import StorageFailed, StorageFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def translated() -> Iterator[None]:
    """Raises StorageFull or StorageFailed for an OSError inside. FileExistsError passes as it is: it answers a question."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise (StorageFull() if error.errno in _FULL else StorageFailed()) from error
