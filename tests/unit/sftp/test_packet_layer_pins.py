"""What packet_layer.py, packet_ciphers.py and transport.py replace or rely on is as it was read. Where one of these fails: read
the function again, compare it with ours, run the other tests of the layer, then write the new hash down."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import asyncssh
from asyncssh import channel, connection, encryption, mac
from asyncssh.crypto import chacha, cipher
import pytest

from eft.sftp_temp import packet_layer

READ = {
    connection.SSHConnection._recv_data: "fc4e0735191bb0fd",
    connection.SSHConnection._recv_pkthdr: "7adc4d88fe20593c",
    connection.SSHConnection._recv_packet: "b3daa22e9763eee9",
    connection.SSHConnection._finish_recv_packet: "e12d96db58b3524e",
    connection.SSHConnection.data_received: "b2d14a83b2604db6",
    connection.SSHConnection.connection_made: "e7b867af0f590a2c",
    connection.SSHConnection.send_packet: "fb9da7bec6dd395a",
    connection.SSHConnection._send: "c6698a37eb80f574",
    connection.SSHConnection._process_newkeys: "a0331fe3cfd09d0b",
    connection.SSHConnection.send_newkeys: "0b41234420373618",
    connection.SSHConnection._reset_keepalive_timer: "7a9157707c514524",
    connection.SSHConnection._force_close: "264b4367525f4f86",
    connection.SSHConnection._send_version: "ef838b54b482aa55",
    connection.SSHConnection._finish_userauth: "bd2146536318273d",
    connection.SSHConnection._send_deferred_packets: "c5ef8240853eb331",
    connection.listen: "e8dc27521bce5e87",
    connection.SSHServerConnection.reload_config: "d78b0be8399d5491",
    connection.SSHServerConnectionOptions.prepare: "72d1b32ec5b11078",
    channel.SSHChannel.write: "1045e20008469933",
    channel.SSHChannel._flush_send_buf: "3f11e9dc27c58b18",
    channel.SSHChannel._pause_resume_writing: "b05e507ca9fdeec9",
    channel.SSHChannel._process_data: "342490795c4b893c",
    channel.SSHChannel._process_window_adjust: "7a2e4c4998e0b496",
    channel.SSHChannel._accept_data: "33121e9e185c9850",
    channel.SSHChannel._deliver_data: "bd94ccbaa59ab510",
    channel.SSHChannel.send_packet: "00e81b763c8f3dd2",
    channel.SSHChannel._flush_recv_buf: "22d7ff2363a4d38d",
    channel.SSHChannel._cleanup: "5d0b2593194bbf4b",
    channel.SSHChannel.process_connection_close: "a9a665f08780e013",
    encryption.Encryption: "9c3073503ca53ca2",
    encryption.BasicEncryption: "15eeacf63ec90d6f",
    encryption.ETMEncryption: "ea0121ae1d035bc2",
    encryption.GCMEncryption: "d255f9e6b1fa73ee",
    encryption.ChachaEncryption: "5902581e97e59135",
    mac._HMAC: "1de8e893cd46a29c",
    cipher.BasicCipher: "2b6f818bf3219eb2",
    cipher.GCMCipher: "e389d2b5bed8eb41",
    chacha.ChachaCipher: "e678065d67f48c01",
    chacha.chacha20: "8fd99dfce8c7c885",
    chacha.poly1305_key: "c8627dfb53b0c702",
}


def test_the_library_is_the_version_that_was_read() -> None:
    assert asyncssh.__version__ == packet_layer.LIBRARY == "2.24.1"


@pytest.mark.parametrize("what", READ, ids=lambda what: what.__qualname__)
def test_its_source_is_the_one_that_was_read(what: Any) -> None:
    assert hashlib.sha256(inspect.getsource(what).encode()).hexdigest()[:16] == READ[what]


def test_on_another_version_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(asyncssh, "__version__", "2.24.2")
    monkeypatch.setattr(packet_layer, "_thread", type("Thread", (), {})())

    class Bare:
        """Has none of the names that are replaced: touching it would raise."""

    packet_layer.attach(Bare())  # type: ignore[arg-type]
    packet_layer.attach(Bare())  # type: ignore[arg-type]
    assert [record.reason for record in caplog.records] == ["asyncssh is not 2.24.1: the faster packet layer is off"]
