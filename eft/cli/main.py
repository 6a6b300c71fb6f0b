"""`eft`: the command that all others hang from. A new noun is a file of its own and one line here."""

from __future__ import annotations

from importlib import import_module

import click

from eft.cli.command import Group

COMMANDS = {
    "account": "eft.cli.account",
    "case": "eft.cli.case",
    "keys": "eft.cli.keys",
    "purge": "eft.cli.purge",
    "regions": "eft.cli.regions",
    "serve": "eft.cli.serve",
    "token": "eft.cli.token",
}
"""Each command, and the module that has it under the same name. A module is imported when its command is asked for: an
administrator's command should not wait for a server's imports, nor the supervisor carry them."""


class _Eft(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Eft)
@click.version_option(package_name="eft")
def main() -> None:
    """Secure file transfer for technical-support cases: one gateway, one region."""
