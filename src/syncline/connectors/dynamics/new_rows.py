"""New rows as Dataverse takes them: in one bulk message, or one by one in a batch.

What lives here: bodies, and what the answers to them mean for each row. No requests (source: Microsoft's pages on bulk
operations and on creating rows). `UpsertMultiple` is never used: it would overwrite a row that somebody edited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from attrs import frozen

from syncline.connectors.creation import CreateAnswer
from syncline.connectors.dynamics import odata
from syncline.connectors.dynamics.batch import BatchPart
from syncline.connectors.dynamics.metadata import Lookup, TableHead
from syncline.connectors.dynamics.verdicts import Meaning, Question, judge, verdict_of
from syncline.connectors.http import Response
from syncline.connectors.http.strict_json import dump
from syncline.errors import ConflictError, SchemaChangedError
from syncline.records import NewRow, Outcome, OutcomeKind, Value

__all__ = ["NewRows", "bulk_supported"]

_NAMESPACE = "Microsoft.Dynamics.CRM."
#: The row exists already.
_EXISTS = "0x80040237"


@frozen(kw_only=True)
class NewRows:
    """How rows of one table are written."""

    head: TableHead
    #: By column and target table: the property that a lookup is set by.
    navigations: Mapping[tuple[str, str], str]
    #: Target table to the set its rows are addressed in.
    sets: Mapping[str, str]

    @classmethod
    def of(cls, head: TableHead, lookups: Sequence[Lookup], sets: Mapping[str, str]) -> NewRows:
        """`sets` holds every table that will be pointed to."""
        return cls(head=head, navigations={(one.column, one.target): one.navigation for one in lookups}, sets=sets)

    def bulk(self, rows: Sequence[NewRow]) -> dict[str, list[dict[str, Value]]]:
        """The body of `CreateMultiple`."""
        return {
            "Targets": [
                {"@odata.type": f"{_NAMESPACE}{self.head.table}", self.head.primary_id: row.id, **self.body(row)}
                for row in rows
            ]
        }

    def part(self, row: NewRow, root: str) -> BatchPart:
        """A request that creates this row and never changes one."""
        return BatchPart(
            method="PATCH",
            target=f"{root}/{odata.one_row(self.head.entity_set, row.id)}",
            headers=[("If-None-Match", "*")],
            body=dump(self.body(row)),
        )

    def body(self, row: NewRow) -> dict[str, Value]:
        """Columns and links. Raises ConflictError for a link to what cannot exist."""
        body = dict(row.values)
        for column, key in row.links.items():
            navigation = self.navigations.get((column, key.table))
            if navigation is None:
                raise SchemaChangedError(
                    f"{self.head.table}.{column} cannot point to {key.table}.", table=self.head.table, field=column
                )
            if odata.guid(key.id) is None:
                raise ConflictError(f"There is no {key.table} without a GUID.")
            body[f"{navigation}@odata.bind"] = f"/{odata.one_row(self.sets[key.table], key.id)}"
        return body

    def judged(
        self,
        rows: Sequence[NewRow],
        answers: Sequence[Response],
        existing: Callable[[str, Sequence[str]], Collection[str]],
        principal: str,
    ) -> list[CreateAnswer]:
        """What came of each row of a batch."""
        found: list[CreateAnswer] = []
        for row, response in zip(rows, answers, strict=True):
            if response.status in (200, 201, 204):
                found.append(Outcome(kind=OutcomeKind.CREATED))
                continue
            question = Question(table=self.head.table, columns=tuple(row.values), write=True)
            verdict = verdict_of(response, question)
            if verdict.code == _EXISTS or (verdict.meaning is Meaning.CHANGED and verdict.status == 412):
                found.append(Outcome(kind=OutcomeKind.IDENTICAL))
            elif verdict.meaning is Meaning.NOT_FOUND and _orphaned(row, existing):
                found.append(Outcome(kind=OutcomeKind.PARENT_UNKNOWN, calls=0))
            else:
                found.append(judge(verdict, question, principal=principal))
        return found


def _orphaned(row: NewRow, existing: Callable[[str, Sequence[str]], Collection[str]]) -> bool:
    return any(key.id not in existing(key.table, [key.id]) for key in row.links.values())


def bulk_supported(table: str) -> str:
    """Where it says whether a table takes `CreateMultiple`: an answer without rows says no."""
    asked = odata.expression(
        f"sdkmessageid/name eq 'CreateMultiple' and primaryobjecttypecode eq {odata.text(odata.name(table))}"
    )
    return f"sdkmessagefilters?$select=sdkmessagefilterid&$filter={asked}"
