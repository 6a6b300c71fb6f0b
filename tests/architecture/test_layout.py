"""Rules of the repository that no linter has."""

from __future__ import annotations

import ast
from pathlib import Path
import re
import subprocess
import sys
import tomllib

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "eft").rglob("*.py"))
LONGEST = 400
NAMELESS = {"utils", "util", "helpers", "helper", "managers", "manager", "misc"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_point_one_way() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST, "a file this long usually holds two"
    assert path.stem not in NAMELESS, "name it after what it is"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_nothing_is_left_open(path: Path) -> None:
    left = re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text())
    assert left is None, left and left.group()


@pytest.mark.parametrize(
    "code",
    [
        "from datetime import datetime\n\nprint(datetime.now())\n",
        "import datetime\n\nprint(datetime.datetime.utcnow())\n",
        "import time\n\nprint(time.time())\n",
        "from time import monotonic\n\nprint(monotonic())\n",
    ],
)
def test_only_the_system_clock_may_ask_for_the_time(code: str) -> None:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--select",
        "TID251",
        "--stdin-filename",
        "eft/domain/case.py",
        "-",
    ]
    assert subprocess.run(command, cwd=ROOT, input=code, text=True, capture_output=True, check=False).returncode == 1


def test_every_name_that_is_logged_is_in_the_list_of_events() -> None:
    from eft.observability import FIELDS, Event

    events = {str(event) for event in Event}
    for path in SOURCES:
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if not (isinstance(call.func.value, ast.Name) and call.func.value.id in ("log", "logger")):
                continue
            if call.func.attr not in ("debug", "info", "warning", "error", "exception", "critical"):
                continue
            assert isinstance(call.args[0], ast.Constant), f"{relative(path)}:{call.lineno}: an event's name is a literal"
            assert call.args[0].value in events, f"{relative(path)}:{call.lineno}: {call.args[0].value!r} is not an event"
            extras = [word.value for word in call.keywords if word.arg == "extra" and isinstance(word.value, ast.Dict)]
            for extra in extras:
                named = {key.value for key in extra.keys if isinstance(key, ast.Constant)}
                assert named <= FIELDS, f"{relative(path)}:{call.lineno}: {named - FIELDS} are not fields"


def test_make_help_lists_every_target() -> None:
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert targets == set(re.findall(r"^  make (\S+)", listed, re.MULTILINE))
    assert {"setup", "test", "lint", "demo", "stop", "bench", "soak"} <= targets


def test_make_alone_is_make_help() -> None:
    def run(*target: str) -> str:
        return subprocess.run(
            ["make", "--no-print-directory", *target], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    assert run() == run("help")


@pytest.mark.parametrize("lock", sorted((ROOT / "locks").glob("*.txt")), ids=relative)
def test_a_lock_pins_everything_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index-url" not in text
    for requirement in re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).strip()):
        assert re.match(r"[a-z0-9-]+==\S+ ", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_locks_have_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in requirements}

    def locked(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "locks" / name).read_text(), re.MULTILINE))

    runtime, dev = names(project["project"]["dependencies"]), names(project["dependency-groups"]["dev"])
    assert runtime <= locked("runtime.txt")
    assert runtime | dev <= locked("dev.txt")


def test_every_setting_is_described_on_its_page() -> None:
    from eft import config

    page = (ROOT / "docs" / "settings.md").read_text()
    described = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", page, re.MULTILINE))
    assert described == set(config.setting_names())


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))], ids=relative)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_what_the_architecture_page_names_exists() -> None:
    for named in re.findall(r"`((?:eft|regions|tests|docs)/[^`]*)`", (ROOT / "docs" / "architecture.md").read_text()):
        assert list(ROOT.glob(named.rstrip("/"))), named
