"""What an author of a Campaign connector supplies to its checks.

What lives here: `CampaignSubject`. No check.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import final

from syncline.connectors.base import CampaignConnector
from syncline.records import Outcome, RecordKey, TargetRecord, Value, Values, Write
from syncline.schemas import TableSchema
from syncline.testing.connector_checks.subject import PRIVATE, ConnectorSubject, ours

__all__ = ["ANN", "BOB", "NOBODY", "CampaignSubject"]

ANN = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-2222-4222-8222-222222222222"
NOBODY = "99999999-9999-4999-8999-999999999999"


class CampaignSubject(ConnectorSubject):
    """A marketing system without any record of `resource`, and a connector to it."""

    #: The resource that the checks write to.
    resource: str = "profile"
    #: Its field that holds the source's primary key.
    key_field: str = "externalId"
    #: Two of its fields that hold text of any kind, up to 20 characters.
    text_fields: tuple[str, str] = ("firstName", "lastName")
    #: What a record needs besides, to be created.
    required: Mapping[str, Value] = {}
    #: How many changed records the connector asks for at once, where it has `changed_since`.
    page_size: int = 5
    #: An opt-out field of `resource`, which has to be `profile` then, under Campaign's name; empty where it has none.
    opt_out: str = "blackListEmail"

    @property
    @abstractmethod
    def connector(self) -> CampaignConnector:
        """The connector under test; the same one each time."""

    @abstractmethod
    def another(self) -> CampaignConnector:
        """A new connector to the same environment, as another process would make it."""

    @abstractmethod
    def put(self, key: str, values: Values) -> None:
        """Somebody else creates the record with this key, or changes these fields of it: text fields, or `opt_out`."""

    @abstractmethod
    def get(self, key: str) -> Values | None:
        """The text fields of the record with this key as the far side has them; None when there is none."""

    @abstractmethod
    def keys(self) -> Collection[str]:
        """The key of each record that is there, as often as there are records with it."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Somebody else deletes the record."""

    def refuse(self, key: str) -> None:
        """From now on the service refuses every write of this record for good."""
        raise NotImplementedError

    def opted_out(self, key: str) -> bool:
        """What the far side has in `opt_out` of a record that is there."""
        raise NotImplementedError

    def link_elsewhere(self) -> None:
        """From now on links from one page of changes to the next lead to another address than the service's."""
        raise NotImplementedError

    # -- for the checks -----------------------------------------------------------------------------------------------

    @final
    def ask(self) -> TargetRecord | None:
        return self.find(NOBODY)

    @final
    @cached_property
    def schema(self) -> TableSchema:
        """As it was when it was asked for first: a workflow, too, asks when it starts and not before each record."""
        schema = self.connector.describe(self.resource)
        assert schema is not None, f"describe() does not know {self.resource}"
        return schema

    @final
    def find(self, key: str) -> TargetRecord | None:
        return self.connector.find(self.schema, self.key_field, key)

    @final
    def ref(self, key: str) -> str:
        """The address of a record that is there."""
        found = self.find(key)
        assert found is not None, "a record that is there is not found"
        return found.ref

    @final
    def texts(self, first: Value = PRIVATE[0], second: Value = PRIVATE[1]) -> dict[str, Value]:
        """Both text fields."""
        return dict(zip(self.text_fields, (first, second), strict=True))

    @final
    def values(self, key: str, first: Value = PRIVATE[0], second: Value = PRIVATE[1]) -> dict[str, Value]:
        """All that is needed to create a record."""
        return {self.key_field: key, **self.required, **self.texts(first, second)}

    @final
    def write(self, key: str, first: Value = PRIVATE[0], *, known: bool = False, ambiguous: bool = False) -> Write:
        """The record shall be there with this first text."""
        return Write(
            key=RecordKey(table="contact", id=key),
            resource=self.resource,
            key_field=self.key_field,
            create_values=self.values(key, first),
            update_values=self.texts(first),
            known=known,
            ambiguous=ambiguous,
        )

    @final
    def deletion(self, key: str, *, ambiguous: bool = False) -> Write:
        """The record shall not be there."""
        return Write(
            key=RecordKey(table="contact", id=key),
            resource=self.resource,
            key_field=self.key_field,
            delete=True,
            ambiguous=ambiguous,
        )

    @final
    def apply(self, write: Write) -> Outcome:
        return self.connector.apply(write, self.schema, still_ours=ours)

    @final
    def create(self, key: str) -> None:
        self.connector.create(self.schema, self.values(key))
