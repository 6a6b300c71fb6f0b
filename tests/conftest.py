"""What every test may use: `needs(…)`, `program(…)`, and a check that nothing is logged that the list of events does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import logging
import os
from pathlib import Path

import pytest

from eft.observability import StrictEvents
from tests.programs import find_program

_MISSING: dict[str, int] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("sftp", "strace")`: a missing program skips the test and says so; with CI set it fails the test."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    missing = [name for name in names if find_program(name) is None]
    if not missing:
        return
    why = f"not installed: {', '.join(missing)}; run `make test-deps`"
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    for name in missing:
        _MISSING[name] = _MISSING.get(name, 0) + 1
    pytest.skip(why)


LONG = ("browser", "interop", "stories", "crash", "properties", "security", "bench")
"""Directories whose files take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first: where several processes share the files out, none is left with a long one at the end."""
    rank = {name: place for place, name in enumerate(LONG)}
    root = Path(__file__).parent
    items.sort(key=lambda item: rank.get(item.path.relative_to(root).parts[0], len(LONG)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _MISSING:
        terminalreporter.section("NOT TESTED for want of programs; run `make test-deps`", red=True, bold=True)
        for name, count in sorted(_MISSING.items()):
            terminalreporter.line(f"{name}: {count} test(s) skipped", red=True)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """The path of a program that the test has declared with `needs`."""

    def path(name: str) -> str:
        found = find_program(name)
        assert found is not None, f"{name} is not installed: declare it with @pytest.mark.needs"
        return found

    return path


@pytest.fixture(autouse=True)
def only_known_events() -> Iterator[None]:
    """A log record of eft that is not from the closed list of events fails the test that caused it."""
    strict = StrictEvents()
    logger = logging.getLogger("eft")
    logger.addHandler(strict)
    yield
    logger.removeHandler(strict)
    assert not strict.faults, "; ".join(strict.faults)
