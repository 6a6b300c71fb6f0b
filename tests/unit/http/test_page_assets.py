"""What the page loads is served from two directories, and nothing beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eft.http_resumable.page_assets import ASSETS, Build, Files, read_build
from tests.unit.http.conftest import Serve
from tests.unit.http.page_site import PageSite


@pytest.mark.parametrize(
    ("name", "kind"), [("page.css", "text/css"), ("cookies.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
def test_the_pages_own_files_have_their_type_and_are_asked_for_again(pages: PageSite, name: str, kind: str) -> None:
    answer = pages.ask("GET", f"/static/{name}")
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, kind)
    assert answer.headers["Cache-Control"] == "public, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert pages.ask("HEAD", f"/static/{name}").headers["Content-Length"] == str(len(answer.body))
    assert pages.ask("POST", f"/static/{name}").status == 405


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A build, and a secret beside it."""
    (tmp_path / "assets" / ".vite").mkdir(parents=True)
    (tmp_path / "assets" / "sub").mkdir()
    (tmp_path / "secret.js").write_text("secret")
    (tmp_path / "assets" / "transfer-D-ijWXZj.js").write_text("one")
    (tmp_path / "assets" / "plain.js").write_text("two")
    (tmp_path / "assets" / "notes.txt").write_text("three")
    (tmp_path / "assets" / "link.js").symlink_to(tmp_path / "secret.js")
    (tmp_path / "assets" / ".vite" / "manifest.json").write_text("{}")
    return tmp_path / "assets"


@pytest.mark.parametrize(
    ("path", "caching"),
    [("/assets/transfer-D-ijWXZj.js", "public, max-age=31536000, immutable"), ("/assets/plain.js", "public, no-cache")],
)
def test_only_a_hashed_name_is_kept_for_ever(serve: Serve, built: Path, path: str, caching: str) -> None:
    answer = serve(Files(ASSETS, built)).ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (answer.status, answer.headers["cache-control"]) == (200, caching)


@pytest.mark.parametrize(
    "path",
    [
        "/assets",
        "/assets/",
        "/assets/../secret.js",
        "/assets/%2e%2e/secret.js",
        "/assets/..%2fsecret.js",
        "/assets/sub/../../secret.js",
        "/assets//secret.js",
        "/assets/%5c..%5csecret.js",
        "/assets/link.js",
        "/assets/.vite/manifest.json",
        "/assets/notes.txt",
        "/assets/sub",
        "/assets/none.js",
        "/assets/" + "a" * 300 + ".js",
    ],
)
def test_nothing_else_is_given_out(serve: Serve, built: Path, path: str) -> None:
    answer = serve(Files(ASSETS, built)).ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_only_a_worker_may_run_webassembly(serve: Serve, built: Path) -> None:
    (built / "hashing.worker-Cl4rXvG9.js").write_text("hash")
    server = serve(Files(ASSETS, built))
    policies = {
        name: server.ask(f"GET /assets/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n").headers["content-security-policy"]
        for name in ("hashing.worker-Cl4rXvG9.js", "plain.js")
    }
    assert "'wasm-unsafe-eval'" in policies["hashing.worker-Cl4rXvG9.js"]
    assert "wasm" not in policies["plain.js"]


def test_the_manifest_names_the_entry_and_the_styles_of_what_it_imports(tmp_path: Path) -> None:
    assert read_build(tmp_path) == Build()
    (tmp_path / ".vite").mkdir()
    manifest = tmp_path / ".vite" / "manifest.json"
    manifest.write_text(json.dumps({"src/other.ts": {"file": "other.js"}}))
    assert read_build(tmp_path) == Build()
    manifest.write_text(
        json.dumps(
            {
                "src/transfer.ts": {"file": "t-1.js", "css": ["t.css"], "imports": ["_a.js"]},
                "_a.js": {"file": "a.js", "css": ["a.css", "t.css"]},
            }
        )
    )
    assert read_build(tmp_path) == Build(("/assets/t-1.js",), ("/assets/t.css", "/assets/a.css"))
