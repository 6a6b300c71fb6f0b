"""Any header fields and metadata: every answer is a considered one, at once, and what is stored stays as it was."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.http.test_draft import Final
from tests.unit.http.tus_site import PART, TusSite

NAMES = [
    "Upload-Offset",
    "Upload-Length",
    "Upload-Defer-Length",
    "Upload-Metadata",
    "Upload-Checksum",
    "Upload-Concat",
    "Upload-Complete",
    "Upload-Incomplete",
    "Upload-Draft-Interop-Version",
    "Tus-Resumable",
    "Content-Type",
    "Content-Digest",
    "Repr-Digest",
    "Trailer",
    "Content-Disposition",
    "X-HTTP-Method-Override",
    "Range",
    "If-Range",
    "If-None-Match",
    "Content-Encoding",
    "Want-Repr-Digest",
]
GOOD = [
    "0",
    "5",
    "9",
    "1",
    "?0",
    "?1",
    "1.0.0",
    PART,
    "application/partial-upload",
    "partial",
    "final;/files/x",
    "sha1 AAAA",
    "3",
    "6",
    "sha-256=:AAAA:",
    "filename YQ==",
    "filename",
    "",
    "bytes=0-1",
    "Upload-Checksum",
    "attachment; filename*=UTF-8''%FF%00",
    "PATCH",
    "attachment; filename*=unknown'x'%41",
    "filename Li4vLi4=",
    "relativePath AAAA,filename YQ==",
    "9" * 40,
    "-1",
    "?1;a=b",
    "HEAD",
]
values = st.one_of(
    st.sampled_from(GOOD), st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    method=st.sampled_from(["POST", "PATCH", "HEAD", "GET", "DELETE", "PUT", "OPTIONS"]),
    known=st.booleans(),
    fields=st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=7),
    body=st.binary(max_size=20),
)
def test_no_request_breaks_the_door(site: TusSite, method: str, known: bool, fields: list[tuple[str, str]], body: bytes) -> None:
    kept = getattr(site, "kept", None)
    if kept is None:
        kept = site.kept = site.create(10)  # type: ignore[attr-defined]
        assert site.patch(kept, 0, b"abc").status == 204
    path = (kept if method in ("HEAD", "GET", "OPTIONS") else "/files/" + "0" * 32) if known else "/files"
    peer = site.server.peer()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token}\r\nContent-Length: {len(body)}\r\n"
    sent = "".join(f"{name}: {value}\r\n" for name, value in fields)
    peer.send((head + sent + "\r\n").encode("latin-1") + body)
    status = Final(peer, method).status
    peer.close()
    assert 200 <= status < 500, (status, method, fields)
    assert site.ask("HEAD", kept).offset == 3
