"""Digest files: a `NAME.sha256` that an SFTP client lays beside `NAME` says what NAME's digest is (P2, P3).

One that is there when NAME would be published decides whether it is. One that comes later confirms or disputes what was
published; it deletes nothing. A digest file of an earlier version of NAME says nothing of the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import re

from eft.db import attachments, names, uploads
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.upload import Completeness, Source, Upload, UploadState
from eft.transfers.content import Content, open_attachment, open_upload
from eft.transfers.resources import Resources

SUFFIX = ".sha256"
_MOST = 4096
"""Bytes. No digest file of one name is longer."""
_PLAIN = re.compile(r"\A\\?(?P<hex>[0-9a-fA-F]{64})(?:[ \t]+\*?(?P<name>.*))?\Z")
_TAGGED = re.compile(r"\ASHA2?-?256[ \t]*\((?P<name>.*)\)[ \t]*=[ \t]*(?P<hex>[0-9a-fA-F]{64})\Z", re.IGNORECASE)


def stated_digest(content: bytes, name: str) -> str | None:
    """The SHA-256 that a digest file states for `name`, in lower-case hex; None where it states none.

    Understood is what sha256sum writes, with and without `--tag`, and a bare digest. Lines of other files are passed over.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return None
    base = name.rpartition("/")[2]
    for line in lines:
        found = _PLAIN.match(line.strip()) or _TAGGED.match(line.strip())
        if found is None:
            continue
        of = (found["name"] or "").strip().replace("\\", "/").rpartition("/")[2]
        if of in ("", base):
            return found["hex"].lower()
    return None


@dataclass(frozen=True, slots=True)
class Statement:
    """What a digest file says: the content of `name` has this SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Beside:
    """A digest file beside a file, and the SHA-256 of each earlier version of that."""

    digest_file: Upload | Attachment
    earlier: frozenset[str]


class Sidecars:
    """Finds what digest files say, and compares it with what came."""

    def __init__(self, resources: Resources) -> None:
        self._r = resources

    def to_look_beside(self, conn: Connection, found: Iterable[Upload]) -> set[tuple[str, str]]:
        """Case and name of those uploads that may have a digest file beside them: few, where many small files come together."""
        asked: dict[str, set[str]] = {}
        for upload in found:
            asked.setdefault(upload.case_id, set()).add(upload.name + SUFFIX)
        return {(case_id, name.removesuffix(SUFFIX)) for case_id in asked for name in names.had(conn, case_id, asked[case_id])}

    def look_beside(self, conn: Connection, upload: Upload) -> Beside | None:
        """The digest file that lies beside the upload now, None where there is none."""
        if upload.source is not Source.SFTP or upload.name.endswith(SUFFIX):
            return None
        path = upload.name + SUFFIX
        beside: Upload | Attachment | None = uploads.by_name(conn, upload.case_id, path, Source.SFTP)
        if beside is None or beside.state is not UploadState.SETTLING:
            beside = attachments.newest_by_name(conn, upload.case_id, path, from_support=False)
            if beside is None or beside.hidden or beside.state is not AttachmentState.AVAILABLE:
                return None
        return Beside(beside, frozenset(attachments.digests_of_name(conn, upload.case_id, upload.name)))

    async def about(self, upload: Upload, beside: Beside) -> str | None:
        """The SHA-256 that the digest file says the upload must have; None where it says none, or one of an earlier version."""
        stated = await self._stated_in(beside.digest_file, upload.name)
        return None if stated in beside.earlier and stated != upload.sha256 else stated

    async def said_by(self, upload: Upload) -> Statement | None:
        """What the upload says of another file, where it is a digest file."""
        if upload.source is not Source.SFTP or not upload.name.endswith(SUFFIX):
            return None
        name = upload.name.removesuffix(SUFFIX)
        stated = await self._stated_in(upload, name)
        return None if stated is None else Statement(name, stated)

    def compare(self, conn: Connection, case_id: str, statement: Statement, actor: Actor) -> None:
        """Confirms or disputes the published file that the statement is about, in the transaction that publishes it."""
        about = attachments.newest_by_name(conn, case_id, statement.name, from_support=False)
        if about is None or about.state is not AttachmentState.AVAILABLE or about.source is not Source.SFTP:
            return
        now = self._r.clock.now()
        if about.sha256 == statement.sha256:
            if about.completeness is Completeness.CLOSED or about.disputed_sha256 is not None:
                attachments.confirm(conn, about.id)
                self._r.record(conn, actor, "attachment.confirm", case_id, about.id, at=now, sha256=statement.sha256)
        elif statement.sha256 not in attachments.digests_of_name(conn, case_id, statement.name):
            attachments.dispute(conn, about.id, statement.sha256)
            self._r.record(
                conn, actor, "attachment.dispute", case_id, about.id, at=now, declared=statement.sha256, received=about.sha256
            )

    async def _stated_in(self, digest_file: Upload | Attachment, name: str) -> str | None:
        size = digest_file.offset if isinstance(digest_file, Upload) else digest_file.size
        if size > _MOST:
            return None
        content = await self._open(digest_file)
        try:
            return stated_digest(await content.read(0, _MOST), name)
        finally:
            content.close()

    async def _open(self, digest_file: Upload | Attachment) -> Content:
        if isinstance(digest_file, Attachment):
            return await open_attachment(self._r, digest_file)
        return await open_upload(self._r, digest_file)
