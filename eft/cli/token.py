"""`eft token`: bearer tokens of the control API."""

from __future__ import annotations

import click

from eft.accounts.tokens import Scope
from eft.bootstrap.services import Services
from eft.cli.acting import act, operator
from eft.cli.command import Group, show, with_config
from eft.config import Config
from eft.domain.errors import NotFound

_SCOPES = [scope.value for scope in Scope]


@click.group(cls=Group)
def token() -> None:
    """Tokens of the control API, for a portal or a CRM."""


@token.command()
@click.option("--name", required=True, help="Who will use it. The audit log calls it so.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(_SCOPES),
    metavar="SCOPE",
    help=f"What it may do; give it several times. One of: {', '.join(_SCOPES)}.",
)
@click.option("--replace", is_flag=True, help="Revoke a token of that name first, where there is one.")
@with_config
def create(config: Config, name: str, scopes: tuple[str, ...], replace: bool) -> None:
    """Make a token. It is shown once, and only its digest is stored.

    \b
    Example:
      eft token create --name crm --scope cases:read --scope cases:write
    """

    async def work(services: Services) -> str:
        if replace:
            await _revoke_if_there(services, name)
        return await services.tokens.issue_api(name, scopes, operator())

    made = act(config, work)
    show({"name": name, "scopes": sorted(set(scopes)), "token": made}, made)


@token.command("list")
@with_config
def list_tokens(config: Config) -> None:
    """List the tokens, newest first, revoked ones too. What they are cannot be shown.

    \b
    Example:
      eft token list
    """
    found = act(config, lambda services: services.tokens.list_api())
    lines = [
        f"{known.name:<24} {known.created_at:%Y-%m-%d}  {' '.join(sorted(known.scopes))}"
        + (f"  revoked {known.revoked_at:%Y-%m-%d}" if known.revoked_at else "")
        for known in found
    ]
    show(
        {
            "tokens": [
                {
                    "name": known.name,
                    "scopes": sorted(known.scopes),
                    "created_at": known.created_at,
                    "revoked_at": known.revoked_at,
                }
                for known in found
            ]
        },
        "\n".join(lines) or "There are no tokens.",
    )


@token.command()
@click.argument("name")
@with_config
def revoke(config: Config, name: str) -> None:
    """Revoke a token by its name. It is refused from now on.

    \b
    Example:
      eft token revoke crm
    """
    act(config, lambda services: services.tokens.revoke_api(name, operator()))
    show({"name": name, "revoked": True}, f"The token {name} is revoked.")


async def _revoke_if_there(services: Services, name: str) -> None:
    try:
        await services.tokens.revoke_api(name, operator())
    except NotFound:
        return
