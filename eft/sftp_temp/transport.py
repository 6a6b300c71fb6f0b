"""What asyncssh is told. Nothing is left to its defaults that a promise hangs on.

Algorithms: no key exchange over NIST curves or Diffie-Hellman groups (ssh-audit fails the first, and the second costs this
process 20 ms or more for whoever connects), no SHA-1, no CBC. What stands here although ssh-audit warns of it has a client that
cannot do without: docs/security/algorithms.md names them, and tests/security/test_sftp_algorithms.py tries it. Strict key
exchange is asyncssh's own default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import socket

import asyncssh

from eft.sftp_temp import host_keys, key_sign_in
from eft.sftp_temp.connection import CHANNEL_PACKET_BYTES, WINDOW_BYTES, Connection
from eft.sftp_temp.settings import SftpSettings
from eft.sftp_temp.sharing import BACKLOG, SharedListener

KEY_EXCHANGE = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
)
VERSION = "eft"


async def listen(host: str, settings: SftpSettings, make_connection: Callable[[], Connection]) -> asyncssh.SSHAcceptor:
    """Listens on one address until the acceptor is closed. Raises OSError where it cannot be had, UnsafeSetting for the host
    keys."""
    options = _options(settings, make_connection)
    return await asyncssh.listen(host, settings.port, backlog=BACKLOG, reuse_address=True, config=None, options=options)


def share(
    listener: socket.socket, settings: SftpSettings, make_connection: Callable[[], Connection], held: Callable[[], int]
) -> SharedListener:
    """Listens on a bound socket that other workers listen on too, until it is closed. `held`: how many connections are open
    here. Raises UnsafeSetting for the host keys."""
    options = _options(settings, make_connection)
    loop = asyncio.get_running_loop()
    return SharedListener(listener, lambda: asyncssh.SSHServerConnection(loop, options), held)


def _options(settings: SftpSettings, make_connection: Callable[[], Connection]) -> asyncssh.SSHServerConnectionOptions:
    return asyncssh.SSHServerConnectionOptions(
        server_factory=make_connection,
        server_host_keys=host_keys.load(settings.host_keys),
        send_server_host_keys=True,  # hostkeys-00@openssh.com: a new key is known before it is used
        server_version=VERSION,
        config=None,
        kex_algs=KEY_EXCHANGE,
        encryption_algs=CIPHERS,
        mac_algs=MACS,
        compression_algs=None,
        signature_algs=key_sign_in.OFFERED,  # server-sig-algs, RFC 8308 §3.1
        password_auth=True,
        kbdint_auth=True,
        public_key_auth=True,
        host_based_auth=False,
        authorized_client_keys=None,
        x509_trusted_certs=None,
        gss_host=None,
        gss_kex=False,
        gss_auth=False,
        rdns_lookup=False,
        allow_pty=False,
        allow_scp=False,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        encoding=None,
        window=WINDOW_BYTES,
        max_pktsize=CHANNEL_PACKET_BYTES,
        login_timeout=settings.login_timeout_s,
        keepalive_interval=settings.keepalive_s,
        keepalive_count_max=settings.keepalive_unanswered,
        tcp_keepalive=True,
        rekey_bytes="1G",
        rekey_seconds="1h",
    )
