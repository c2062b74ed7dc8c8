"""The connector: what a host gives to `Integration` in the place of Adobe Campaign.

The twelve things that every `CampaignConnector` has, and three functions for what they share: one address, one read,
one write. Gates, trusted addresses, time limits and strict JSON come with `HttpClient`; the rules of a write, which
look before anything is sent twice, with the base class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote

from syncline.clock import Clock, SystemClock
from syncline.connectors.base import CampaignConnector, Gate, KeyCheck, KeyProblem
from syncline.connectors.http import HttpClient, Response, Secret, ThrottleGate
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CredentialsError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    SynclineError,
    UnavailableError,
)
from syncline.records import TargetRecord, Values
from syncline.retries import Retries
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["KEY", "PostboxConnector"]

#: The field that holds the contact's id: Postbox keeps its members by it.
KEY: Final = "external_id"
TYPES: Final = {"text": FieldType.STRING, "date": FieldType.DATE, "number": FieldType.DECIMAL}


class PostboxConnector(CampaignConnector):
    """Members of the lists of one Postbox account."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        allow_loopback_http: bool = False,
        clock: Clock | None = None,
        timeout: float = 20.0,
    ) -> None:
        clock = clock or SystemClock()
        # Postbox counts requests by key, so there is a gate for each; enough of a hash to tell two keys apart.
        self._gate = ThrottleGate(f"Postbox key {blake2b(key.encode(), digest_size=4).hexdigest()}", clock)
        self._retries = Retries(clock)
        self._http = HttpClient(
            f"{url}/v1",
            clock=clock,
            gate=self._gate,
            headers={"Authorization": Secret(f"Bearer {key}")},
            timeout=timeout,
            allow_loopback_http=allow_loopback_http,
        )

    def __repr__(self) -> str:
        return f"<PostboxConnector {self.identity}: {self._gate!r}>"

    # -- who it is ----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return f"Postbox at {self._http.origins.base.origin.authority}"

    @property
    def identity(self) -> str:
        return f"postbox:{self._http.origins.base.origin.authority}"

    @property
    def gates(self) -> Sequence[Gate]:
        return (self._gate,)

    @property
    def clock_offset(self) -> float | None:
        return self._http.clock_offset

    def close(self) -> None:
        self._http.close()

    # -- what is there ------------------------------------------------------------------------------------------------

    def check_access(self) -> None:
        self._read("account")

    def tables(self) -> Mapping[str, str]:
        return {one["name"]: one["name"] for one in self._lists()}

    def describe(self, table: str) -> TableSchema | None:
        for one in self._lists():
            if one["name"] == table:
                fields = {field["name"]: _field(field) for field in one["fields"]}
                return TableSchema(name=table, path=f"lists/{table}/members", fields=fields)
        return None

    def check_key(self, resource: TableSchema, key_field: str) -> KeyCheck:
        if key_field not in resource.fields:
            return KeyCheck(problem=KeyProblem.NO_FIELD)
        if key_field != KEY:
            return KeyCheck(problem=KeyProblem.NO_FILTER, detail=f"Postbox finds members by {KEY} only")
        return KeyCheck(problem=None)

    # -- the four verbs -----------------------------------------------------------------------------------------------

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        ref = _address(resource, key)
        found = self._read(ref)
        return None if found is None else TargetRecord(ref=ref, values=found)

    def create(self, resource: TableSchema, values: Values) -> None:
        rest = {name: value for name, value in values.items() if name != KEY}
        self._write("PUT", _address(resource, str(values[KEY])), resource, rest)

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        self._write("PATCH", ref, resource, values)

    def delete(self, resource: TableSchema, ref: str) -> None:
        self._write("DELETE", ref, resource, None)

    # -- what they share ----------------------------------------------------------------------------------------------

    def _lists(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._read("lists") or []
        return found

    def _read(self, url: str) -> Any:
        """The JSON of an answer, None for 404. Trouble that passes is tried again at once, a few times."""

        def ask() -> Any:
            answer = self._http.request("GET", url)
            if answer.status == 404:
                return None
            if answer.status >= 500:
                raise UnavailableError(f"Postbox cannot answer (status {answer.status}).")
            if answer.status != 200:
                raise _judged(answer, None, {})
            return answer.json()  # ProtocolError for what is no JSON

        return self._retries.run(ask)

    def _write(self, method: str, url: str, resource: TableSchema, values: Values | None) -> None:
        """One try: whether a write may be sent again is for the engine to say."""
        headers = {"If-None-Match": "*"} if method == "PUT" else {}
        answer = self._http.request(
            method, url, headers=headers, json=... if values is None else dict(values), write=True
        )
        if answer.status == 204 or (answer.status in (200, 201) and answer.body[:1] == b"{"):
            return
        if not (method == "DELETE" and answer.status == 404):
            raise _judged(answer, resource, values or {})


def _address(resource: TableSchema, key: str) -> str:
    return f"{resource.path}?id={quote(key, safe='')}"


def _field(told: Mapping[str, Any]) -> FieldSchema:
    return FieldSchema(name=told["name"], type=TYPES.get(told["type"], FieldType.OTHER), max_length=told["max"])


def _judged(answer: Response, resource: TableSchema | None, values: Values) -> SynclineError:
    """What an answer that is no success means, as the branch of errors that says what to do next."""
    about, status = "" if resource is None else resource.name, answer.status
    if status in (401, 403):
        return CredentialsError("Postbox does not accept the key.")
    if status in (404, 412):
        return ConflictError(f"A record of {about} is {'gone' if status == 404 else 'there already'}.")
    if status == 422:
        field = next((name for name in values if name.encode() == answer.body.strip()), "")
        return RecordRefusedError(f"Postbox refuses {about}.{field or '(no field named)'}.", field=field)
    if status == 405:
        return SchemaChangedError(f"Postbox has no {about} any more.", table=about)
    if status == 503:
        return UnavailableError("Postbox turned the request away.")
    if status >= 500 or status < 300:
        return AmbiguousWriteError(f"Nobody says whether a record of {about} was written (status {status}).")
    return ProtocolError(f"Postbox answered with status {status}.")
