"""The demo's portal: its settings, its secrets, and two people who may sign in."""

from __future__ import annotations

from dataclasses import dataclass
import email
import email.policy
import json
from pathlib import Path
import secrets
import subprocess
from typing import TYPE_CHECKING

import trustme

from demo.secret import write_secret

if TYPE_CHECKING:
    from demo.place import Gateway

HTTPS_PORT = 8440
OPERATIONS_PORT = 8450
ORGANISATION = "Example Ltd"
PEOPLE = {
    "staff": ("staff@support.example", "Sam Staff", "staff"),
    "customer": ("customer@example.com", "Ann Customer", "customer"),
}
TITLES = {"us": "Americas", "emea": "Europe, Middle East and Africa", "apac": "Asia and Pacific"}


@dataclass(frozen=True)
class Portal:
    """What the demo keeps of its portal below `directory`."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "portal.toml"

    @property
    def mail(self) -> Path:
        """Where mail is written to, one file each: the demo sends none."""
        return self.directory / "mail"

    @property
    def url(self) -> str:
        return f"https://localhost:{HTTPS_PORT}"

    @property
    def operations_url(self) -> str:
        return f"http://127.0.0.1:{OPERATIONS_PORT}"

    def prepare(self, eft: Path, ca_file: Path, gateways: list[Gateway], authority: trustme.CA) -> None:
        """Makes what is missing, touches nothing that is there. The gateways' secrets are made already."""
        hidden = self.directory / "secrets"
        hidden.mkdir(parents=True, exist_ok=True)
        hidden.chmod(0o700)
        if not (hidden / "tls.key").exists():
            issued = authority.issue_cert("localhost", "127.0.0.1", "::1")
            (hidden / "tls.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
            write_secret(hidden / "tls.key", issued.private_key_pem.bytes())
        self.config.write_text(_CONFIG.format(url=self.url) + "".join(_section(ca_file, each) for each in gateways))
        self._eft(eft, "setup")
        known = {each["email"] for each in json.loads(self._eft(eft, "user", "list", "--json"))["users"]}
        for who, (address, name, role) in PEOPLE.items():
            file = self.password_file(who)
            if not file.exists():
                write_secret(file, secrets.token_urlsafe(15).encode())
            if address not in known:
                belongs = ["--organisation", ORGANISATION] if role == "customer" else []
                made = ["user", "create", address, "--name", name, "--role", role, *belongs]
                self._eft(eft, *made, "--password-file", str(file))

    def password_file(self, who: str) -> Path:
        return self.directory / "secrets" / f"{who}-password"

    def sign_in(self, who: str) -> dict[str, str]:
        """As it stands in demo.json; a password that was reset since is not known here."""
        return {"email": PEOPLE[who][0], "password": self.password_file(who).read_text().strip()}

    def mails(self, seen: set[str]) -> list[str]:
        """The texts of mails that are not in `seen`, which they are put into."""
        texts = []
        for file in sorted(self.mail.glob("*.eml")):
            if file.name not in seen:
                seen.add(file.name)
                message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                texts.append(f"Mail to {message['To']}: {message['Subject']}\n\n{message.get_content()}")
        return texts

    def _eft(self, eft: Path, *arguments: str) -> str:
        command = [str(eft), "portal", *arguments, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise SystemExit(f"eft portal {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def _section(ca_file: Path, gateway: Gateway) -> str:
    values = {
        "title": TITLES[gateway.region],
        "url": gateway.url,
        "page_url": f"https://eftgateway-{gateway.region}.localhost:{gateway.https_port}",
        "token_file": str(gateway.portal_token_file),
        "case_system_token_file": str(gateway.case_system_token_file),
        "ca_file": str(ca_file),
    }
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    return f"\n[gateways.{gateway.region}]\n{lines}"


_CONFIG = """\
# Written anew by every start of the demo.
url = "{url}"
key_file = "secrets/portal.key"

[https]
certificate = "secrets/tls.pem"
private_key = "secrets/tls.key"

[mail]
sender = "support@support.example"
directory = "mail"

[support]
telephone = "+1 555 0100"
"""
