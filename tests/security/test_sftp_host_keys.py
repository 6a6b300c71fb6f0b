"""Host keys: a new one is announced before it is used, and what DNS may publish is what a client computes."""

from __future__ import annotations

from pathlib import Path
import shutil

import asyncssh
import pytest

from eft.sftp_temp.host_keys import generate_host_keys, sshfp_records
from tests.interop.sftp_clients import OpenSsh, run
from tests.unit.sftp.doors import keys, opened


@pytest.fixture
def old_and_new(tmp_path: Path) -> tuple[Path, ...]:
    """The keys of all tests, and an Ed25519 key that is to take over."""
    new = tmp_path / "new"
    new.mkdir(mode=0o700)
    shutil.copy(keys()[1], new / "ssh_host_rsa_key")  # It takes its time to make one.
    return (*keys(), generate_host_keys(new)[0])


def public_half(key: Path) -> str:
    return " ".join(asyncssh.read_private_key(str(key)).export_public_key().decode().split()[:2])


@pytest.mark.needs("sftp")
async def test_openssh_learns_a_new_key_from_the_old_one_and_then_takes_it(old_and_new: tuple[Path, ...], tmp_path: Path) -> None:
    old, rsa, new = old_and_new
    known = tmp_path / "known_hosts"
    strict = ("-oUpdateHostKeys=yes", "-oStrictHostKeyChecking=yes", f"-oUserKnownHostsFile={known}")
    async with opened(host_keys=(old, rsa, new)) as door:
        known.write_text(f"[127.0.0.1]:{door.port} {public_half(old)}\n")
        client = OpenSsh(tmp_path, door.port)
        ended = await run("sftp", *strict, *client.sftp_command[1:], stdin="ls\n", environment=client.environment)
        assert ended.code == 0, ended.said
        learnt = known.read_text()
        assert public_half(new) in learnt
        assert public_half(old) in learnt
        port = door.port
    async with opened(host_keys=(new, rsa), port=port) as door:
        ended = await run("sftp", *strict, *client.sftp_command[1:], stdin="ls\n", environment=client.environment)
        assert ended.code == 0, ended.said
        assert public_half(old) not in known.read_text()


@pytest.mark.needs("ssh-keygen")
async def test_sshfp_records_are_those_that_openssh_computes(tmp_path: Path) -> None:
    computed = []
    for key in keys():
        (tmp_path / "key.pub").write_text(public_half(key) + "\n")
        ended = await run("ssh-keygen", "-r", "gateway.example.", "-f", tmp_path / "key.pub")
        computed += [line for line in ended.said.splitlines() if line.split()[4] == "2"]
    assert sshfp_records("gateway.example", keys()) == computed
