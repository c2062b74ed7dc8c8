"""What changed between two definitions, and what each change needs before it shows in the data.

What lives here: the typed difference behind `pending_changes`, and the edits that are not allowed. The rule for what a
change needs: a replay when records that were written already should look different or should not be there; only a
restart when the change concerns what comes next. New tables and columns are read in full by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import attrs
from attrs import frozen

from syncline.definition_json import canonical_json, definition_kind
from syncline.definitions import Definition, EgressDefinition, IngressDefinition, OptOutDefinition, TableMapping
from syncline.errors import DefinitionError
from syncline.table_mapping import FieldMapping

__all__ = ["DefinitionChange", "DefinitionChanges", "Needs", "Subject", "What", "difference", "validate_edit"]

_Part = TypeVar("_Part")


class What(StrEnum):
    """What happened to the subject of a change."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Subject(StrEnum):
    """What a change is about."""

    MAPPING = "mapping"
    FIELD = "field"
    LINK = "link"
    CONSTANT = "constant"
    REPLACEMENT = "replacement"
    FILTER = "filter"
    PAIR = "pair"
    SETTING = "setting"


class Needs(StrEnum):
    """What has to happen before a change shows in the data."""

    RESTART = "restart"
    RESTART_AND_REPLAY = "restart and replay"
    #: Table, resource and key of a mapping stay as they were added: `validate_edit` refuses the edit.
    DELETE_AND_ADD = "not allowed: delete the mapping and add it again"


@frozen(kw_only=True)
class DefinitionChange:
    """One change."""

    #: Where it is: in the new definition, or in the old one when it was removed.
    path: str
    what: What
    subject: Subject
    #: Dynamics table, or empty for what concerns the whole definition.
    table: str = ""
    #: Names the subject within its table, such as `mobilephone -> mobilePhone`.
    name: str
    #: The part of the old definition: None when it was added.
    before: object = None
    #: The part of the new definition: None when it was removed.
    after: object = None
    #: Tables that have to be replayed before records written already show the change.
    replay_tables: tuple[str, ...] = ()
    #: About how many records such a table has, where that is known; the source's counts can be a day old.
    records: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    allowed: bool = True

    @property
    def needs(self) -> Needs:
        """What has to happen before the change shows in the data."""
        if not self.allowed:
            return Needs.DELETE_AND_ADD
        return Needs.RESTART_AND_REPLAY if self.replay_tables else Needs.RESTART

    def __str__(self) -> str:
        where = f"{self.table}: " if self.table else ""
        subject = self.name if self.subject is Subject.SETTING else f"{self.subject} {self.name}"
        return f"{where}{subject} {self.what}{self._values()} ({self._needs()})"

    def _values(self) -> str:
        if self.what is not What.CHANGED:
            return ""
        told = self.subject in (Subject.SETTING, Subject.CONSTANT)
        return f"{f' from {_shown(self.before)}' if told else ''} to {_shown(self.after)}"

    def _needs(self) -> str:
        if self.needs is Needs.RESTART_AND_REPLAY:
            tables = ", ".join(map(self._counted, self.replay_tables))
            return f"restart, and a replay of {tables} to bring existing records up to date"
        return self.needs.value

    def _counted(self, table: str) -> str:
        if table not in self.records:
            return table
        return f"{table} (about {self.records[table]:,} records; the count can be a day old)"


@frozen(kw_only=True)
class DefinitionChanges:
    """All changes between two definitions. Falsy when they say the same."""

    changes: tuple[DefinitionChange, ...] = ()

    @property
    def replay_tables(self) -> tuple[str, ...]:
        """The tables that have to be replayed before records written already show every change, sorted."""
        return tuple(sorted({table for change in self.changes for table in change.replay_tables}))

    @property
    def needs(self) -> Needs | None:
        """The most that any of the changes needs; None when nothing changed."""
        order = list(Needs)
        return max((change.needs for change in self.changes), key=order.index, default=None)

    def counted(self, records: Mapping[str, int]) -> DefinitionChanges:
        """The same, with how many records the tables to replay have, as far as `records` tells."""
        return DefinitionChanges(
            changes=tuple(
                attrs.evolve(
                    change, records={table: records[table] for table in change.replay_tables if table in records}
                )
                for change in self.changes
            )
        )

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[DefinitionChange]:
        return iter(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes)) or "nothing changed"


def difference(old: Definition, new: Definition) -> DefinitionChanges:
    """What changed from `old` to `new`: empty exactly when `definition_hash` is the same for both.

    Raises DefinitionError when they configure different workflows.
    """
    if isinstance(old, IngressDefinition) and isinstance(new, IngressDefinition):
        return DefinitionChanges(changes=tuple(_ingress(old, new)))
    if isinstance(old, EgressDefinition) and isinstance(new, EgressDefinition):
        return DefinitionChanges(changes=tuple(_egress(old, new)))
    if isinstance(old, OptOutDefinition) and isinstance(new, OptOutDefinition):
        return DefinitionChanges(changes=tuple(_opt_out(old, new)))
    raise DefinitionError(f"a definition of {definition_kind(old)} cannot become one of {definition_kind(new)}")


def validate_edit(old: Definition, new: Definition) -> None:
    """Raise DefinitionError when `new` may not replace `old`: a mapping keeps its table, resource and key."""
    if type(new) is not type(old):
        raise DefinitionError(
            f"a definition of another kind, {type(new).__name__}, cannot take its place",
            remedy=f"Give it an {type(old).__name__}, such as attrs.evolve(workflow.definition, ...).",
        )
    for change in difference(old, new):
        if not change.allowed:
            raise DefinitionError(
                f"the {change.name} of {change.table} cannot change from {change.before} to {change.after}",
                path=change.path,
                remedy="Delete the mapping and save, then add it again.",
            )


def _shown(value: object) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _pairs(
    old: Iterable[_Part], new: Iterable[_Part], identity: Callable[[_Part], Hashable], path: str
) -> Iterator[tuple[str, What, _Part | None, _Part | None]]:
    """What was added, removed and changed between two lists whose items are told apart by `identity`."""
    before = {identity(item): (index, item) for index, item in enumerate(old)}
    after = {identity(item): (index, item) for index, item in enumerate(new)}
    for name, (index, item) in before.items():
        if name not in after:
            yield f"{path}[{index}]", What.REMOVED, item, None
    for name, (index, item) in after.items():
        if name not in before:
            yield f"{path}[{index}]", What.ADDED, None, item
        elif canonical_json(before[name][1]) != canonical_json(item):
            yield f"{path}[{index}]", What.CHANGED, before[name][1], item


def _settings(old: Any, new: Any, names: Iterable[str], path: str = "") -> Iterator[tuple[str, str, object, object]]:
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if canonical_json(before) != canonical_json(after):
            yield f"{path}.{name}" if path else name, name, before, after


def _entries(
    old: Mapping[Any, Any], new: Mapping[Any, Any], path: str
) -> Iterator[tuple[str, What, str, object, object]]:
    for key in sorted({*old, *new}):
        if key not in new:
            yield f"{path}.{key}", What.REMOVED, str(key), old[key], None
        elif key not in old:
            yield f"{path}.{key}", What.ADDED, str(key), None, new[key]
        elif canonical_json(old[key]) != canonical_json(new[key]):
            yield f"{path}.{key}", What.CHANGED, str(key), old[key], new[key]


# ------------------------------------------------------------------------------------------------------------- ingress


def _ingress(old: IngressDefinition, new: IngressDefinition) -> Iterator[DefinitionChange]:
    for path, what, before, after in _pairs(old.mappings, new.mappings, lambda one: one.table, "mappings"):
        if before is not None and after is not None:
            yield from _mapping(before, after, path)
            continue
        one = before or after
        assert one is not None
        yield DefinitionChange(
            path=path,
            what=what,
            subject=Subject.MAPPING,
            table=one.table,
            name=f"to {one.resource}",
            before=before,
            after=after,
        )
    for path, name, was, now in _settings(old, new, ("time_zone", "label_language")):
        affected = _everything if name == "time_zone" else _speaks_labels
        yield _setting(path, name, was, now, replay=_kept(old, new, affected))
    for path, what, name, was, now in _entries(old.max_lengths, new.max_lengths, "max_lengths"):
        # A length decides what is refused; it never changes what was written.
        yield DefinitionChange(
            path=path, what=what, subject=Subject.SETTING, name=f"longest {name}", before=was, after=now
        )
    numbers = [one.name for one in attrs.fields(type(new.guardrails))]
    for path, name, was, now in _settings(old.guardrails, new.guardrails, numbers, "guardrails"):
        yield _setting(path, name, was, now)


def _setting(
    path: str, name: str, before: object, after: object, *, table: str = "", replay: tuple[str, ...] = ()
) -> DefinitionChange:
    return DefinitionChange(
        path=path,
        what=What.CHANGED,
        subject=Subject.SETTING,
        table=table,
        name=name.replace("_", " "),
        before=before,
        after=after,
        replay_tables=replay,
    )


def _everything(_mapping: TableMapping) -> bool:
    return True


def _speaks_labels(mapping: TableMapping) -> bool:
    """Whether anything in the mapping may be a label: replacements and filters can name one too."""
    return mapping.labels or bool(mapping.replacements) or bool(mapping.filters)


def _kept(old: IngressDefinition, new: IngressDefinition, affected: Callable[[TableMapping], bool]) -> tuple[str, ...]:
    """The affected tables that both definitions have: a new table is read in full anyway."""
    return tuple(sorted(one.table for one in new.mappings if one.table in old.tables and affected(one)))


def _mapping(old: TableMapping, new: TableMapping, path: str) -> Iterator[DefinitionChange]:
    table = new.table
    for where, name, before, after in _settings(old, new, ("resource", "key"), path):
        yield attrs.evolve(_setting(where, name, before, after, table=table), allowed=False)
    for where, what, was, now in _pairs(old.fields, new.fields, lambda one: one.target, f"{path}.fields"):
        yield _part(where, what, Subject.FIELD, table, was, now, replay=_field_shows(was, now))
    for where, what, link_was, link_now in _pairs(old.links, new.links, lambda one: one.target, f"{path}.links"):
        # Removing a link leaves what was written, as with a field.
        yield _part(where, what, Subject.LINK, table, link_was, link_now, replay=link_now is not None)
    for where, what, pair_was, pair_now in _pairs(
        old.opt_outs, new.opt_outs, lambda one: one.campaign, f"{path}.opt_outs"
    ):
        # Opt-outs that people gave before the pair was configured must travel too.
        yield _part(where, what, Subject.PAIR, table, pair_was, pair_now, replay=pair_now is not None)
    for where, what, name, value, other in _entries(old.constants, new.constants, f"{path}.constants"):
        # Constants are written on create only: a replay would not bring them to existing records.
        yield DefinitionChange(
            path=where, what=what, subject=Subject.CONSTANT, table=table, name=name, before=value, after=other
        )
    for where, what, one, other_one in _pairs(
        old.replacements, new.replacements, lambda one: (one.field, canonical_json(one.value)), f"{path}.replacements"
    ):
        yield _part(where, what, Subject.REPLACEMENT, table, one, other_one, replay=True)
    for where, what, filter_was, filter_now in _pairs(old.filters, new.filters, canonical_json, f"{path}.filters"):
        yield _part(where, what, Subject.FILTER, table, filter_was, filter_now, replay=True)
    for where, name, before, after in _settings(
        old, new, ("match", "delete_filtered_out", "apply_deletes", "labels"), path
    ):
        replay = (table,) if _setting_shows(name, old, new) else ()
        yield _setting(where, name, before, after, table=table, replay=replay)


def _part(
    path: str, what: What, subject: Subject, table: str, before: object, after: object, *, replay: bool
) -> DefinitionChange:
    return DefinitionChange(
        path=path,
        what=what,
        subject=subject,
        table=table,
        name=str(after if before is None else before),
        before=before,
        after=after,
        replay_tables=(table,) if replay else (),
    )


def _field_shows(before: FieldMapping | None, after: FieldMapping | None) -> bool:
    """Removing a field leaves what was written; switching updates off concerns later changes only."""
    if after is None:
        return False
    if before is None or before.source != after.source:
        return True
    return after.apply_updates


def _setting_shows(name: str, old: TableMapping, new: TableMapping) -> bool:
    """Whether records that were written already should look different, or be gone, after a setting changed."""
    if name == "match":
        return len(old.filters) > 1 or len(new.filters) > 1
    if name == "delete_filtered_out":
        return new.delete_filtered_out and bool(new.filters)
    # Deletions that were ignored cannot be replayed: Dynamics does not have those records any more.
    return name == "labels"


# -------------------------------------------------------------------------------------------------- egress and opt-out


def _egress(old: EgressDefinition, new: EgressDefinition) -> Iterator[DefinitionChange]:
    for kind in sorted(old.kinds ^ new.kinds):
        what = What.ADDED if kind in new.kinds else What.REMOVED
        before, after = (None, kind) if what is What.ADDED else (kind, None)
        yield DefinitionChange(
            path="kinds", what=what, subject=Subject.SETTING, name=f"kind {kind}", before=before, after=after
        )
    for kind, activity in new.activities.items():
        names = [one.name for one in attrs.fields(type(activity))]
        for path, name, was, now in _settings(old.activities[kind], activity, names, f"activities.{kind}"):
            yield _setting(path, f"{kind} {name}", was, now)
    for part in ("file_format", "delivery_log", "tracking_log"):
        names = [one.name for one in attrs.fields(type(getattr(new, part)))]
        for path, name, was, now in _settings(getattr(old, part), getattr(new, part), names, part):
            yield _setting(path, f"{part.replace('_', ' ')} {name}", was, now)
    for path, name, was, now in _settings(old, new, ("date_format", "time_zone", "instance", "keep_unknown_days")):
        yield _setting(path, name, was, now)


def _opt_out(old: OptOutDefinition, new: OptOutDefinition) -> Iterator[DefinitionChange]:
    for path, name, was, now in _settings(
        old, new, ("direction", "skew_margin_seconds", "rule", "poll_campaign", "key")
    ):
        widened = (new.direction.writes_campaign and not old.direction.writes_campaign) or (
            new.direction.writes_dynamics and not old.direction.writes_dynamics
        )
        yield _setting(path, name, was, now, replay=("contact",) if name == "direction" and widened else ())
    for path, what, before, after in _pairs(old.pairs, new.pairs, lambda one: one.campaign, "pairs"):
        # Opt-outs that people gave before the pair was configured must travel too.
        yield _part(path, what, Subject.PAIR, "contact", before, after, replay=after is not None)
