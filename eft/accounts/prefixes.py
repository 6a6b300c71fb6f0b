"""The region in front of user names and tokens: `eft_us_…` belongs to `us`, and any gateway can tell (K18)."""

from __future__ import annotations

from collections.abc import Mapping
import re

from eft.domain.region import Region

_PREFIX = re.compile(r"eft_([a-z0-9-]{1,32})_")


def foreign_region(text: str, own: str, regions: Mapping[str, Region]) -> Region | None:
    """The other region that `text` names in front; None where it names this one, one that does not exist, or none.

    Decided by `regions` alone: nothing is looked up.
    """
    found = _PREFIX.match(text)
    if found is None or found.group(1) == own:
        return None
    return regions.get(found.group(1))
