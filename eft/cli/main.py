"""`eft`: the command that all others hang from. A new noun is a file of its own and one line here."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "account": "eft.cli.account",
    "case": "eft.cli.case",
    "fetch": "eft.cli.fetch",
    "keys": "eft.cli.keys",
    "portal": "eft.cli.portal",
    "purge": "eft.cli.purge",
    "regions": "eft.cli.regions",
    "send": "eft.cli.send",
    "serve": "eft.cli.serve",
    "token": "eft.cli.token",
    "verify": "eft.cli.verify",
}
"""Each command, and the module that has it under the same name. A module is imported when its command is asked for: an
administrator's command should not wait for a server's imports, nor the supervisor carry them; a customer's install has none."""

OF_CUSTOMERS = frozenset({"send", "fetch", "verify"})
"""What works without the extra `server`."""


class _Eft(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        except ModuleNotFoundError as missing:
            if cmd_name in OF_CUSTOMERS or (missing.name or "eft").startswith("eft"):
                raise
            return _NotInstalled(cmd_name, missing.name or "")
        assert isinstance(command, click.Command)
        return command


class _NotInstalled(click.Command):
    """A command whose libraries are not installed: a customer's install leaves them out."""

    def __init__(self, name: str, missing: str) -> None:
        super().__init__(
            name, help=f"Needs eft[server] ({missing} is not installed).", context_settings={"ignore_unknown_options": True}
        )
        self.params.append(click.Argument(["words"], nargs=-1, type=click.UNPROCESSED))

    def invoke(self, ctx: click.Context) -> None:
        click.echo(
            f"eft: `eft {self.name}` is for gateways and needs more than a customer's install. Install eft[server].", err=True
        )
        ctx.exit(1)


@click.command(cls=_Eft)
@click.version_option(package_name="eft")
def main() -> None:
    """Secure file transfer for technical-support cases: one gateway, one region."""
