"""`eft portal`: the portal, and who may sign in to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import os
import secrets
from typing import Concatenate, ParamSpec, TextIO, TypeVar

import click

from eft.cli.command import Group, show, with_settings
from eft.domain.errors import NotFound
from eft.domain.person import Role
from eft.observability import SystemClock, log_to_stderr
from eft.portal import people
from eft.portal.database import Database
from eft.portal.passwords import check_new, hash_password
from eft.portal.settings import PortalSettings, load_settings

P = ParamSpec("P")
R = TypeVar("R")


def _with_settings(command: Callable[Concatenate[PortalSettings, P], R]) -> Callable[P, R]:
    """Adds `--config` (or EFT_PORTAL_CONFIG); the command gets the settings it names as its first argument."""
    return with_settings(command, load_settings, "EFT_PORTAL_CONFIG", "The portal's settings.")


_password_file = click.option(
    "--password-file",
    type=click.File("r"),
    metavar="FILE",
    help="Read the password from the first line of FILE (- for standard input); asked for without it. Never an argument.",
)


@click.group(cls=Group)
def portal() -> None:
    """The portal: My Support."""


@portal.command()
@_with_settings
def serve(settings: PortalSettings) -> None:
    """Run the portal until SIGTERM or Ctrl-C.

    \b
    Example:
      eft portal serve --config portal.toml
    """
    os.umask(0o077)
    log_to_stderr()
    _need_key(settings)
    from eft.portal.serve import serve as run

    asyncio.run(run(settings, SystemClock()))


@portal.command()
@_with_settings
def setup(settings: PortalSettings) -> None:
    """Make the key that signs forms, and the database, where they are missing. Repeatable.

    \b
    Example:
      eft portal setup --config portal.toml
    """
    made = not settings.key_file.exists()
    if made:
        settings.key_file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(settings.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))
    _database(settings).close()
    show({"key_made": made}, "The portal is set up. Next: eft portal user create --role staff …")


@portal.group(cls=Group)
def user() -> None:
    """People who may sign in."""


@user.command()
@click.argument("email")
@click.option("--name", required=True, help="What pages call them.")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), required=True, help="Customers see one organisation's cases."
)
@click.option("--organisation", help="The customer's organisation, as cases name it.")
@_password_file
@_with_settings
def create(
    settings: PortalSettings,
    email: str,
    name: str,
    role: str,
    organisation: str | None,
    password_file: TextIO | None,
) -> None:
    """Let somebody sign in.

    \b
    Example:
      eft portal user create ann@example.com --name "Ann Example" --role customer --organisation "Example Ltd"
    """
    hashed = hash_password(check_new(_password(password_file)))
    database = _database(settings)
    now = SystemClock().now()
    made = database.run_here(
        lambda conn: people.create(
            conn, email=email, name=name, role=Role(role), organisation=organisation, password_hash=hashed, now=now
        )
    )
    show({"email": made.email, "role": made.role.value, "organisation": made.organisation}, f"{made.email} may sign in.")


@user.command("list")
@_with_settings
def list_users(settings: PortalSettings) -> None:
    """List who may sign in.

    \b
    Example:
      eft portal user list
    """
    found = _database(settings).run_here(people.everybody)
    rows = [
        {"email": each.email, "name": each.name, "role": each.role.value, "organisation": each.organisation} for each in found
    ]
    lines = [f"{each.email:<32} {each.role.value:<9} {each.organisation or '-':<24} {each.name}" for each in found]
    show({"users": rows}, "\n".join(lines) or "Nobody may sign in yet.")


@user.command()
@click.argument("email")
@_password_file
@_with_settings
def password(settings: PortalSettings, email: str, password_file: TextIO | None) -> None:
    """Set somebody's password, and end their sessions.

    \b
    Example:
      eft portal user password ann@example.com
    """
    hashed = hash_password(check_new(_password(password_file)))
    _database(settings).run_here(lambda conn: people.set_password_of(conn, email, hashed))
    show({"email": email}, f"The password of {email} is set.")


@portal.group(cls=Group)
def organisation() -> None:
    """Organisations: whose cases are whose."""


@organisation.command("create")
@click.argument("name")
@_with_settings
def create_organisation(settings: PortalSettings, name: str) -> None:
    """Make an organisation, unless there is one of that name. Cases belong to it by its name.

    \b
    Example:
      eft portal organisation create "Example Ltd"
    """
    _database(settings).run_here(lambda conn: people.organisation_id(conn, name))
    show({"name": name}, f"There is an organisation {name}.")


@organisation.command("list")
@_with_settings
def list_organisations(settings: PortalSettings) -> None:
    """List the organisations.

    \b
    Example:
      eft portal organisation list
    """
    names = _database(settings).run_here(people.organisation_names)
    show({"organisations": names}, "\n".join(names) or "There are no organisations.")


def _database(settings: PortalSettings) -> Database:
    os.umask(0o077)
    database = Database(settings.database.url)
    database.upgrade()
    return database


def _need_key(settings: PortalSettings) -> None:
    if not settings.key_file.exists():
        raise NotFound(f"There is no key file {settings.key_file}.", "Run: eft portal setup")


def _password(file: TextIO | None) -> str:
    if file is not None:
        return str(file.readline()).rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
