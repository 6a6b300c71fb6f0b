"""Ways in: upload tokens and the temporary SFTP account of a case."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from eft.accounts.tokens import DEFAULT_TTL_S, Scope
from eft.api.bodies import AccountKeyBody, AccountKeyView, Page, SftpAccountView, UploadTokenBody, UploadTokenView
from eft.api.caller import needs
from eft.api.services import ApiServices, ApiSettings
from eft.domain.account import TemporaryAccount
from eft.domain.actor import Actor
from eft.domain.case import check_case_id
from eft.domain.upload import Source

Issues = Annotated[Actor, Depends(needs(Scope.TOKENS_WRITE))]
Shows = Annotated[Actor, Depends(needs(Scope.ACCOUNTS_READ))]
Creates = Annotated[Actor, Depends(needs(Scope.ACCOUNTS_WRITE))]


_REGISTERED: dict[int | str, dict[str, Any]] = {
    200: {"model": AccountKeyView, "description": "It was registered already"},
    201: {"description": "It is registered from now on"},
}


def access_routes(services: ApiServices, settings: ApiSettings) -> APIRouter:
    """The routes that give somebody access to one case, or take it away."""
    routes = APIRouter(tags=["access"])

    def view(account: TemporaryAccount, password: str | None) -> SftpAccountView:
        return SftpAccountView(
            username=account.username,
            password=password,
            host=settings.sftp_host,
            port=settings.sftp_port,
            host_key_fingerprints=list(settings.host_key_fingerprints),
            expires_at=account.expires_at,
        )

    @routes.post("/cases/{case_id}/upload-tokens", status_code=201)
    async def issue_upload_token(case_id: str, actor: Issues, body: UploadTokenBody | None = None) -> UploadTokenView:
        """A bearer token for uploads to this case: for 24 hours, or `ttl_s` seconds, at most seven days. It is shown once."""
        asked = body or UploadTokenBody()
        token, expires_at = await services.tokens.issue_upload(
            check_case_id(case_id), DEFAULT_TTL_S if asked.ttl_s is None else asked.ttl_s, Source(asked.source), actor
        )
        return UploadTokenView(token=token, expires_at=expires_at)

    @routes.post("/cases/{case_id}/sftp-account", status_code=201)
    async def create_account(case_id: str, actor: Creates) -> SftpAccountView:
        """A temporary SFTP account for 120 hours. One that is alive is replaced, and its sessions are cut."""
        made = await services.accounts.issue(check_case_id(case_id), actor)
        return view(made.account, made.password)

    @routes.get("/cases/{case_id}/sftp-account", response_model_exclude_none=True)
    async def show_account(case_id: str, actor: Shows, password: bool = True) -> SftpAccountView:
        """The account that is alive, with its password: every such look is in the audit log. With `password=false` it is shown
        without, which reveals nothing and is not recorded."""
        if not password:
            return view(await services.accounts.alive_of(check_case_id(case_id)), None)
        shown = await services.accounts.show(check_case_id(case_id), actor)
        return view(shown.account, shown.password)

    @routes.delete("/cases/{case_id}/sftp-account", status_code=204)
    async def revoke_account(case_id: str, actor: Creates) -> None:
        """Ends the account and its sessions. Repeatable."""
        await services.accounts.revoke(check_case_id(case_id), actor)

    @routes.post("/cases/{case_id}/sftp-account/keys", status_code=201, responses=_REGISTERED)
    async def register_key(case_id: str, body: AccountKeyBody, actor: Creates, response: Response) -> AccountKeyView:
        """Registers a public key with the account that is alive: its owner may sign in by it, beside the password, until the
        account ends. Repeatable. At most ten; a new account begins without any."""
        key, new = await services.accounts.public_keys.register(check_case_id(case_id), body.public_key, actor)
        response.status_code = 201 if new else 200
        return AccountKeyView.of(key)

    @routes.get("/cases/{case_id}/sftp-account/keys")
    async def list_keys(case_id: str, _: Shows) -> Page[AccountKeyView]:
        """The public keys that are registered with the account that is alive, newest first, all of them."""
        keys = await services.accounts.public_keys.of_case(check_case_id(case_id))
        return Page[AccountKeyView](items=[AccountKeyView.of(key) for key in keys], next=None)

    @routes.delete("/cases/{case_id}/sftp-account/keys/{key_id}", status_code=204)
    async def remove_key(case_id: str, key_id: str, actor: Creates) -> None:
        """Removes a public key; a connection that it has opened goes on until the account ends."""
        await services.accounts.public_keys.remove(check_case_id(case_id), key_id, actor)

    return routes
