"""Names that clients choose for files. They are shown and matched, never used as names in storage."""

from __future__ import annotations

import unicodedata

from eft.domain.errors import NameNotAllowed

COMPONENT_BYTES = 255
PATH_BYTES = 1024
DEPTH = 32

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check_name(name: str) -> str:
    """`name` itself: a relative path with `/` between its components, kept exactly as the client wrote it.

    Letters of any script, spaces, emoji, leading dashes and names such as `CON` are all allowed: storage never sees them.
    Not allowed is what could be taken for something else: an empty component, `.` and `..`, a leading slash, a backslash,
    control characters and invisible marks that reorder text. A component has at most 255 bytes of UTF-8, the whole 1,024,
    and there are at most 32 components.

    Raises NameNotAllowed.
    """
    if not name:
        raise NameNotAllowed("is empty")
    if name.startswith("/"):
        raise NameNotAllowed("begins with a slash; names are relative")
    components = name.split("/")
    if len(components) > DEPTH:
        raise NameNotAllowed(f"has more than {DEPTH} levels")
    for component in components:
        check_component(component)
    if len(name.encode()) > PATH_BYTES:
        raise NameNotAllowed(f"is longer than {PATH_BYTES} bytes in UTF-8")
    return name


def check_component(component: str) -> str:
    """One component of a name, under the rules of `check_name`. Raises NameNotAllowed."""
    if component in ("", ".", ".."):
        raise NameNotAllowed("has a component that is empty, `.` or `..`")
    if "\\" in component:
        raise NameNotAllowed("has a backslash; use / between directories")
    if component.isascii() and component.isprintable() and len(component) <= COMPONENT_BYTES:
        return component
    for character in component:
        kind = unicodedata.category(character)
        if kind == "Cs":
            raise NameNotAllowed("is not valid UTF-8")
        if kind == "Cc" or character in "\u2028\u2029":
            raise NameNotAllowed("has a control character")
        if character in _BIDI_CONTROLS:
            raise NameNotAllowed("has an invisible mark that reorders text")
    if len(component.encode()) > COMPONENT_BYTES:
        raise NameNotAllowed(f"has a component longer than {COMPONENT_BYTES} bytes in UTF-8")
    return component
