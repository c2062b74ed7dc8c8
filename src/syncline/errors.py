"""Every error Syncline raises, grouped by what the caller does next.

What lives here: exception classes and nothing else. Third-party exceptions are translated into these at the
adapter's edge and never escape. No class here takes a request, a response body or a record value: messages name
tables, keys and fields only.

    SynclineError
    ├── RetryLaterError          the same call may succeed later; nothing is lost by waiting
    │   ├── ThrottledError           the service named a time before which nothing may be sent
    │   ├── UnavailableError         not applied: the request did not reach the service or was turned away
    │   ├── AmbiguousWriteError      a write was sent and no answer came: it may or may not have happened
    │   ├── ConflictError            the target changed since it was read: read again and decide again
    │   ├── StorageBusyError         another process holds the database
    │   └── StorageFullError         no space is left; the cursor did not move
    ├── SkipRecordError          this record cannot be written as it is; the others can
    │   ├── ConversionError          a value does not fit the target field
    │   └── RecordRefusedError       the target refuses the record for good
    ├── StopWorkflowError        going on would lose or damage something: the workflow becomes FAILED
    │   ├── CredentialsError         the service does not accept who we are
    │   ├── SchemaChangedError       a table or field is not what it was at start
    │   ├── CursorLostError          the change-tracking position is gone: a full read must follow
    │   ├── ProtocolError            an answer that cannot be what the service sends
    │   ├── UntrustedUrlError        an answer named an address outside the configured ones
    │   ├── LeaseLostError           another process took over: this one may change nothing more
    │   └── StorageError             the database cannot be trusted or used
    │       ├── StorageCorruptError
    │       ├── StorageMismatchError
    │       ├── StorageUnusableError
    │       └── ForkedConnectionError
    └── SetupError               a person has to correct something before this can work
        ├── DefinitionError          a definition contradicts itself or names what does not exist
        ├── ActionNotAvailableError  the action does not fit the status
        ├── CheckFailedError         the pre-flight found what must be mended first
        └── MissingExtraError        an optional dependency is not installed
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

__all__ = [
    "ActionNotAvailableError",
    "AmbiguousWriteError",
    "CheckFailedError",
    "ConflictError",
    "ConversionError",
    "CredentialsError",
    "CursorLostError",
    "DefinitionError",
    "EnvironmentChangedError",
    "ForkedConnectionError",
    "LeaseLostError",
    "MissingExtraError",
    "ProtocolError",
    "RecordRefusedError",
    "RetryLaterError",
    "SchemaChangedError",
    "SetupError",
    "SkipRecordError",
    "StopWorkflowError",
    "StorageBusyError",
    "StorageCorruptError",
    "StorageError",
    "StorageFullError",
    "StorageMismatchError",
    "StorageUnusableError",
    "SynclineError",
    "ThrottledError",
    "UnavailableError",
    "UntrustedUrlError",
]


class SynclineError(Exception):
    """The root of every error Syncline raises.

    `remedy` says what a person can do next; it is empty where waiting is all there is to do. Classes have one of their
    own for where nothing better is known.
    """

    usual_remedy: ClassVar[str] = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy or self.usual_remedy

    def __str__(self) -> str:
        if not self.remedy:
            return self.message
        return f"{_sentence(self.message)} {self.remedy}".strip()


def _sentence(message: str) -> str:
    """The message with a full stop, where it needs one before the next sentence."""
    return message if not message or message.endswith((".", "!", "?", ":")) else f"{message}."


class RetryLaterError(SynclineError):
    """The same call may succeed later; nothing is lost by waiting."""


class ThrottledError(RetryLaterError):
    """The service asked for silence.

    `retry_after` is the wait in seconds that the service asked for, or None where it named none.
    `principal` names the gate that must stay closed for every worker.
    """

    def __init__(self, message: str, *, retry_after: float | None, principal: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after
        self.principal = principal


class UnavailableError(RetryLaterError):
    """The service could not be reached or turned the request away; the request was not applied."""


class AmbiguousWriteError(RetryLaterError):
    """A write was sent and no usable answer came back: it may or may not have happened.

    Look at the target before sending it again.
    """


class ConflictError(RetryLaterError):
    """The target changed since it was read: read again and decide again."""


class StorageBusyError(RetryLaterError):
    """Another process held the database for longer than the busy timeout."""


class StorageFullError(RetryLaterError):
    """The disk, or the database's own limit, is full. The transaction is gone; the cursor did not move."""


class SkipRecordError(SynclineError):
    """This record cannot be written as it is. `field` names the target or source field where one is known."""

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.field = field


class ConversionError(SkipRecordError):
    """A value cannot become what the target field holds, or is too long for it."""


class RecordRefusedError(SkipRecordError):
    """The target refuses this record for good."""


class StopWorkflowError(SynclineError):
    """Going on would lose or damage something: the workflow becomes FAILED with this error."""


class CredentialsError(StopWorkflowError):
    """The service does not accept the credentials, or they lack a privilege."""

    usual_remedy = "Check the credentials and what they may do, then start again."


class SchemaChangedError(StopWorkflowError):
    """A table or field is not what it was when the workflow started. `table` and `field` name it.

    `lost` names, as resource and field, what Campaign does not hold any more of what was written; an empty field stands
    for the whole resource.
    """

    usual_remedy = "Correct the mapping or publish what is missing, then start again; nothing was lost."

    def __init__(
        self,
        message: str,
        *,
        table: str = "",
        field: str = "",
        remedy: str = "",
        lost: Collection[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.table = table
        self.field = field
        self.lost = frozenset(lost)


class CursorLostError(StopWorkflowError):
    """The change-tracking position is expired, unknown, or belongs to another environment.

    Only a full read that also finds deletions may follow; never a restart from now.
    """


class ProtocolError(StopWorkflowError):
    """An answer that cannot be what the service sends: not JSON, too large, too deep, or without what it must have."""

    usual_remedy = "Nothing was lost. Start again; if it stays, give the service's support the time and this message."


class UntrustedUrlError(StopWorkflowError):
    """An answer named an address outside the configured origins. Nothing was sent there."""

    usual_remedy = (
        "Nothing was lost or sent there. Check that the configured address is the service's own, not a proxy's."
    )


class LeaseLostError(StopWorkflowError):
    """Another process took this workflow over; this one stopped before it could change anything more."""


class StorageError(StopWorkflowError):
    """The database cannot be trusted or used."""


class StorageCorruptError(StorageError):
    """The file is damaged, or is no database at all. It was left as it is."""


class StorageMismatchError(StorageError):
    """A sound database that is not ours, or of a version this release does not know."""


class StorageUnusableError(StorageError):
    """The place cannot hold the database: read-only, not permitted, missing, or on a network file system."""


class ForkedConnectionError(StorageError):
    """A storage opened in one process was used in a child of it. Open a new one in each process."""


class SetupError(SynclineError):
    """A person has to correct something before this can work."""


class DefinitionError(SetupError):
    """A definition contradicts itself or names what does not exist. `path` says where, such as `mappings[0].key`."""

    def __init__(self, message: str, *, path: str = "", remedy: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message, remedy=remedy)
        self.path = path


class EnvironmentChangedError(SetupError):
    """The storage was filled from, or for, another environment than the one that is configured now."""

    usual_remedy = (
        "If the environment was renamed, copied or reset on purpose, call adopt_environment() and start; else correct "
        "the address, or use a storage or an integration name of its own."
    )


class ActionNotAvailableError(SetupError):
    """The action does not fit the status. `status` is what it is; `available` lists the actions that do fit."""

    def __init__(self, action: str, *, status: str, available: Sequence[str], reason: str = "") -> None:
        allowed = ", ".join(available) or "none"
        because = f" ({reason})" if reason else ""
        super().__init__(f"{action} is not available while the status is {status}{because}. Available now: {allowed}.")
        self.action = action
        self.status = status
        self.available = tuple(available)


class CheckFailedError(SetupError):
    """The pre-flight found what must be mended first; the message lists each failed check with its remedy.

    `lost` is as in `SchemaChangedError`: of what was there at the last start.
    """

    usual_remedy = "Mend what the failed checks name, then start again."

    def __init__(self, message: str, *, lost: Collection[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.lost = frozenset(lost)


class MissingExtraError(SetupError):
    """An optional dependency is not installed; the message gives the command that installs it."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency.", remedy=f"pip install 'syncline[{extra}]'")
        self.extra = extra
