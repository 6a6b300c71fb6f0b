"""What can be set about the door."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eft.sftp_temp.packet_layer import PIECES


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpSettings:
    """Settings of one gateway's SFTP door. Names end in their unit; what has none is a count.

    `settle_suspicious_s` is the quarantine of a file that ends where a cut transfer would leave it. `packet_pieces` are the
    parts of packet_layer.py that are on. Connections from the networks `proxy_protocol_from` begin with a PROXY header.
    """

    host_keys: tuple[Path, ...]
    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 0
    proxy_protocol_from: tuple[str, ...] = ()

    settle_s: float = 5.0
    settle_suspicious_s: float = 600.0

    login_timeout_s: float = 60.0
    keepalive_s: float = 30.0
    keepalive_unanswered: int = 3
    sweep_s: float = 0.5
    farewell_s: float = 0.25

    connections: int = 2000
    unauthenticated: int = 200
    unauthenticated_per_address: int = 50
    attempts_per_connection: int = 6
    keys_per_connection: int = 20
    failed_attempt_delay_s: float = 1.0
    failed_attempts_per_address: int = 30
    failed_attempts_per_account: int = 20
    failed_attempt_forgotten_after_s: float = 10.0
    channels_per_connection: int = 4
    handles_per_session: int = 64
    reorder_bytes: int = 2 * 1024 * 1024
    packet_pieces: frozenset[str] = PIECES
