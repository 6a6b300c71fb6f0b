"""What a peer may ask of the HTTP server before it is refused."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All limits of one server process. Sizes in bytes, spans in seconds of the monotonic clock.

    `header_bytes` leaves room for a final upload's list of 1,000 parts by their whole addresses.
    `drain_bytes`: how much of an unread body is discarded to keep a connection whose handler answered early; past that the
    connection is closed, but first up to `linger_bytes` or `linger_s` are discarded, so that the peer can see the answer
    instead of a reset.
    `minimum_rate` in bytes per second: what a peer must send, or read, over the window while it is waited for. 0: anything.
    `turned_away`: connections past `connections` that are still answered, with a refusal.
    """

    target_bytes: int = 8 * KIB
    header_bytes: int = 128 * KIB
    header_fields: int = 100
    trailer_bytes: int = 8 * KIB
    trailer_fields: int = 16
    chunk_line_bytes: int = 256
    head_s: float = 10.0
    keep_alive_s: float = 75.0
    minimum_rate: int = 512
    body_window_s: float = 30.0
    write_window_s: float = 60.0
    handshake_s: float = 10.0
    body_buffer_bytes: int = 1024 * KIB
    write_buffer_bytes: int = 512 * KIB
    drain_bytes: int = 256 * KIB
    linger_bytes: int = 64 * 1024 * KIB
    linger_s: float = 10.0
    goodbye_s: float = 1.0
    connections: int = 4096
    connections_per_address: int = 0
    turned_away: int = 64
    sweep_s: float = 0.5
    """How often spans are looked at; a limit in seconds is kept to within this."""
