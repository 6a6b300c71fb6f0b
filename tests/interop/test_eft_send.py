"""`eft send` and `eft fetch` as a customer runs them, to a real gateway over TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import hashlib
import json
import os
from pathlib import Path
import pty
import secrets
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.fixtures.gateway import EFT, Gateway
from tests.interop.connect_proxy import ConnectProxy

MIB = 1024 * 1024

pytestmark = pytest.mark.timeout(110)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us").start()
    yield made
    made.stop()


@pytest.fixture
def slow_line() -> Iterator[ConnectProxy]:
    proxy = ConnectProxy(rate=16 * MIB)
    yield proxy
    proxy.close()


class Customer:
    """A shell at a customer's, in a directory of its own."""

    def __init__(self, gateway: Gateway, directory: Path) -> None:
        self.gateway, self.directory = gateway, directory
        self.case = gateway.open_case(f"CS-{secrets.token_hex(4)}")
        self.token = gateway.upload_token(self.case)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "XDG_STATE_HOME": str(directory / "state"),
            "EFT_CA": str(gateway.ca),
            "EFT_TOKEN": self.token,
        }

    def file(self, name: str, size: int) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
        return path

    def send(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("send", *words, "--to", self.gateway.url, **options)

    def run(self, *words: str, **more: str | bytes) -> subprocess.CompletedProcess[str]:
        data = more.pop("data", None)
        return subprocess.run(
            [str(EFT), *words],
            cwd=self.directory,
            env=self.environment | {key: str(value) for key, value in more.items()},
            capture_output=True,
            text=data is None,
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            timeout=100,
        )

    def begin(self, *words: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(EFT), "send", *words, "--to", self.gateway.url],
            cwd=self.directory,
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until_sent(self, size: int) -> None:
        """Returns when the gateway has that many bytes of what is not finished."""
        deadline = time.monotonic() + 30
        while True:
            found = self.gateway.call("GET", f"cases/{self.case}/uploads")["items"]
            if any(each["offset"] >= size for each in found):
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def listed(self) -> dict[str, str]:
        return {each["name"]: each["sha256"] for each in self.gateway.attachments(self.case)}


@pytest.fixture
def customer(gateway: Gateway, tmp_path: Path) -> Customer:
    return Customer(gateway, tmp_path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_folders_and_standard_input_arrive_and_come_back_byte_for_byte(customer: Customer) -> None:
    sent = {
        "big.bin": customer.file("big.bin", 40 * MIB + 7),
        "logs/a b.log": customer.file("logs/a b.log", 3 * MIB),
        "logs/deep/ä.txt": customer.file("logs/deep/ä.txt", 11),
        "logs/empty": customer.file("logs/empty", 0),
    }
    (customer.directory / "logs/link").symlink_to("/etc/passwd")
    done = customer.send("big.bin", "logs")
    assert (done.returncode, "verified" in done.stderr, "link: left out" in done.stderr) == (0, True, True), done.stderr
    piped = os.urandom(32 * MIB)
    for name, data in {"piped": piped, "piped nothing": b""}.items():
        assert customer.send("-", "--name", name, data=data).returncode == 0
    expected = {name: sha256(path) for name, path in sent.items()}
    expected |= {"piped": hashlib.sha256(piped).hexdigest(), "piped nothing": hashlib.sha256(b"").hexdigest()}
    assert customer.listed() == expected
    fetched = customer.run("fetch", "--from", customer.gateway.url, "--all", "--to", "got", "--json")
    assert {each["name"] for each in json.loads(fetched.stdout)["files"]} == set(expected)
    assert {name: sha256(customer.directory / "got" / name) for name in expected} == expected


def test_after_ctrl_c_on_a_terminal_the_same_command_goes_on(customer: Customer, slow_line: ConnectProxy) -> None:
    path = customer.file("core.dump", 96 * MIB)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(customer.directory)
        words = [str(EFT), "send", "core.dump", "--to", customer.gateway.url, "--proxy", slow_line.url]
        os.execve(words[0], words, {**customer.environment, "TERM": "xterm"})
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(terminal, 65536):
                shown.extend(piece)
        except OSError:
            return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    customer.until_sent(16 * MIB)
    os.kill(pid, signal.SIGINT)
    _, status = os.waitpid(pid, 0)
    reader.join(5)
    assert os.waitstatus_to_exitcode(status) == 130, bytes(shown[-2000:])
    assert b"Run the same command again" in shown
    assert customer.token.encode() not in shown
    state = list((customer.directory / "state").rglob("*.json"))
    assert [file.stat().st_mode & 0o777 for file in state] == [0o600]
    assert customer.token not in state[0].read_text()
    again = customer.send("core.dump", "--json")
    (told,) = json.loads(again.stdout)["files"]
    assert told["resumed"] >= 16 * MIB
    assert customer.listed() == {"core.dump": sha256(path)} == {"core.dump": told["sha256"]}


def test_another_file_of_the_same_name_size_and_ends_is_not_spliced_on(customer: Customer, slow_line: ConnectProxy) -> None:
    path = customer.file("trace.bin", 64 * MIB)
    running = customer.begin("trace.bin", "--proxy", slow_line.url)
    customer.until_sent(8 * MIB)
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    with path.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(os.urandom(MIB))
    again = customer.send("trace.bin", "--json")
    assert json.loads(again.stdout)["files"][0]["resumed"] == 0
    assert customer.listed() == {"trace.bin": sha256(path)}


def test_kills_of_the_gateway_and_cuts_of_the_line_cost_nothing_but_time(customer: Customer, slow_line: ConnectProxy) -> None:
    path = customer.file("big.bin", 96 * MIB)
    running = customer.begin("big.bin", HTTPS_PROXY=slow_line.url)
    customer.until_sent(8 * MIB)
    customer.gateway.kill()
    time.sleep(0.5)
    customer.gateway.start()
    customer.until_sent(24 * MIB)
    slow_line.cut()
    slow_line.rate = None
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert customer.listed() == {"big.bin": sha256(path)}


def test_the_environment_says_which_proxy_and_where_there_is_none(customer: Customer) -> None:
    customer.file("x", 5)
    proxy = ConnectProxy()
    try:
        assert customer.send("x", HTTPS_PROXY=proxy.url, NO_PROXY="localhost").returncode == 0
        assert proxy.asked == []
        assert customer.send("x", HTTPS_PROXY=proxy.url).returncode == 0
        assert proxy.asked[0] == f"localhost:{customer.gateway.https_port}"
    finally:
        proxy.close()


def test_the_token_comes_from_a_file_a_variable_or_standard_input_and_is_no_argument(customer: Customer) -> None:
    customer.file("x", 5)
    token = customer.environment.pop("EFT_TOKEN")
    assert customer.send("x").returncode == 2
    (customer.directory / "token.txt").write_text(f"{token}\n")
    assert customer.send("x", "--token-file", "token.txt").returncode == 0
    assert customer.send("x", "--token-file", "-", data=token.encode()).returncode == 0
    assert customer.send("x", EFT_TOKEN=token).returncode == 0
    assert b"--token " not in subprocess.run([str(EFT), "send", "--help"], capture_output=True, check=True).stdout


def test_every_refusal_has_a_code_a_sentence_and_a_remedy(customer: Customer) -> None:
    path = customer.file("x", 5)
    refusals = {
        4: customer.send("x", EFT_TOKEN="us-unknown"),
        9: customer.send("x", EFT_CA=""),
        3: customer.run("send", "x", "--to", "https://localhost:9", "--give-up-after", "1s"),
        2: customer.send("y"),
    }
    for code, done in refusals.items():
        assert done.returncode == code, (code, done.stderr)
        assert done.stderr.startswith("eft: ") or "\neft: " in done.stderr
        assert "Traceback" not in done.stderr
    customer.gateway.call("POST", f"cases/{customer.case}/close", {"sub_status": "resolved", "comment": ""})
    closed = customer.send(str(path), "--json")
    assert (closed.returncode, json.loads(closed.stdout)["code"]) == (5, "case-refuses")
    assert "closed" in json.loads(closed.stdout)["detail"]


def test_a_file_that_changes_meanwhile_is_refused(customer: Customer, slow_line: ConnectProxy) -> None:
    path = customer.file("growing.log", 64 * MIB)
    running = customer.begin("growing.log", "--proxy", slow_line.url)
    customer.until_sent(8 * MIB)
    with path.open("ab") as file:
        file.write(b"more")
    _, said = running.communicate(timeout=30)
    assert (running.returncode, "changed" in said) == (7, True), said
    assert customer.listed() == {}


def test_a_download_goes_on_and_replaces_nothing(customer: Customer) -> None:
    path = customer.file("back.bin", 9 * MIB)
    assert customer.send("back.bin").returncode == 0
    got = customer.directory / "got"
    got.mkdir()
    (got / "back.bin.part").write_bytes(path.read_bytes()[: 4 * MIB])
    fetch = ("fetch", "back.bin", "--from", customer.gateway.url, "--to", "got")
    assert customer.run(*fetch).returncode == 0
    assert sha256(got / "back.bin") == sha256(path)
    (got / "back.bin").write_bytes(b"mine")
    assert customer.run(*fetch).returncode == 1
    assert (got / "back.bin").read_bytes() == b"mine"
    (got / "back.bin.part").write_bytes(b"of another file")
    assert customer.run(*fetch, "--force").returncode == 0
    assert sha256(got / "back.bin") == sha256(path)


def test_two_thousand_small_files_arrive(customer: Customer) -> None:
    for number in range(2000):
        customer.file(f"many/{number % 20}/{number}.txt", number % 50)
    done = customer.send("many", "--json", "--parallel", "4")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["files"]) == 2000
    assert len(customer.listed()) == 2000


BLOCKED = """
import sys
blocked = {blocked!r}
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hook())
for name in blocked:
    sys.modules.pop(name, None)
import importlib, pkgutil, eft.client
for module in pkgutil.iter_modules(eft.client.__path__):
    importlib.import_module("eft.client." + module.name)
from eft.cli.main import main
main()
"""
SERVERS = [
    *("alembic", "argon2", "asyncssh", "fastapi", "httptools", "httpx", "itsdangerous", "jinja2", "prometheus_client", "psycopg"),
    *("pydantic", "python_multipart", "sqlalchemy", "starlette", "uvicorn", "uvloop", "wtforms", "zipstream", "aiosmtplib"),
]
NOT_ON_WINDOWS = ["fcntl", "pwd", "grp", "resource", "termios", "tty", "pty"]


@pytest.mark.parametrize("blocked", [SERVERS, NOT_ON_WINDOWS], ids=["servers", "windows"])
def test_the_customers_commands_need_nothing_of_a_servers_and_nothing_that_windows_lacks(blocked: list[str]) -> None:
    run: Callable[..., Any] = lambda *words: subprocess.run(  # noqa: E731
        [sys.executable, "-c", BLOCKED.format(blocked=blocked), *words], capture_output=True, text=True, timeout=60
    )
    for command in ("send", "fetch"):
        done = run(command, "--help")
        assert (done.returncode, "Exit codes" in done.stdout) == (0, True), done.stderr
    if blocked is SERVERS:
        refused = run("serve", "--config", "x")
        assert (refused.returncode, "Install eft[server]" in refused.stderr) == (1, True), refused.stderr
