"""Standings and decisions as plain data, and back: what a storage keeps and what an audit gets.

What lives here: two values and their JSON. Times are ISO 8601 with their offset, spans are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import asdict

from syncline.consent.values import Decision, Reason, Side, Sighting, Standing
from syncline.definitions import OptOutPair, OptOutRule

__all__ = ["decision_data", "decision_from_data", "standing_from_json", "standing_to_json"]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset):
        return sorted(value)
    return value


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def standing_to_json(standing: Standing) -> str:
    """Only what differs from a standing that remembers nothing."""
    nothing = asdict(Standing())
    told = {name: _plain(value) for name, value in asdict(standing).items() if value != nothing[name]}
    return json.dumps(told, separators=(",", ":"))


def standing_from_json(text: str) -> Standing:
    """The inverse of `standing_to_json`."""
    told: dict[str, Any] = json.loads(text)
    for name in ("dynamics_at", "campaign_at", "owed_at", "lent_at"):
        if name in told:
            told[name] = _moment(told[name])
    if "owed" in told:
        told["owed"] = frozenset(Side(side) for side in told["owed"])
    return Standing(**told)


def decision_data(decision: Decision) -> dict[str, Any]:
    """A decision as JSON has it, field by field."""
    told = asdict(decision, value_serializer=lambda _, __, value: _plain(value))
    told["pair"] = {"dynamics": decision.pair.dynamics, "campaign": decision.pair.campaign}
    told["reason"] = decision.reason.name.lower()
    told["writes"] = [side.value for side in decision.writes]
    return told


def decision_from_data(told: Mapping[str, Any]) -> Decision:
    """The inverse of `decision_data`."""
    apart = told["apart"]
    return Decision(
        id=told["id"],
        at=datetime.fromisoformat(told["at"]),
        person=told["person"],
        pair=OptOutPair(**told["pair"]),
        dynamics=_sighting(told["dynamics"]),
        campaign=_sighting(told["campaign"]),
        rule=OptOutRule(told["rule"]),
        reason=Reason[told["reason"].upper()],
        out=told["out"],
        writes=tuple(Side(side) for side in told["writes"]),
        margin=timedelta(seconds=told["margin"]),
        apart=None if apart is None else timedelta(seconds=apart),
        workflow=told["workflow"],
        generation=told["generation"],
        seal=told["seal"],
    )


def _sighting(told: Mapping[str, Any]) -> Sighting:
    moments = {name: _moment(told[name]) for name in ("changed_at", "seen_at")}
    return Sighting(**{**told, **moments, "precision": timedelta(seconds=told["precision"])})
