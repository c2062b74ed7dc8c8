"""Exported files in a folder, as a source of rows.

What lives here: the names a host uses. SFTP is imported from `syncline.connectors.file_drop.sftp`, since it needs an
extra.
"""

from syncline.connectors.file_drop.drop import FileDrop
from syncline.connectors.file_drop.folder import Folder, LocalFolder

__all__ = ["FileDrop", "Folder", "LocalFolder"]
