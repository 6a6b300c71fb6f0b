"""OpenSSH's client is steered to AES-GCM.

In SSH the client's order decides (RFC 4253 §7.1), and OpenSSH's has chacha20-poly1305 and AES-CTR before AES-GCM, which costs
this process two thirds of the CPU of either, and the client less too. So a client that says it is OpenSSH is answered only when
it has sent its own KEXINIT, which OpenSSH does without waiting for ours: if it has AES-GCM, it is offered nothing else. One that
was told to use another cipher, and every other client, is offered the whole list (PuTTY 0.78 and libssh2 1.10 have no AES-GCM).

asyncssh 2.24.1 has no public way to do so; the private names below are used in this file alone, and
tests/unit/sftp/test_steering.py fails loudly where they are gone. Without this file everything works as before, and slower.
"""

from __future__ import annotations

from typing import Any

import asyncssh

GCM = (b"aes128-gcm@openssh.com", b"aes256-gcm@openssh.com")
SEALED_MACS = (b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-512-etm@openssh.com")
"""Over the ciphertext. AES-GCM has no use for them; the others, over the plaintext, are for libssh2 and not for OpenSSH."""


def steer(connection: asyncssh.SSHServerConnection) -> None:
    """Narrows what the connection offers, where that suits the client. Call before anything was received."""
    private: dict[str, Any] = vars(connection)
    receive_version, send_kexinit = private["_recv_handler"], connection._send_kexinit
    waits = False

    def send() -> None:
        nonlocal waits
        if not private["_client_kexinit"] and "OpenSSH" in connection.get_extra_info("client_version", ""):
            waits = True
            return
        if waits and any(name in private["_client_kexinit"] for name in GCM):
            private["_enc_algs"] = [name for name in private["_enc_algs"] if name in GCM] or private["_enc_algs"]
            if any(name in private["_client_kexinit"] for name in SEALED_MACS):
                private["_mac_algs"] = [name for name in private["_mac_algs"] if name in SEALED_MACS] or private["_mac_algs"]
        waits = False
        send_kexinit()

    def receive() -> bool:
        result: bool = receive_version()
        if waits:
            # Else it would be taken for sent, and never be.
            private["_kexinit_sent"] = False
        return result

    private.update(_send_kexinit=send, _recv_handler=receive)
