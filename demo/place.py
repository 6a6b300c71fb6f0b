"""What the demo keeps under `var/`: certificates, keys, settings, tokens. Made once, and kept over restarts."""

from __future__ import annotations

from dataclasses import dataclass
import json
import os
from pathlib import Path
import secrets as random
import subprocess
import sys
import tomllib

import trustme

from demo.portal import Portal
from demo.secret import write_secret
from eft.sftp_temp.host_keys import generate_host_keys

ROOT = Path(__file__).resolve().parent.parent
REGIONS = ("us", "emea", "apac")
SCOPES = (
    "cases:read",
    "cases:write",
    "attachments:read",
    "attachments:write",
    "tokens:write",
    "accounts:read",
    "accounts:write",
    "retention:write",
)
PORTAL_SCOPES = tuple(scope for scope in SCOPES if scope not in ("attachments:write", "retention:write"))


@dataclass(frozen=True)
class Gateway:
    """One region's gateway of the demo."""

    region: str
    directory: Path
    https_port: int
    sftp_port: int
    operations_port: int

    @property
    def config(self) -> Path:
        return self.directory / "gateway.toml"

    @property
    def token_file(self) -> Path:
        return self.directory / "secrets" / "api-token"

    @property
    def portal_token_file(self) -> Path:
        """The portal's own token for the control API."""
        return self.directory / "secrets" / "portal-token"

    @property
    def case_system_token_file(self) -> Path:
        """By which this gateway asks the portal before a purge."""
        return self.directory / "secrets" / "case-system-token"

    @property
    def host_keys(self) -> tuple[Path, ...]:
        return tuple(self.directory / "secrets" / f"ssh_host_{kind}_key" for kind in ("ed25519", "rsa"))

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https_port}"

    @property
    def operations_url(self) -> str:
        return f"http://127.0.0.1:{self.operations_port}"


class Place:
    """The directory of the demo, and how it is filled."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.ca_file = var / "ca.pem"
        self.file = var / "demo.json"
        self.processes_file = var / "processes.json"
        self.eft = Path(sys.executable).parent / "eft"
        self.portal = Portal(var / "portal")
        self.gateways = [self._gateway(region) for region in REGIONS]

    def prepare(self) -> None:
        """Makes what is missing, touches nothing that is there."""
        self.var.mkdir(parents=True, exist_ok=True)
        authority = self._authority()
        for gateway in self.gateways:
            self._prepare_gateway(gateway, authority)
        self.portal.prepare(self.eft, self.ca_file, self.gateways, authority)

    def run(self, gateway: Gateway, *arguments: str) -> str:
        """The output of an `eft` command beside that gateway."""
        command = [str(self.eft), *arguments]
        environment = {**os.environ, "EFT_CONFIG": str(gateway.config)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise SystemExit(f"eft {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _gateway(self, region: str) -> Gateway:
        facts = tomllib.loads((ROOT / "regions" / f"{region}.toml").read_text())
        return Gateway(region, self.var / region, facts["https"]["port"], facts["sftp"]["port"], facts["operations"]["port"])

    def _authority(self) -> trustme.CA:
        key_file = self.var / "ca.key"
        if self.ca_file.exists() and key_file.exists():
            return trustme.CA.from_pem(self.ca_file.read_bytes(), key_file.read_bytes())
        authority = trustme.CA(organization_name="eft demo")
        write_secret(key_file, authority.private_key_pem.bytes())
        self.ca_file.write_bytes(authority.cert_pem.bytes())
        return authority

    def _prepare_gateway(self, gateway: Gateway, authority: trustme.CA) -> None:
        secrets = gateway.directory / "secrets"
        secrets.mkdir(parents=True, exist_ok=True)
        secrets.chmod(0o700)
        if not (secrets / "tls.key").exists():
            hosts = ("localhost", "127.0.0.1", "::1", f"eftgateway-{gateway.region}.localhost")
            issued = authority.issue_cert(*hosts)
            chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
            (secrets / "tls.pem").write_bytes(chain)
            write_secret(secrets / "tls.key", issued.private_key_pem.bytes())
        if not (secrets / "ssh_host_ed25519_key").exists():
            generate_host_keys(secrets)
        if not gateway.case_system_token_file.exists():
            write_secret(gateway.case_system_token_file, random.token_urlsafe(32).encode())
        gateway.config.write_text(
            _CONFIG.format(
                region=gateway.region,
                regions_dir=json.dumps(str(ROOT / "regions")),
                portal=json.dumps(self.portal.url),
                case_system=json.dumps(f"{self.portal.url}/case-system"),
                authorities=json.dumps(str(self.ca_file)),
            )
        )
        if not list(gateway.directory.glob("data/*/keys/slots")):
            self.run(gateway, "keys", "create")
        for name, file, allowed in (
            ("demo", gateway.token_file, SCOPES),
            ("portal", gateway.portal_token_file, PORTAL_SCOPES),
        ):
            if not file.exists():
                scopes = [part for scope in allowed for part in ("--scope", scope)]
                made = json.loads(self.run(gateway, "token", "create", "--name", name, "--replace", *scopes, "--json"))
                write_secret(file, made["token"].encode())


_CONFIG = """\
# Written anew by every start of the demo.
region = "{region}"
regions_dir = {regions_dir}

[storage]
root = "data"

[keys]
master_key_file = "secrets/master.key"

[https]
certificate = "secrets/tls.pem"
private_key = "secrets/tls.key"

[sftp]
host_keys = ["secrets/ssh_host_ed25519_key", "secrets/ssh_host_rsa_key"]

[portal]
url = {portal}

[case_system]
url = {case_system}
token_file = "secrets/case-system-token"
ca_file = {authorities}
"""
