"""A person in front of the Transfer Files page, as a case system names them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eft.domain.upload import Source

EMAIL: Final = r"^[!-?A-~]{1,64}@[!-?A-~]{1,189}$"
"""What counts as an e-mail address: printable ASCII around one `@`. Whether mail arrives there is the case system's concern."""


class Role(StrEnum):
    CUSTOMER = "customer"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Person:
    """`name` is what the page calls them; `email` and `role` say who they are."""

    name: str
    email: str
    role: Role

    @property
    def source(self) -> Source:
        """What their files are listed under: staff hand files back."""
        return Source.SUPPORT if self.role is Role.STAFF else Source.HTTPS

    @property
    def actor_name(self) -> str:
        """Their name in the audit log."""
        return f"{self.role.value}:{self.email}"

    def is_same_as(self, other: Person) -> bool:
        """The same person in the same role; a changed display name makes nobody another."""
        return (self.email.casefold(), self.role) == (other.email.casefold(), other.role)
