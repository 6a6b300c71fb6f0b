"""Names from the wire. Whatever a client sends, what comes out names something below the root of its case, or the root.

There is no file system behind these names and there are no links, so a path means what its letters say: `..` is taken away with
the component before it, and nothing lies above the root.
"""

from __future__ import annotations

from eft.domain.errors import NameNotAllowed, ReadOnly


def resolve(raw: bytes) -> str:
    """The relative path, normalised: components joined by `/`, none of them empty, `.` or `..`; `''` is the root.

    A path without a leading slash starts at the root too. Raises NameNotAllowed where it is not UTF-8 or has a NUL.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NameNotAllowed("is not valid UTF-8; set the client to UTF-8") from None
    if "\0" in text:
        raise NameNotAllowed("has a NUL character")
    kept: list[str] = []
    for component in text.split("/"):
        if component == "..":
            if kept:
                kept.pop()
        elif component not in ("", "."):
            kept.append(component)
    return "/".join(kept)


def below_root(raw: bytes) -> str:
    """The same, of what is to be changed. Raises ReadOnly for the root too."""
    path = resolve(raw)
    if not path:
        raise ReadOnly("The top directory stays as it is.")
    return path


def absolute(path: str) -> str:
    """The path as a client sees it."""
    return "/" + path


def base(path: str) -> str:
    """The last component."""
    return path.rpartition("/")[2]
