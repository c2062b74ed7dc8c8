"""Links between records, ready to use: which record a record points to.

What lives here: `LinkRule` and what it finds in a record. Whether the record it points to is in Campaign is not known
here. No I/O.
"""

from __future__ import annotations

from attrs import field, frozen

from syncline.conversions.writing import Converter
from syncline.records import RecordKey, Value, Values
from syncline.table_mapping import Link, LinkBy

__all__ = ["LinkRule", "LinkedTo"]


@frozen(kw_only=True, eq=False)
class LinkRule:
    """One link of a mapping that fits both schemas."""

    link: Link
    #: Dynamics column to read the other record's id from.
    column: str
    #: Dynamics column that says to which table the id belongs; None where there is only one.
    table_column: str | None
    #: Campaign resource of the other record, and the field of it that holds the id.
    resource: str
    key_field: str
    convert: Converter = field(repr=False)

    @property
    def by_pkey(self) -> bool:
        """Whether the link field itself is written, for which the other record's PKey is needed."""
        return self.link.by is LinkBy.PKEY

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read of a record."""
        return (self.column,) if self.table_column is None else (self.column, self.table_column)

    def value(self, values: Values) -> Value:
        """The id of the record that is pointed to, as Campaign is to hold it; None when it points nowhere, or to
        another table. Raises KeyError for a column that was not read, UnfitError for what is no id."""
        if self.table_column is not None and values[self.table_column] != self.link.table:
            return None
        return self.convert(values[self.column])


@frozen(kw_only=True)
class LinkedTo:
    """A record that another one points to."""

    rule: LinkRule
    id: str

    @property
    def key(self) -> RecordKey:
        """It, by its name in Dynamics."""
        return RecordKey(table=self.rule.link.table, id=self.id)
