"""Signing in with a registered public key: real programs, a real gateway, keys as those programs make them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
import json
import os
from pathlib import Path
import sqlite3
import subprocess
import time
from typing import Any

import asyncssh
import paramiko
import pytest

from tests.fixtures.gateway import Gateway
from tests.programs import cannot

pytestmark = [pytest.mark.needs("ssh-keygen"), pytest.mark.timeout(300)]

JS = Path(__file__).parent / "js"
CASE = "CS-1"
CONTENT = os.urandom(300_001)
KINDS = {"ed25519": (), "ecdsa": ("-b", "256"), "rsa": ("-b", "2048")}
PATIENCE_S = 120


@dataclass
class Holder:
    """Who has the account, and the keys: `key` is registered, `stranger` is not."""

    gateway: Gateway
    work: Path
    user: str
    password: str

    @property
    def port(self) -> int:
        return self.gateway.sftp_port

    def key(self, kind: str = "ed25519") -> Path:
        return self.work / kind

    @property
    def stranger(self) -> Path:
        return self.work / "stranger"

    def run(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        told = {**os.environ, "HOME": str(self.work), "SSH_AUTH_SOCK": "", **environment}
        return subprocess.run(
            [str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, env=told
        )

    def ssh(self, program: str, key: Path, *more: str) -> list[str]:
        told = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
        )
        return [program, "-F", "/dev/null", "-i", str(key), *(word for each in told for word in ("-o", each)), *more]

    def has(self, name: str) -> bool:
        """Whether the gateway has the file, byte for byte as long as it was; waits for it to settle."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            sizes = {each["name"]: each["size"] for each in self.gateway.attachments(CASE)}
            if name in sizes:
                return bool(sizes[name] == len(CONTENT))
            time.sleep(0.1)
        return False


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    work = tmp_path_factory.mktemp("holder")
    gateway = Gateway(work / "gateway", settings="[uploads]\nsettle_s = 0.2\nsettle_suspicious_s = 0.2\n")
    try:
        gateway.start()
        gateway.open_case(CASE)
        account = gateway.call("POST", f"cases/{CASE}/sftp-account")
        for name, options in {**KINDS, "stranger": ()}.items():
            kind = "ed25519" if name == "stranger" else name
            command = ["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", name, "-f", str(work / name)]
            subprocess.run(command, check=True, timeout=PATIENCE_S)
            if name != "stranger":
                text = (work / f"{name}.pub").read_text()
                gateway.call("POST", f"cases/{CASE}/sftp-account/keys", {"public_key": text})
        (work / "source").write_bytes(CONTENT)
        yield Holder(gateway, work, account["username"], account["password"])
    finally:
        gateway.stop()


def openssh(holder: Holder, key: Path, name: str, back: Path) -> bool:
    batch = holder.work / f"batch-{name}"
    batch.write_text(f"put {holder.work}/source {name}\nget {name} {back}\n")
    command = holder.ssh("sftp", key, "-b", str(batch), "-P", str(holder.port), f"{holder.user}@127.0.0.1")
    return holder.run(*command).returncode == 0


def scp(holder: Holder, key: Path, name: str, back: Path) -> bool:
    command, remote = holder.ssh("scp", key, "-q", "-P", str(holder.port)), f"{holder.user}@127.0.0.1:{name}"
    return all(holder.run(*command, *pair).returncode == 0 for pair in ((holder.work / "source", remote), (remote, back)))


def psftp(holder: Holder, key: Path, name: str, back: Path) -> bool:
    ppk, batch = holder.work / f"{key.name}.ppk", holder.work / f"psftp-{name}"
    if not ppk.exists():
        assert holder.run("puttygen", key, "-O", "private", "-o", ppk).returncode == 0
    batch.write_text(f"put {holder.work}/source {name}\nget {name} {back}\n")
    known = holder.gateway.call("GET", f"cases/{CASE}/sftp-account?password=false")["host_key_fingerprints"]
    hosts = [word for fingerprint in known for word in ("-hostkey", fingerprint)]
    command = ["psftp", "-batch", *hosts, "-i", ppk, "-P", str(holder.port), "-b", batch, f"{holder.user}@127.0.0.1"]
    return holder.run(*command).returncode == 0


def lftp(holder: Holder, key: Path, name: str, back: Path) -> bool:
    connect = " ".join(holder.ssh("ssh", key, "-a", "-x"))
    told = (
        f'set sftp:connect-program "{connect}"',
        "set net:max-retries 1",
        "set cmd:fail-exit yes",
        f"open -u {holder.user},x -p {holder.port} sftp://127.0.0.1",
        f"put {holder.work}/source -o {name}",
        f"get {name} -o {back}",
    )
    return holder.run("lftp", "--norc", "-c", "; ".join(told)).returncode == 0


def rclone(holder: Holder, key: Path, name: str, back: Path) -> bool:
    told = [
        "--config=/dev/null",
        "--retries=1",
        "--low-level-retries=1",
        "--sftp-host=127.0.0.1",
        f"--sftp-port={holder.port}",
        f"--sftp-user={holder.user}",
        f"--sftp-key-file={key}",
    ]
    put = holder.run("rclone", *told, "copyto", holder.work / "source", f":sftp:{name}")
    return put.returncode == 0 and holder.run("rclone", *told, "copyto", f":sftp:{name}", back).returncode == 0


def with_paramiko(holder: Holder, key: Path, name: str, back: Path) -> bool:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    try:
        client.connect(
            "127.0.0.1",
            holder.port,
            holder.user,
            key_filename=str(key),
            allow_agent=False,
            look_for_keys=False,
            timeout=PATIENCE_S,
            banner_timeout=PATIENCE_S,
            auth_timeout=PATIENCE_S,
        )
        sftp = client.open_sftp()
        sftp.put(str(holder.work / "source"), name)
        sftp.get(name, str(back))
    except paramiko.AuthenticationException:
        return False
    finally:
        client.close()
    return True


def ssh2(holder: Holder, key: Path, name: str, back: Path) -> bool:
    asked = {
        "port": holder.port,
        "user": holder.user,
        "methods": ["publickey"],
        "privateKey": key.read_text(),
        "steps": [["put", str(holder.work / "source"), name], ["get", name, str(back)]],
    }
    return holder.run("node", JS / "sftp.mjs", json.dumps(asked)).returncode == 0


def with_asyncssh(holder: Holder, key: Path, name: str, back: Path) -> bool:
    async def work() -> None:
        async with (
            asyncssh.connect(
                "127.0.0.1",
                holder.port,
                username=holder.user,
                client_keys=[str(key)],
                preferred_auth="publickey",
                known_hosts=None,
                config=None,
                agent_path=None,
            ) as connection,
            connection.start_sftp_client() as sftp,
        ):
            await sftp.put(str(holder.work / "source"), name)
            await sftp.get(name, str(back))

    try:
        asyncio.run(work())
    except asyncssh.PermissionDenied:
        return False
    return True


Client = Callable[[Holder, Path, str, Path], bool]
CLIENTS: list[Any] = [
    pytest.param(openssh, id="OpenSSH sftp", marks=pytest.mark.needs("sftp")),
    pytest.param(scp, id="OpenSSH scp", marks=pytest.mark.needs("scp")),
    pytest.param(psftp, id="PSFTP", marks=pytest.mark.needs("psftp", "puttygen")),
    pytest.param(lftp, id="lftp", marks=pytest.mark.needs("lftp", "ssh")),
    pytest.param(rclone, id="rclone", marks=pytest.mark.needs("rclone")),
    pytest.param(with_paramiko, id="paramiko"),
    pytest.param(ssh2, id="ssh2", marks=pytest.mark.needs("node")),
    pytest.param(with_asyncssh, id="asyncssh"),
]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_program_sends_and_gets_with_each_kind_of_key_and_is_refused_with_another(
    holder: Holder, client: Client, tmp_path: Path
) -> None:
    if client is ssh2 and not (JS / "node_modules" / "ssh2").is_dir():
        cannot("ssh2 is not installed: run `make setup`")
    for kind in KINDS:
        name, back = f"{client.__name__}-{kind}", tmp_path / kind
        assert client(holder, holder.key(kind), name, back), kind
        assert back.read_bytes() == CONTENT
        assert holder.has(name)
    assert not client(holder, holder.stranger, f"{client.__name__}-stranger", tmp_path / "stranger")
    assert not (tmp_path / "stranger").exists()


@pytest.mark.needs("sftp")
def test_who_signed_in_by_which_key_and_what_was_read_is_in_the_audit_log(holder: Holder, tmp_path: Path) -> None:
    gateway = holder.gateway
    gateway.open_case("CS-3")
    account = gateway.call("POST", "cases/CS-3/sftp-account")
    own = Holder(gateway, holder.work, account["username"], account["password"])
    key = gateway.call("POST", "cases/CS-3/sftp-account/keys", {"public_key": Path(f"{own.key()}.pub").read_text()})
    given = gateway.call("POST", "cases/CS-3/attachments?name=fix.bin", CONTENT)
    batch = tmp_path / "batch"
    batch.write_text(f"cd from-support\nls -l\nget fix.bin {tmp_path}/back\n")
    command = own.ssh("sftp", own.key(), "-b", str(batch), "-P", str(own.port), f"{own.user}@127.0.0.1")
    assert own.run(*command).returncode == 0
    assert own.run(*own.ssh("sftp", own.stranger, "-b", str(batch), "-P", str(own.port), f"{own.user}@127.0.0.1")).returncode != 0

    def told(action: str) -> list[tuple[str, str, str, dict[str, object]]]:
        with closing(sqlite3.connect(gateway.directory / "data" / "us" / "eft.db")) as database:
            query = "SELECT actor, subject, outcome, detail FROM audit WHERE case_id = 'CS-3' AND action = ?"
            return [(*row[:3], json.loads(row[3])) for row in database.execute(query, (action,))]

    until = time.monotonic() + PATIENCE_S
    while not told("attachment.download") and time.monotonic() < until:
        time.sleep(0.1)
    who = f"sftp:{own.user}"
    assert told("attachment.download") == [(who, given["id"], "done", {"served": len(CONTENT), "whole": True})]
    ((actor, _, outcome, detail),) = told("account.sign-in")
    assert (actor, outcome, detail) == (who, "done", {"public_key": key["fingerprint"]})


@pytest.mark.needs("puttygen")
@pytest.mark.parametrize("shown", [("-O", "public-openssh"), ("-O", "public"), ("-L",)], ids=" ".join)
def test_what_puttygen_shows_is_the_same_key(holder: Holder, shown: tuple[str, ...]) -> None:
    text = holder.run("puttygen", holder.key(), *shown).stdout
    registered = holder.gateway.call("GET", f"cases/{CASE}/sftp-account/keys")["items"]
    again = holder.gateway.call("POST", f"cases/{CASE}/sftp-account/keys", {"public_key": text})
    assert again["id"] in {key["id"] for key in registered}


@pytest.mark.needs("sftp")
def test_openssh_asks_with_every_key_it_has_and_then_for_the_password(holder: Holder) -> None:
    """As on a machine with many keys, none of them registered."""
    ask = holder.work / "askpass"
    ask.write_text(f"#!/bin/sh\necho {holder.password}\n")
    ask.chmod(0o700)
    keys = []
    for number in range(8):
        keys.append(holder.work / f"other-{number}")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys[-1])], check=True, timeout=PATIENCE_S)
    command = holder.ssh("sftp", holder.stranger)
    command[command.index("BatchMode=yes")] = "NumberOfPasswordPrompts=1"
    batch = holder.work / "pwd"
    batch.write_text("pwd\n")
    command += [word for key in keys for word in ("-i", str(key))]
    command += ["-o", "BatchMode=no", "-b", str(batch), "-P", str(holder.port), f"{holder.user}@127.0.0.1"]
    ended = holder.run(*command, SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force", DISPLAY="none")
    assert ended.returncode == 0, ended.stderr
    assert "/" in ended.stdout


@pytest.mark.needs("ssh", "sftp")
def test_sha_1_and_certificates_open_nothing(holder: Holder, tmp_path: Path) -> None:
    target = ["-P", str(holder.port), f"{holder.user}@127.0.0.1"]
    old = holder.run(*holder.ssh("sftp", holder.key("rsa"), "-o", "PubkeyAcceptedAlgorithms=ssh-rsa", *target))
    assert old.returncode != 0
    signed = ["ssh-keygen", "-q", "-s", str(holder.key()), "-I", "x", "-n", holder.user, str(holder.stranger) + ".pub"]
    subprocess.run(signed, check=True, timeout=PATIENCE_S)
    certificate = Path(f"{holder.stranger}-cert.pub")
    try:
        assert holder.run(*holder.ssh("sftp", holder.stranger, "-o", f"CertificateFile={certificate}", *target)).returncode != 0
    finally:
        certificate.unlink()


@pytest.mark.needs("sftp")
def test_a_removed_key_and_an_ended_account_open_nothing(holder: Holder, tmp_path: Path) -> None:
    """With `eft account key`, as an operator does it, in a case of its own."""
    gateway = holder.gateway
    gateway.open_case("CS-2")
    account = gateway.call("POST", "cases/CS-2/sftp-account")
    own = Holder(gateway, holder.work, account["username"], account["password"])
    batch = tmp_path / "pwd"
    batch.write_text("pwd\n")

    def opens() -> bool:
        command = own.ssh("sftp", own.stranger, "-b", str(batch), "-P", str(own.port), f"{own.user}@127.0.0.1")
        return own.run(*command).returncode == 0

    assert not opens()
    added = json.loads(gateway.eft("account", "key", "add", "CS-2", f"{own.stranger}.pub", "--json"))
    assert opens()
    listed = json.loads(gateway.eft("account", "key", "list", "CS-2", "--json"))["keys"]
    assert [key["fingerprint"] for key in listed] == [added["fingerprint"]]
    gateway.eft("account", "key", "remove", "CS-2", added["fingerprint"])
    assert not opens()
    gateway.eft("account", "key", "add", "CS-2", f"{own.stranger}.pub")
    assert opens()
    gateway.call("DELETE", "cases/CS-2/sftp-account")
    assert not opens()
