"""Customers who keep sending, over both doors, whatever happens to the gateway; and what each of them was promised."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
import logging
from pathlib import Path
import random
import threading
import time
from typing import Any

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from tests.fixtures.gateway import Gateway
from tests.stories.contents import MIB, Source, dense, noise
from tests.stories.sftp_customer import SftpCustomer
from tests.stories.tus_customer import GONE, Refused, TusCustomer, Upload

FSYNC = "fsync@openssh.com"
PATIENCE_S = 120.0
LOST = (paramiko.SSHException, NoValidConnectionsError, EOFError, ConnectionError, TimeoutError)
"""What paramiko's client ends with where the gateway does."""

logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass
class Promise:
    """A file that is being sent, and whether the gateway has said that it has all of it."""

    sha256: str
    size: int
    kept: bool = False


@dataclass
class Traffic:
    """What all customers of one case send. `promises` by name, each made before the first byte is sent; `failures` are
    answers that a client tries again after; `faults` is what no customer may ever see."""

    gateway: Gateway
    case: str
    token: str
    account: dict[str, Any]
    work: Path
    seed: int
    promises: dict[str, Promise] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    synced: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    lost: int = 0
    _enough: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number, way in enumerate((self.small, self.in_checked_parts, self.in_long_parts, self.by_paramiko, self.by_openssh)):
            thread = threading.Thread(target=self._keep_sending, args=(way, random.Random(self.seed + number)), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Every customer sends the file that it is at to its end."""
        self._enough.set()
        for thread in self._threads:
            thread.join(PATIENCE_S + 30)
            if thread.is_alive():
                self.faults.append("a customer never got through")

    # Over HTTPS.

    def small(self, chance: random.Random, number: int) -> None:
        """Whole files in one request; one that was not answered may be there or not, but never in part."""
        customer = TusCustomer(self.gateway, self.token)
        data = noise(chance.getrandbits(32), chance.choice((0, 1, 100, 5000, 32_768, 32_769, 65_536, 200_000)))
        name = f"small-{number}"
        (self.work / name).write_bytes(data)
        promise = self._promise(name, Source(self.work / name))
        try:
            customer.create(name, len(data), data)
            promise.kept = True
        except GONE:
            self.lost += 1
            time.sleep(0.05)
        finally:
            customer.hang_up()

    def in_checked_parts(self, chance: random.Random, number: int) -> None:
        self._send_parts(f"checked-{number}", chance.randrange(1, 20 * MIB), chance.randrange(50_000, 3 * MIB), True, chance)

    def in_long_parts(self, chance: random.Random, number: int) -> None:
        self._send_parts(f"long-{number}", chance.randrange(MIB, 60 * MIB), 25 * MIB, False, chance)

    def _send_parts(self, name: str, size: int, part: int, checksum: bool, chance: random.Random) -> None:
        source = dense(self.work / name, chance.getrandbits(32), size)
        promise = self._promise(name, source)
        customer = TusCustomer(self.gateway, self.token, timeout_s=30)
        upload = Upload(name, source)
        self.lost += customer.send_through_anything(upload, part=part, checksum=checksum, patience_s=PATIENCE_S)
        promise.kept = True
        customer.hang_up()

    # Over SFTP.

    def by_paramiko(self, chance: random.Random, number: int) -> None:
        """Asks for an fsync now and then, and counts on what was answered."""
        name = f"synced-{number}"
        source = dense(self.work / name, chance.getrandbits(32), chance.randrange(1, 12 * MIB))
        promise = self._promise(name, source)
        deadline = time.monotonic() + PATIENCE_S
        while not promise.kept:
            try:
                with self._signed_in() as ssh, ssh.open_sftp() as sftp:
                    self._go_on(sftp, name, source, chance)
                    promise.kept = True
            except (*LOST, OSError) as error:
                if time.monotonic() > deadline:
                    raise
                if not isinstance(error, LOST) and "Socket is closed" not in str(error):
                    self.failures.append(f"{name}: {error!r}")
                self.lost += 1
                time.sleep(0.1)

    def _go_on(self, sftp: paramiko.SFTPClient, name: str, source: Source, chance: random.Random) -> None:
        channel = sftp.get_channel()
        assert channel is not None
        channel.settimeout(30)
        at = 0
        with suppress(FileNotFoundError):
            at = sftp.stat(name).st_size or 0
        sure = self.synced.get(name, 0)
        if at < sure:
            self.faults.append(f"{name}: {sure} bytes were synced, {at} are there")
        file = sftp.open(name, "ab")
        while at < source.size:
            stop = min(at + chance.randrange(1, MIB), source.size)
            file.write(source.read(at, stop))
            at = stop
            if chance.random() < 0.3:
                sftp._request(paramiko.sftp.CMD_EXTENDED, FSYNC, file.handle)
                self.synced[name] = at
        file.close()

    def _signed_in(self) -> paramiko.SSHClient:
        ssh = paramiko.SSHClient()
        ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        told = {"username": self.account["username"], "password": self.account["password"]}
        port = self.gateway.sftp_port
        ssh.connect(
            "127.0.0.1", port, look_for_keys=False, allow_agent=False, timeout=30, banner_timeout=30, auth_timeout=30, **told
        )
        return ssh

    def by_openssh(self, chance: random.Random, number: int) -> None:
        """`put`, and `reput` until it succeeds."""
        name = f"put-{number}"
        source = dense(self.work / name, chance.getrandbits(32), chance.randrange(1, 40 * MIB))
        promise = self._promise(name, source)
        customer = SftpCustomer(self.gateway, self.work, self.account)
        deadline = time.monotonic() + PATIENCE_S
        command = "put"
        while (said := customer.run(f"{command} {source.path}")).code != 0:
            self.lost += 1
            # It does not resume what is not there, nor what is there in full and was not closed.
            command = "put" if "No such file" in said.text or "same size" in said.text else "reput"
            assert time.monotonic() < deadline, f"{name} never got through: {said.text}"
            time.sleep(0.1)
        promise.kept = True

    # What all of them do.

    def _keep_sending(self, way: Callable[[random.Random, int], None], chance: random.Random) -> None:
        number = 0
        while not self._enough.is_set():
            try:
                way(chance, number)
            except (AssertionError, Refused, OSError, paramiko.SSHException) as error:
                self.faults.append(f"{way.__name__} {number}: {error!r}")
                time.sleep(0.5)
            except Exception as error:
                self.faults.append(f"{way.__name__} {number}: {error!r}")
                raise
            number += 1

    def _promise(self, name: str, source: Source) -> Promise:
        promise = Promise(source.sha256, source.size)
        self.promises[name] = promise
        return promise
