"""The one receive path: create, append, settle, finish, publish, recover, expire, read back."""

from eft.transfers.bus import Bus
from eft.transfers.content import Content
from eft.transfers.directory import Directory, Space
from eft.transfers.directory_view import Entry
from eft.transfers.intent import Intent, TransferSettings
from eft.transfers.reception import Reception
from eft.transfers.resources import Resources
from eft.transfers.service import Transfers

__all__ = ["Bus", "Content", "Directory", "Entry", "Intent", "Reception", "Resources", "Space", "TransferSettings", "Transfers"]
