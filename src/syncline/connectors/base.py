"""What a connector is: the abstract bases of both sides, and the write that every Campaign connector makes alike.

What lives here: `DynamicsConnector` and `CampaignConnector`. A connector author implements the abstract methods; the
methods marked final hold the rules that must not differ between connectors. No HTTP here, no storage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, final

from attrs import field, frozen

from syncline.errors import ConflictError, DefinitionError, ProtocolError, SynclineError
from syncline.records import Change, NewRow, Outcome, OutcomeKind, Page, ReadRequest, TargetRecord, Value, Values, Write
from syncline.schemas import FieldSchema, TableSchema

__all__ = [
    "CampaignCapabilities",
    "CampaignConnector",
    "ChangedPage",
    "DynamicsConnector",
    "Gate",
    "KeyCheck",
    "KeyProblem",
]


class Gate(Protocol):
    """A gate that stays closed while a service asks for silence. One per principal and service."""

    @property
    def principal(self) -> str:
        """Names who is being throttled, where; the key under which the storage shares the gate. No secrets."""

    @property
    def closed_until(self) -> datetime | None:
        """When the silence ends; None while the gate is open."""

    def close_until(self, when: datetime) -> None:
        """Stay closed at least until `when`. Never shortens a wait."""


class Connector(ABC):
    """What both sides have in common. Every method may be called from several threads at once."""

    @property
    @abstractmethod
    def name(self) -> str:
        """One word and an origin for people, such as `Dynamics 365 at contoso.crm.dynamics.com`. No secrets."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Tells one environment from another: a store that was filled from one never talks to another."""

    @property
    @abstractmethod
    def gates(self) -> Sequence[Gate]:
        """Every gate this connector's requests pass: a `syncline.connectors.http.ThrottleGate` for each principal, say.

        The same objects each time: the engine closes them for what other workers were told, and keeps what they learn.
        """

    @abstractmethod
    def check_access(self) -> None:
        """Prove that the credentials work. Raises CredentialsError, UnavailableError or ThrottledError."""

    @abstractmethod
    def tables(self) -> Mapping[str, str]:
        """Logical name to label of every table or resource that can be used in a mapping."""

    @abstractmethod
    def describe(self, table: str) -> TableSchema | None:
        """The table's schema as of now, or None when there is no such table."""

    @property
    def clock_offset(self) -> float | None:
        """The service's clock minus ours in seconds, measured from its answers; None before the first answer.

        Ours is the clock that the connector was given. None always where the service does not say what time it is:
        then both are taken for equal.
        """
        return None

    def close(self) -> None:
        """Let go of connections. The connector opens them again when it is used again."""


class DynamicsConnector(Connector):
    """The Dynamics 365 side of an integration.

    Eight things are abstract, and they make ingress; what else it can do a connector adds by overriding. The promises
    are checked by `syncline.testing.connector_checks.DYNAMICS_CHECKS`.

    Egress needs `create` and `links`, and asks `fetch` which contacts there are. Opt-In/Out asks for the table
    `contact` and takes as its word:

    - an opt-out as a boolean, under the name that `describe` gives it; None where the contact says nothing;
    - `modifiedon` and `createdon` as moments in ISO 8601 by the service's clock; one without a zone is in UTC;
    - `Change.etag`, which is the same for one state of a row wherever it is told, in pages and by `fetch`;
    - `_masterid_value`, where `describe` has it: the id, in lower case, of the contact that this one was merged into.

    To write opt-outs it needs `update_over`.
    """

    @abstractmethod
    def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
        """As for every connector; `language` is the LCID that option labels are wanted in (1033 is English)."""

    @abstractmethod
    def read(self, request: ReadRequest) -> Page:
        """Read one page.

        - LOAD and DELTA pages carry `next_link` while more follow and `delta_link` on the last; an end without a
          delta link raises ProtocolError. KEYS and OVERLAP pages carry `next_link` or nothing.
        - KEYS shows every row that is there from its first page to its last, as changes without values.
        - Changes keep the source's order. A key may appear more than once; the last appearance is the newest.
        - Deletes carry the key only.
        - A link is all there is to a position: any process reads on with it, and reads the same page again.

        Raises CursorLostError when the link is expired or not of this environment, SchemaChangedError when a column
        or the table is gone, ThrottledError, UnavailableError, CredentialsError, ProtocolError, UntrustedUrlError.
        """

    @abstractmethod
    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        """The current state of these records, by id as it was asked for; for many ids, too, in one call.

        - Ids that are not in the answer do not exist any more, and what can be no id does not exist.
        - Without columns only who is there is asked; the values may be empty then.

        Raises as `read`.
        """

    def schema_mark(self, table: str) -> str | None:
        """Something that differs after any schema of the environment changed; None where the service tells nothing.

        Asked after every page that brought changes, so it should cost little. Only equality means anything.
        """
        return None

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        """Change these columns of a row, only while its version is `etag`; the version that the write left behind.

        - Of several writes over one version one succeeds.
        - The answer is the version under which this change comes back with the changes and by `fetch`. Empty where the
          service does not tell it, which costs a comparison later and nothing else.
        - A change is made on the service's own word only, as with `create`.

        Raises ConflictError when the row is gone or was changed since, else as `CampaignConnector.update`. A connector
        that cannot do this conditionally must not do it at all: opt-outs would be lost.
        """
        raise DefinitionError(
            f"{type(self).__name__} cannot write to {table} under a condition.",
            remedy="Opt-outs travel to Dynamics only through a connector that implements update_over().",
        )

    @property
    def most_new_rows(self) -> int:
        """How many rows one call of `create` should have: 1 or more. A call of so many is taken as a whole."""
        return 1_000

    def create(
        self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]
    ) -> Sequence[Outcome | SynclineError]:
        """Create rows under their own ids and nothing else; one answer for each, in their order.

        - CREATED; IDENTICAL when a row with that id is there, whatever it says: it is left alone; PARENT_UNKNOWN when a
          record it points to does not exist, and nothing was written.
        - RecordRefusedError when the service will never take this row, which holds up no other; ConflictError when it
          may take it later; AmbiguousWriteError, UnavailableError, ThrottledError for rows whose turn did not come, and
          for those of which nobody knows.
        - A row is CREATED on the service's own word only: an answer that could be somebody else's, such as a page to
          log in on, is an AmbiguousWriteError.
        - Repeating a call creates nothing twice, nor do calls of several processes at once. A row may be in one call
          twice: it is created once, and the other may be a ConflictError until the call is repeated.
        - `still_ours` is called right before each request that creates and raises LeaseLostError, which is the answer
          of the rows whose turn did not come.

        Raises DefinitionError when this connector cannot write. StopWorkflowErrors are raised, or the answer of each
        row that they keep from being created.
        """
        raise DefinitionError(f"{self.name} cannot create rows", remedy="Implement DynamicsConnector.create.")

    def links(self, table: str) -> Mapping[str, Collection[str]]:
        """Lookup columns of a table that `create` can set, with the tables each may point to; none without `create`."""
        return {}

    def creates_in_bulk(self, table: str) -> bool | None:
        """Whether the table takes many new rows in one message; None when the service does not say. For people."""
        return None

    def activities(self) -> Mapping[str, str]:
        """Logical name to label of every table of activities; empty when the service does not say."""
        return {}

    def count(self, table: str) -> int | None:
        """About how many rows the table has; None where the service cannot say. May be a day old."""
        return None

    @property
    def recommended_parallelism(self) -> int | None:
        """How many requests at once the service recommends, once it has said so."""
        return None


class KeyProblem(StrEnum):
    """Why a target field cannot serve as the key."""

    NO_FIELD = "no such field"
    NO_FILTER = "no filter to look records up by"
    NO_IDENTIFICATION_KEY = "no identification key: creates could make duplicates"


@frozen(kw_only=True)
class KeyCheck:
    """Whether a target field can serve as the key; `problem` is None when it can. `detail` is for people."""

    problem: KeyProblem | None
    detail: str = ""


@frozen(kw_only=True)
class ChangedPage:
    """Some of the records that changed at the target, field by field, and where the next page is."""

    records: tuple[Values, ...] = field(repr=lambda records: f"<{len(records)} records>")
    next_link: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class CampaignCapabilities:
    """What a target can do, as values the engine reads."""

    #: A second create of one key is refused by the target with ConflictError, so that creating first is safe.
    refuses_duplicates: bool = True
    #: A link field can be given the PKey of a record; `link_to` says how.
    nested_links: bool = False


class CampaignConnector(Connector):
    """The Adobe Campaign side of an integration, or another marketing system in its place.

    Five small verbs look up and change one record; one final write is made of them. Eleven things are abstract. The
    promises are checked by `syncline.testing.connector_checks.CAMPAIGN_CHECKS`.

    Opt-outs travel to and from the resource `profile` only. There they are fields with the names they have in Campaign,
    such as `blackListEmail`, and the engine takes as a profile's word, by `find` and `changed_since` alike:

    - true or false, as booleans, as 1 and 0 or as text; anything else is no word;
    - in a field with `LastModified` behind that name, where `describe` has it: when the opt-out was changed, in ISO
      8601 by the service's clock; one without a zone is in UTC. It moves when the opt-out does, and not otherwise;
    - `created`, where there is one: it tells a profile from one that had the same key.

    Without `changed_since` Campaign's own opt-outs come from exported files.
    """

    capabilities: CampaignCapabilities = CampaignCapabilities()

    @abstractmethod
    def check_key(self, resource: TableSchema, key_field: str) -> KeyCheck:
        """Whether records can be found by this field and duplicates of it are refused. Writes nothing."""

    @abstractmethod
    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        """The record whose key field equals `key`, or None. Raises RecordRefusedError when several carry the key."""

    @abstractmethod
    def create(self, resource: TableSchema, values: Values) -> None:
        """Create a record.

        Raises ConflictError when its key exists already, RecordRefusedError when the target will never take it,
        AmbiguousWriteError when no answer came.
        """

    @abstractmethod
    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        """Set these fields of the record at `ref`. Raises ConflictError when it is gone, else as `create`."""

    @abstractmethod
    def delete(self, resource: TableSchema, ref: str) -> None:
        """Delete the record at `ref`; one that is gone already is no error."""

    def link_to(self, resource: TableSchema, key_field: str, key: str) -> Value:
        """What a link field is given to point to the record whose key field equals `key`; None when it is not there.

        Only asked where `capabilities.nested_links` says so. Good for this run of the program only: never stored.
        Raises as `find`.
        """
        raise ProtocolError(f"{self.name} cannot say how a record of {resource.name} is linked.")

    def count(self, resource: TableSchema) -> int | None:
        """How many records the resource has, strangers included; None where it cannot say. Raises as `find`."""
        return None

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        """A page of the records that were changed at `since` or later, by the service's clock; all of them for None.

        - The first page when `link` is None, else the one the link names; `since` is the same for all pages of a pass.
        - A link is all there is to a position: any process reads on with it, and reads the same page again.
        - Records may repeat and may come in any order. A record that stays from the first page to the last is told,
          whatever others come and go; one that is changed meanwhile may be told as it was before.
        - Values are those that `find` has, the key among them.

        Raises DefinitionError, before it sends anything, where the target cannot tell, SchemaChangedError when it no
        longer can, and else as `find`.
        """
        raise DefinitionError(f"{type(self).__name__} cannot tell which records of {resource.name} changed.")

    def same(self, schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
        """Whether a stored value already says what is wanted, in the target's own spelling of types and nulls.

        Here: the same value of the same type, where no value and an empty text are one. A target that spells values
        in ways of its own, such as dates or numbers as text, has to say so, or every comparison ends in a write.
        """
        if stored in (None, "") and wanted in (None, ""):
            return True
        return stored == wanted and isinstance(stored, bool) == isinstance(wanted, bool)

    @final
    def apply(self, write: Write, resource: TableSchema, *, still_ours: Callable[[], None]) -> Outcome:
        """Make the write true, comparing before writing, and say what it came to.

        `still_ours` is called right before each request that changes the target and raises LeaseLostError when this
        process may not write any more. A record that the ledger does not know is created first where the target
        refuses duplicates; the refusal then leads to the compare. After an ambiguous attempt the target is looked at
        before anything is sent again.
        """
        key = write.key.id
        calls = 0
        if not (write.delete or write.known or write.ambiguous) and self.capabilities.refuses_duplicates:
            still_ours()
            calls += 1
            try:
                self.create(resource, write.create_values)
                return Outcome(kind=OutcomeKind.CREATED, calls=calls)
            except ConflictError:
                pass  # somebody else's record carries the key already: it is adopted below
        found = self.find(resource, write.key_field, key)
        calls += 1
        if write.delete:
            if found is None:
                return Outcome(kind=OutcomeKind.MISSING, calls=calls)
            still_ours()
            self.delete(resource, found.ref)
            return Outcome(kind=OutcomeKind.DELETED, calls=calls + 1)
        if found is None:
            still_ours()
            self.create(resource, write.create_values)
            return Outcome(kind=OutcomeKind.CREATED, calls=calls + 1)
        different = self.differences(resource, found.values, write.update_values)
        if not different:
            return Outcome(kind=OutcomeKind.IDENTICAL, calls=calls)
        still_ours()
        self.update(resource, found.ref, different)
        return Outcome(kind=OutcomeKind.UPDATED, calls=calls + 1)

    @final
    def differences(self, resource: TableSchema, stored: Values, wanted: Values) -> dict[str, Value]:
        """The wanted fields whose stored value says something else."""
        return {
            name: value
            for name, value in wanted.items()
            if not self.same(resource.fields.get(name), stored.get(name), value)
        }
