"""Lines that a customer copies: how to reach a temporary account, and how to send a file where nothing can be installed.

No password and no token ever stands in a command line, where every other user of that machine could read it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eft.portal.gateways import Json
from eft.portal.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Lines:
    """What to copy into `program`, and a sentence about it."""

    program: str
    text: str
    about: str


def for_account(account: Json) -> list[Lines]:
    """For the clients that the guide names. All of them ask for the password, and show the host key for comparison."""
    user, host, port = account["username"], account["host"], account["port"]
    return [
        Lines("OpenSSH", f"sftp -P {port} {user}@{host}", "Then: put FILE. After a cut connection: reput FILE goes on."),
        Lines("WinSCP", f'winscp.exe "sftp://{user}@{host}:{port}/"', "Or enter host, port and user in its login window."),
        Lines(
            "FileZilla", f"filezilla --logontype=ask sftp://{user}@{host}:{port}", "Or enter the address in its Quickconnect bar."
        ),
        Lines("PSFTP", f"psftp -P {port} {user}@{host}", "Then: put FILE. After a cut connection: reput FILE goes on."),
    ]


def for_token(gateway: GatewaySettings) -> list[Lines]:
    """For a machine with a shell. The token goes from the page into a file that only its owner can read."""
    url = gateway.address
    trust = " --cacert eft-ca.pem" if gateway.ca_file else ""
    curl = f"curl -sS{trust} -H @eft-header -H 'Tus-Resumable: 1.0.0'"
    ask = f'OFFSET=$({curl} -I "$WHERE" | tr -d "\\r" | sed -n "s/^[Uu]pload-[Oo]ffset: //p")'
    return [
        Lines(
            "1. Keep the token in a file",
            "umask 077\ncat > eft-token",
            "Paste the token, press Enter, then Ctrl-D.",
        ),
        Lines(
            "eft send",
            f"eft send FILE --to {url} --token-file eft-token{' --ca eft-ca.pem' if gateway.ca_file else ''}",
            "Where the eft client is installed: shows progress, resumes, compares digests.",
        ),
        Lines(
            "2. curl: announce the file",
            "FILE=core.dump\n"
            "{ printf 'Authorization: Bearer '; cat eft-token; } > eft-header\n"
            f'WHERE={url}$({curl} -X POST {url}/files -D - -o /dev/null -H "Upload-Length: $(wc -c < "$FILE" | tr -d " ")" '
            '-H "Upload-Metadata: filename $(printf %s "${FILE##*/}" | base64 | tr -d "\\n")" '
            '| tr -d "\\r" | sed -n "s/^[Ll]ocation: //p")',
            "Write the name of your own file into the first line.",
        ),
        Lines(
            "3. curl: send it, or go on after a cut",
            f'{ask}\ntail -c +$((OFFSET + 1)) "$FILE" | {curl} -X PATCH -T - -H "Upload-Offset: $OFFSET" '
            '-H "Content-Type: application/offset+octet-stream" -H "Expect:" "$WHERE" -o /dev/null -w "%{http_code}\\n"',
            "204 means that all of it was received. After a cut, or anything else, give the same lines again.",
        ),
        Lines(
            "4. Compare",
            f'sha256sum "$FILE"; {curl} -I "$WHERE" | grep -i -e upload-offset -e repr-digest\nrm eft-token eft-header',
            "The list of files above shows the digest that was received.",
        ),
    ]
