"""Deciding what one change means: a write, a skip or a refusal.

What lives here: `decide` and its answers. It runs when a record is read and again when it is written, a preview is the
same function, and its input stays as it was.

A fingerprint is what the ledger remembers of a record that was written: 8 bytes over the fields that every change
writes, then 8 bytes over those that only a first load or replay writes. Constants are in neither: they are written on
create and belong to Campaign afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import TypeAlias

from attrs import field, frozen

from syncline.conversions.reading import RefuseReason, UnfitError
from syncline.errors import ConversionError
from syncline.mapping.links import LinkedTo
from syncline.mapping.plan import FieldRule, TablePlan
from syncline.records import Change, Value, Values, Write

__all__ = [
    "Decision",
    "LedgerHash",
    "RefuseDecision",
    "SkipDecision",
    "SkipReason",
    "WriteDecision",
    "decide",
    "is_unfit",
]

#: A fingerprint as the ledger gives it back. Bytes of any other length than 16 say "it is there, content unknown".
LedgerHash: TypeAlias = bytes

_HALF = 8
#: Stands for first-load-only fields when there are none, or nobody knows what Campaign holds in them.
_UNKNOWN = bytes(_HALF)


class SkipReason(StrEnum):
    """Why a change leads to no write."""

    #: Campaign holds these values already, as far as the ledger knows.
    IDENTICAL = "identical"
    FILTERED_OUT = "filtered_out"
    #: It was deleted in Dynamics, and Syncline never wrote it to Campaign.
    NOT_IN_TARGET = "not_in_target"
    DELETES_IGNORED = "deletes_ignored"


@frozen(kw_only=True)
class WriteDecision:
    """The change is to be written."""

    write: Write
    #: For the ledger once the write is done; empty for a delete.
    fingerprint: bytes = field(repr=False)
    #: For the ledger instead when the record had to be created, because then every field was written.
    fingerprint_if_created: bytes = field(repr=False)
    #: The records it points to, which have to be in Campaign first; none for a delete.
    parents: tuple[LinkedTo, ...] = ()


@frozen(kw_only=True)
class SkipDecision:
    """Nothing is to be written."""

    reason: SkipReason


@frozen(kw_only=True)
class RefuseDecision:
    """The record cannot be written as it is. NOT_READ asks for another reading; all else is for a person."""

    reason: RefuseReason
    #: Names the fields and never a value; `error.field` is the Dynamics field.
    error: ConversionError


Decision: TypeAlias = WriteDecision | SkipDecision | RefuseDecision

_SKIPS = {reason: SkipDecision(reason=reason) for reason in SkipReason}

_REMEDIES = {
    RefuseReason.NOT_READ: "Read the record again.",
    RefuseReason.WRONG_TYPE: "Correct it in Dynamics, add a replacement, or map the field to one of another type.",
    RefuseReason.TOO_LONG: "Shorten it in Dynamics, or set max_lengths if Campaign takes more.",
    RefuseReason.UNKNOWN_OPTION: "Add a replacement for it.",
}


def decide(
    change: Change,
    plan: TablePlan,
    entry: LedgerHash | None,
    *,
    first: bool,
    write_unknown_deletes: bool = False,
) -> Decision:
    """What a change means for Campaign.

    - `entry` is what the ledger remembers for the key, None when Campaign does not have the record as far as we know.
    - `first` says that this is a first load or a replay: fields with `apply_updates` off are written to existing
      records too, and the record is identical only when those are.
    - `create_values` hold every mapped field that is not null, the constants, the key, and the opt-outs that the record
      says; `update_values` hold nulls and never an opt-out.
    - A deleted record that the ledger does not know is skipped, unless `write_unknown_deletes`: the caller knows that
      an earlier write may have been applied.
    - A record that does not pass the filters is deleted when the mapping says so and the ledger knows it, else skipped.
    - A record that was read without a column the plan needs is refused with NOT_READ: absent is not null.

    Raises ValueError when the change is of another table than the plan.
    """
    key = change.key
    if key.table != plan.mapping.table:
        raise ValueError(f"a change of {key.table} was given to the plan of {plan.mapping.table}")
    values = change.values
    if values is None:
        return _decide_delete(change, plan, entry, write_unknown_deletes)
    if plan.reads_key:
        values = {**values, plan.source.primary_key: key.id}
    try:
        if plan.passes is not None and not plan.passes(values):
            return _decide_filtered_out(change, plan, entry)
        always = [convert(values[column]) for column, convert in plan.always_steps]
        if plan.links:
            always += [rule.value(values) for rule in plan.links]
        once = [convert(values[column]) for column, convert in plan.once_steps]
        out = [channel for column, channel in plan.opt_outs if values[column] is True]
    except (KeyError, UnfitError):
        refusal = _refusal(plan, values)
        if refusal is None:
            raise
        return refusal
    return _decide_write(change, plan, entry, always, once, out, first=first)


def is_unfit(change: Change, plan: TablePlan) -> bool:
    """Whether the rules refuse the values of a record; what was not read is no reason. Cheaper than `decide`."""
    values = change.values
    if values is None:
        return False
    if plan.reads_key:
        values = {**values, plan.source.primary_key: change.key.id}
    try:
        if plan.passes is not None and not plan.passes(values):
            return False
        for column, convert in (*plan.always_steps, *plan.once_steps):
            convert(values[column])
    except KeyError:
        return False
    except UnfitError:
        return True
    return False


def _decide_delete(change: Change, plan: TablePlan, entry: LedgerHash | None, unknown_too: bool) -> Decision:
    if not plan.mapping.apply_deletes:
        return _SKIPS[SkipReason.DELETES_IGNORED]
    if entry is None and not unknown_too:
        return _SKIPS[SkipReason.NOT_IN_TARGET]
    return _delete(change, plan, entry)


def _decide_filtered_out(change: Change, plan: TablePlan, entry: LedgerHash | None) -> Decision:
    if plan.mapping.delete_filtered_out and entry is not None:
        return _delete(change, plan, entry)
    return _SKIPS[SkipReason.FILTERED_OUT]


def _delete(change: Change, plan: TablePlan, entry: LedgerHash | None) -> WriteDecision:
    mapping = plan.mapping
    write = Write(
        key=change.key, resource=mapping.resource, key_field=mapping.key, delete=True, known=entry is not None
    )
    return WriteDecision(write=write, fingerprint=b"", fingerprint_if_created=b"")


def _decide_write(
    change: Change,
    plan: TablePlan,
    entry: LedgerHash | None,
    always: list[Value],
    once: list[Value],
    out: Sequence[str],
    *,
    first: bool,
) -> Decision:
    always_half = _half(plan.always_mark, always)
    once_half = _half(plan.once_mark, once)
    readable = entry if entry is not None and len(entry) == 2 * _HALF else None
    known_once = readable[_HALF:] if readable is not None else _UNKNOWN
    same = readable is not None and readable[:_HALF] == always_half
    if same and (not (first and once) or known_once == once_half):
        return _SKIPS[SkipReason.IDENTICAL]
    always_values = dict(zip(plan.always_names, always, strict=True))
    all_values = always_values | dict(zip(plan.once_names, once, strict=True)) if once else always_values
    write = Write(
        key=change.key,
        resource=plan.mapping.resource,
        key_field=plan.mapping.key,
        create_values=_create_values(change, plan, all_values, out),
        update_values=all_values if first else always_values,
        known=entry is not None,
    )
    everything = always_half + once_half
    return WriteDecision(
        write=write,
        fingerprint=everything if first or not once else always_half + known_once,
        fingerprint_if_created=everything,
        parents=_parents(plan, always) if plan.links else (),
    )


def _parents(plan: TablePlan, always: Sequence[Value]) -> tuple[LinkedTo, ...]:
    linked = zip(plan.links, always[len(plan.always) :], strict=True)
    return tuple(LinkedTo(rule=rule, id=str(record)) for rule, record in linked if record is not None)


def _create_values(change: Change, plan: TablePlan, values: Values, out: Sequence[str]) -> Values:
    create_values: dict[str, Value] = {name: value for name, value in values.items() if value is not None}
    create_values.update(plan.constants)
    # Nobody is reachable in Campaign before the consent lane gets to them; of an opt-in nothing is said here.
    create_values.update(dict.fromkeys(out, True))
    create_values[plan.mapping.key] = change.key.id
    return create_values


def _half(mark: str, values: Sequence[Value]) -> bytes:
    """Names and values as eight bytes. `repr` tells apart every two values that a converter can give."""
    if not values:
        return _UNKNOWN
    return blake2b(f"{mark}{values!r}".encode(), digest_size=_HALF).digest()


def _refusal(plan: TablePlan, values: Values) -> RefuseDecision | None:
    """Which field it was: the walk is repeated slowly, since nearly every record passes the quick one."""
    for name, column in plan.fields_read:
        if column not in values:
            return _refuse(RefuseReason.NOT_READ, name, f"{plan.table}.{name} was not read")
    for condition in plan.filters:
        try:
            condition.test(values[condition.column])
        except UnfitError as error:
            return _refuse(error.reason, condition.name, f"{plan.table}.{condition.name} {error}")
    for rule in (*plan.always, *plan.once):
        if (refusal := _refuse_field(plan, rule, values[rule.column])) is not None:
            return refusal
    for link in plan.links:
        try:
            link.value(values)
        except UnfitError as error:
            name = link.link.source
            return _refuse(error.reason, name, f"{plan.table}.{name} cannot become {plan.resource}.{link.link.target}")
    return None


def _refuse_field(plan: TablePlan, rule: FieldRule, value: Value) -> RefuseDecision | None:
    try:
        rule.convert(value)
    except UnfitError as error:
        source, target = rule.mapping.source, rule.mapping.target
        message = f"{plan.table}.{source} cannot become {plan.resource}.{target}: it {error}"
        return _refuse(error.reason, source, message)
    return None


def _refuse(reason: RefuseReason, name: str, message: str) -> RefuseDecision:
    remedy = _REMEDIES.get(reason, "Correct it in Dynamics.")
    return RefuseDecision(reason=reason, error=ConversionError(f"{message}.", field=name, remedy=remedy))
