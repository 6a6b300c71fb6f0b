"""Files that the page loads: its own style, and what the build of `web/` left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import json
from pathlib import Path
import re
from typing import Final

from eft.domain.errors import NotFound
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response

ASSETS: Final = "/assets"
STATIC: Final = "/static"

_HERE: Final = Path(__file__).parent
_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LONGEST_NAME: Final = 200
_HASHED = re.compile(r"-[A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_ENTRY: Final = "src/transfer.ts"
_WORKER: Final = ".worker-"
_WORKER_POLICY: Final = ("Content-Security-Policy", "default-src 'none'; script-src 'wasm-unsafe-eval'")
"""A worker goes by the policy that its own file came with: it may run WebAssembly, which the page may not, and load nothing."""


@dataclass(frozen=True, slots=True)
class Build:
    """The addresses of the built script and its styles; none where it was not built."""

    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()


class Files:
    """Serves the files of one directory, and nothing beside or above it. Only types that a page needs are given out."""

    def __init__(self, prefix: str, directory: Path) -> None:
        self._prefix = prefix
        self._directory = directory

    async def __call__(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "method-not-allowed", "Files are only read.", "Use GET.", headers={"Allow": "GET, HEAD"})
        name = request.path.removeprefix(self._prefix).removeprefix("/")
        kind = _TYPES.get(Path(name).suffix)
        if kind is None or len(name) > _LONGEST_NAME or _NAME.fullmatch(name) is None:
            raise NotFound
        content = await asyncio.to_thread(self._read, name)
        caching = "public, max-age=31536000, immutable" if _HASHED.search(name) else "public, no-cache"
        headers = (
            ("Content-Type", kind),
            ("Cache-Control", caching),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        )
        return Response(200, (*headers, _WORKER_POLICY) if _WORKER in name else headers, content)

    def _read(self, name: str) -> bytes:
        """Raises NotFound; a link out of the directory leads nowhere."""
        file = (self._directory / name).resolve()
        if not file.is_relative_to(self._directory.resolve()) or not file.is_file():
            raise NotFound
        return file.read_bytes()


def assets() -> Files:
    return Files(ASSETS, _HERE / "assets")


def static() -> Files:
    return Files(STATIC, _HERE / "static")


def read_build(directory: Path = _HERE / "assets") -> Build:
    """What the build's manifest names for the page, the styles of what it imports included."""
    try:
        manifest = json.loads((directory / ".vite" / "manifest.json").read_bytes())
    except FileNotFoundError:
        return Build()
    entry = manifest.get(_ENTRY)
    if entry is None:
        return Build()
    styles = list(entry.get("css", ()))
    for imported in entry.get("imports", ()):
        styles += [style for style in manifest.get(imported, {}).get("css", ()) if style not in styles]
    return Build((f"{ASSETS}/{entry['file']}",), tuple(f"{ASSETS}/{style}" for style in styles))
