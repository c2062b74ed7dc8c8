"""Syncline keeps Microsoft Dynamics 365 and Adobe Campaign Standard in step, inside your own program.

What lives here: the names a host needs most, each loaded from its own module when it is first asked for. Importing
`syncline` loads no HTTP client and has no side effect.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.backlog import Backlog
    from syncline.connectors.base import CampaignConnector, DynamicsConnector
    from syncline.definitions import (
        Comparison,
        EgressDefinition,
        FieldMapping,
        FieldReplacement,
        Filter,
        IngressDefinition,
        Link,
        LinkBy,
        Match,
        OptOutDefinition,
        OptOutDirection,
        OptOutPair,
        TableMapping,
    )
    from syncline.errors import (
        ActionNotAvailableError,
        AmbiguousWriteError,
        CheckFailedError,
        ConflictError,
        ConversionError,
        CredentialsError,
        CursorLostError,
        DefinitionError,
        EnvironmentChangedError,
        ForkedConnectionError,
        LeaseLostError,
        MissingExtraError,
        ProtocolError,
        RecordRefusedError,
        RetryLaterError,
        SchemaChangedError,
        SetupError,
        SkipRecordError,
        StopWorkflowError,
        StorageBusyError,
        StorageCorruptError,
        StorageError,
        StorageFullError,
        StorageMismatchError,
        StorageUnusableError,
        SynclineError,
        ThrottledError,
        UnavailableError,
        UntrustedUrlError,
    )
    from syncline.integration import Integration
    from syncline.state_machine import WorkflowState
    from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
    from syncline.store import Storage
    from syncline.workflows.base import Workflow

__version__ = "0.1.0"

__all__ = [
    "ActionNotAvailableError",
    "AmbiguousWriteError",
    "Backlog",
    "CampaignConnector",
    "CheckFailedError",
    "Comparison",
    "ConflictError",
    "ConversionError",
    "CredentialsError",
    "CursorLostError",
    "DefinitionError",
    "DynamicsConnector",
    "EgressDefinition",
    "EnvironmentChangedError",
    "FieldMapping",
    "FieldReplacement",
    "Filter",
    "ForkedConnectionError",
    "IngressDefinition",
    "Integration",
    "LeaseLostError",
    "Link",
    "LinkBy",
    "Match",
    "MemoryStorage",
    "MissingExtraError",
    "OptOutDefinition",
    "OptOutDirection",
    "OptOutPair",
    "ProtocolError",
    "RecordRefusedError",
    "RetryLaterError",
    "SQLiteStorage",
    "SchemaChangedError",
    "SetupError",
    "SkipRecordError",
    "StopWorkflowError",
    "Storage",
    "StorageBusyError",
    "StorageCorruptError",
    "StorageError",
    "StorageFullError",
    "StorageMismatchError",
    "StorageUnusableError",
    "SynclineError",
    "TableMapping",
    "ThrottledError",
    "UnavailableError",
    "UntrustedUrlError",
    "Workflow",
    "WorkflowState",
    "__version__",
]

#: Where the names live that do not live in `syncline.errors`.
_HOMES = {
    "Backlog": "syncline.backlog",
    "CampaignConnector": "syncline.connectors.base",
    "Comparison": "syncline.definitions",
    "DynamicsConnector": "syncline.connectors.base",
    "EgressDefinition": "syncline.definitions",
    "FieldMapping": "syncline.definitions",
    "FieldReplacement": "syncline.definitions",
    "Filter": "syncline.definitions",
    "IngressDefinition": "syncline.definitions",
    "Integration": "syncline.integration",
    "Link": "syncline.definitions",
    "LinkBy": "syncline.definitions",
    "Match": "syncline.definitions",
    "MemoryStorage": "syncline.storage.sqlite",
    "OptOutDefinition": "syncline.definitions",
    "OptOutDirection": "syncline.definitions",
    "OptOutPair": "syncline.definitions",
    "SQLiteStorage": "syncline.storage.sqlite",
    "Storage": "syncline.store",
    "TableMapping": "syncline.definitions",
    "Workflow": "syncline.workflows.base",
    "WorkflowState": "syncline.state_machine",
}


if not TYPE_CHECKING:  # a type checker that saw `__getattr__` would believe in every misspelt name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'syncline' has no attribute {name!r}")
        value = getattr(import_module(_HOMES.get(name, "syncline.errors")), name)
        globals()[name] = value  # the next look-up finds it without coming here
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
