"""What a storage must do for opt-outs: the decision record, what is remembered, and what is in trouble.

What lives here: `ConsentStore`, a part of `syncline.store.Storage`. No SQL, no rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta

from syncline.backlog import Grant
from syncline.consent import ConsentNote, ConsentTrouble, Decision, RecordEntry, Seal, Standing
from syncline.records import RecordKey

__all__ = ["ConsentStore"]


class ConsentStore(ABC):
    """The part of a storage that keeps opt-outs; the conditions of `Storage` hold here too."""

    @abstractmethod
    def note_consent(self, grant: Grant, note: ConsentNote) -> None:
        """Append decisions, replace standings, and note or end troubles, in one transaction.

        Decisions get ids that grow, and each carries a hash of its content and of all before it, as
        `syncline.consent.chain` says. Nothing empties one but `forget` and `purge`, which leave its place and hash and
        add an entry that names it. A trouble that is there already keeps its `since`. Scope, here and below, is the
        integration's name, `syncline.scopes.scope_of` the workflow.
        """

    @abstractmethod
    def standings(self, scope: str, people: Sequence[str]) -> Mapping[tuple[str, str], Standing]:
        """What is remembered about these people, by person and Campaign field."""

    @abstractmethod
    def decisions(
        self, scope: str, *, person: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[Decision]:
        """The decision record in its order, of one person or of all, from the one after id `after`.

        Raises ValueError for a limit below 0.
        """

    @abstractmethod
    def record_entries(self, scope: str, *, after: int = 0, limit: int = 1_000) -> Sequence[RecordEntry]:
        """The decision record as it is stored, emptied entries too, from the one after the place `after`."""

    @abstractmethod
    def record_seal(self, scope: str) -> Seal:
        """Where the decision record ends."""

    @abstractmethod
    def consent_troubles(self, scope: str, limit: int = 100) -> Sequence[ConsentTrouble]:
        """What is in trouble, the longest first. Raises ValueError for a limit below 0."""

    @abstractmethod
    def consent_numbers(self, scope: str) -> tuple[int, int, int]:
        """How many people's opt-outs are not delivered, opt-ins are held, and opt-outs wait for a profile."""

    @abstractmethod
    def arrived(self, scope: str, workflow: str, table: str, *, patience: timedelta, limit: int) -> Sequence[str]:
        """People whose standings wait for a profile and for whom it is worth looking again.

        That is: the ledger of `workflow` has them in `table` and had not when they were looked for, or the last look
        was longer than `patience` ago. Of those who are `missed` the ledger counts a quarter of an hour after the look.
        """

    @abstractmethod
    def pull_forward(self, workflow: str, keys: Sequence[RecordKey]) -> int:
        """Let these records be read by key and written before others; how many. Harmless without such a workflow."""
