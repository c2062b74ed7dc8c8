"""What link fields are given that hold a PKey, for whoever compares without writing.

What lives here: `LinkedKeys`, which asks Campaign once for each record that is pointed to and forgets all with itself:
a PKey is never stored. The writes of a cycle have a memory of their own, in `link_traffic`, which follows deletions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field

from syncline.connectors.base import CampaignConnector
from syncline.mapping import LinkedTo, TablePlan
from syncline.records import RecordKey, Value
from syncline.schemas import TableSchema

__all__ = ["LinkedKeys", "tables_by_pkey"]


def tables_by_pkey(plan: TablePlan) -> frozenset[str]:
    """The tables that records of this plan point to by PKey."""
    return frozenset(rule.link.table for rule in plan.links if rule.by_pkey)


@define(kw_only=True, eq=False)
class LinkedKeys:
    """PKeys of linked records, each asked for once. Several threads may ask: at worst two ask the same."""

    campaign: CampaignConnector
    #: The resources that are linked to, by table: all of `tables_by_pkey`.
    resources: Mapping[str, TableSchema]
    _known: dict[RecordKey, Value] = field(factory=dict, init=False)

    def of(self, parents: Iterable[LinkedTo]) -> tuple[dict[str, Value], int]:
        """By link field what it is given, None for a record that Campaign does not have; and how many calls that took.

        Links that are joined on a column are left out. Raises as `CampaignConnector.link_to`.
        """
        links: dict[str, Value] = {}
        calls = 0
        for parent in (one for one in parents if one.rule.by_pkey):
            if parent.key not in self._known:
                calls += 1
                resource = self.resources[parent.key.table]
                self._known[parent.key] = self.campaign.link_to(resource, parent.rule.key_field, parent.id)
            links[parent.rule.link.target] = self._known[parent.key]
        return links, calls
