"""Which tables go before which: what the links of a definition come to, taken together.

What lives here: `LinkedTables`, the order among tables. A link from a table to itself is no part of it: such records
wait for each other one by one. No I/O, nothing about records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from syncline.errors import DefinitionError
from syncline.table_mapping import TableMapping

__all__ = ["LinkedTables"]


@frozen
class LinkedTables:
    """Tables and the tables their lookups point to. Made by `of`, which refuses circles."""

    #: Table to the other tables it points to, each once, in the order of the links.
    parents: Mapping[str, tuple[str, ...]] = field(factory=dict)

    @classmethod
    def of(cls, mappings: Iterable[TableMapping]) -> LinkedTables:
        """Raises DefinitionError, which names the circle, when tables wait for each other."""
        parents = {
            one.table: tuple(dict.fromkeys(link.table for link in one.links if link.table != one.table))
            for one in mappings
        }
        found = cls(parents)
        for table in parents:
            found._refuse_circle(table, ())
        return found

    def _refuse_circle(self, table: str, way: tuple[str, ...]) -> None:
        if table in way:
            circle = " -> ".join([*way[way.index(table) :], table])
            raise DefinitionError(
                f"these tables wait for each other: {circle}",
                path="mappings",
                remedy="Leave out one of these links, or map it as a plain field, which waits for nothing.",
            )
        for parent in self.parents.get(table, ()):
            self._refuse_circle(parent, (*way, table))

    def before(self, table: str) -> frozenset[str]:
        """Every table that goes before this one: those it points to, and all before them."""
        return frozenset(self._above(table))

    def _above(self, table: str) -> Iterator[str]:
        for parent in self.parents.get(table, ()):
            yield parent
            yield from self._above(parent)

    def behind(self, table: str) -> frozenset[str]:
        """Every table that goes after this one."""
        return frozenset(one for one in self.parents if table in self.before(one))

    def level(self, table: str) -> int:
        """0 for a table that points to no other one, else one more than the highest of those it points to."""
        return max((self.level(parent) + 1 for parent in self.parents.get(table, ())), default=0)

    @property
    def deepest(self) -> tuple[str, ...]:
        """The longest chain of tables, each pointing to the next."""
        return max((self._longest(table) for table in self.parents), key=len, default=())

    def _longest(self, table: str) -> tuple[str, ...]:
        return (table, *max((self._longest(parent) for parent in self.parents.get(table, ())), key=len, default=()))
