"""Adobe Campaign Standard over its REST API.

What lives here: `CampaignStandard`, the requests of the six verbs. What answers mean is in `verdicts`, what values mean
in `values`, what a resource is made of in `metadata`, whether a key can serve in `key_check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from attrs import frozen

from syncline.clock import Clock, SystemClock
from syncline.connectors.base import CampaignCapabilities, CampaignConnector, ChangedPage, Gate, KeyCheck
from syncline.connectors.campaign.authentication import OAuthServerToServer, fetch_token
from syncline.connectors.campaign.changes import CampaignChanges, page_of
from syncline.connectors.campaign.key_check import check_key
from syncline.connectors.campaign.lookup import CampaignKey, KeyAddresses, collection
from syncline.connectors.campaign.metadata import read_schema
from syncline.connectors.campaign.resources import Resources
from syncline.connectors.campaign.values import flatten, nest, same_value
from syncline.connectors.campaign.verdicts import Meaning, Verdict, judge, verdict_of
from syncline.connectors.http import HttpClient, OAuthTokenSource, Response, Secret, ThrottleGate, TrustedOrigins
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    DefinitionError,
    ProtocolError,
    RecordRefusedError,
    RetryLaterError,
    SchemaChangedError,
    SynclineError,
    UnavailableError,
)
from syncline.records import TargetRecord, Value, Values
from syncline.retries import Retries
from syncline.schemas import FieldSchema, TableSchema

__all__ = ["CampaignStandard"]

_HEALTH = "campaign/profileAndServices/resourceType/profile"
_DONE = frozenset({200, 202, 204})


class CampaignStandard(CampaignConnector):
    """The Campaign Standard REST API of one organisation.

    `base_url` is the organisation's address, `https://mc.adobe.io/<organisation>`; it, the addresses below it and
    `also_trusted` are the only places anything is sent to. `keys` says per resource how records are found, where the
    names are not the usual ones (see `CampaignKey`), and `changes` which filter finds what changed (`CampaignChanges`).
    `custom_resources` are offered by `tables()` beside those linked to the profile, because Campaign lists only the
    latter. `timeout` bounds each request, in seconds. `v8` is for the same API on Campaign version 8: filters without
    `by`, and no changes inside `location`.

    Fields inside a group have dotted names, such as `location.city`. A link is written as `{"PKey": key}` or as the
    key alone. Nothing of a PKey is kept: addresses of records live only between `find` and the write that follows.
    Thread-safe; nothing is sent before the first call. Raises `DefinitionError` for an unusable address.
    """

    capabilities = CampaignCapabilities(nested_links=True)

    def __init__(
        self,
        base_url: str,
        auth: OAuthServerToServer,
        *,
        keys: Mapping[str, CampaignKey] | None = None,
        changes: CampaignChanges | None = None,
        custom_resources: Sequence[str] = (),
        timeout: float = 20.0,
        connections: int = 64,
        ca_file: str | None = None,
        allow_loopback_http: bool = False,
        also_trusted: Sequence[str] = (),
        clock: Clock | None = None,
        v8: bool = False,
    ) -> None:
        self._clock = clock or SystemClock()
        TrustedOrigins.of(auth.ims_url, allow_loopback_http=allow_loopback_http, setting="ims_url")
        self._home = _home(base_url, allow_loopback_http)
        self._v8 = v8
        self._keys = dict(keys or {})
        self._changes = changes or CampaignChanges()
        self._custom = (*self._keys, *custom_resources)
        self._addresses: dict[tuple[str, str], KeyAddresses] = {}
        self._key_fields = {resource: key.field for resource, key in self._keys.items()}
        self._gate = ThrottleGate(f"Campaign client {_fingerprint(auth.client_id)} at {self._home.host}", self._clock)
        self._retries = Retries(self._clock)
        self._resources = Resources(self._read_metadata)
        self._offset: float | None = None

        def client(url: str, **more: Any) -> HttpClient:
            return HttpClient(
                url,
                clock=self._clock,
                gate=self._gate,
                timeout=timeout,
                ca_file=ca_file,
                allow_loopback_http=allow_loopback_http,
                **more,
            )

        self._make_ims: Callable[[], HttpClient] = lambda: client(auth.ims_url, connections=2)
        tokens = OAuthTokenSource(lambda: fetch_token(self._ims, auth), self._clock)
        headers = {"X-Api-Key": Secret(auth.client_id), "Cache-Control": "no-cache"}
        self._make: Callable[[], HttpClient] = lambda: client(
            self._home.url, auth=tokens, headers=headers, connections=connections, also_trusted=also_trusted
        )
        self._http, self._ims = self._make(), self._make_ims()

    def __repr__(self) -> str:
        return f"<CampaignStandard {self.identity}: {self._gate!r}>"

    @property
    def name(self) -> str:
        return f"Adobe Campaign Standard at {self._home.host}/{self._home.organisation}"

    @property
    def identity(self) -> str:
        """Organisation and host."""
        return f"campaign:{self._home.organisation}@{self._home.host}"

    @property
    def gates(self) -> Sequence[Gate]:
        """One: the gateway throttles per client id."""
        return (self._gate,)

    @property
    def clock_offset(self) -> float | None:
        offset = self._http.clock_offset
        return self._offset if offset is None else offset

    def close(self) -> None:
        self._offset = self.clock_offset
        closed = self._http, self._ims
        self._http, self._ims = self._make(), self._make_ims()
        for client in closed:
            client.close()
        self._resources.forget()

    def check_access(self) -> None:
        """Read the profile's metadata: it exists in every organisation and holds nobody's data."""
        if self._read(_HEALTH, "profile") is None:
            raise ProtocolError("Campaign does not know the profile.", remedy="Check the base address.")

    def tables(self) -> Mapping[str, str]:
        found = {"profile": "profile", **self._resources.extended()}
        for resource in self._custom:
            if resource not in found and (schema := self.describe(resource)) is not None:
                found[resource] = schema.label
        return found

    def describe(self, table: str) -> TableSchema | None:
        """The resource as its metadata tells it now; `path` is endpoint and resource. Costs one or two requests."""
        metadata = self._resources.metadata(table)
        return None if metadata is None else read_schema(table, metadata.path, metadata.content)

    def check_key(self, resource: TableSchema, key_field: str) -> KeyCheck:
        """Whether records can be found by this field and duplicates of it are refused. Writes nothing.

        - The field must exist, and the filter must be listed, take the configured parameter, and find nothing for a
          value that no record has. With `by_uri` no filter is needed.
        - An identification key shows in no metadata. It is inferred: Campaign answers an address that ends in an
          impossible key with 404 "Unable to find document" where the resource has such a key, and with a parse error
          where it has none. That proves a key, not that it is this field: make sure of it, or set
          `CampaignKey(identification_key=...)` to what you know.
        """
        addresses = self._by_key(resource, key_field)
        return check_key(resource, addresses, self._ask)

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        """The record whose key field is exactly `key`, or None: a filter may also find what only resembles it."""
        found = self._one(resource, key_field, key)
        return None if found is None else TargetRecord(ref=found[0], values=flatten(found[1]))

    def link_to(self, resource: TableSchema, key_field: str, key: str) -> Value:
        """`{"PKey": ...}` of the record, or None. Costs one request, which counts as an engine call."""
        found = self._one(resource, key_field, key)
        if found is None:
            return None
        pkey = found[1].get("PKey")
        if not isinstance(pkey, str) or not pkey:
            raise ProtocolError(f"Campaign gave a record of {resource.name} no PKey.")
        return {"PKey": pkey}

    def _one(self, resource: TableSchema, key_field: str, key: str) -> tuple[str, Mapping[str, Any]] | None:
        addresses = self._by_key(resource, key_field)
        found: tuple[str, Mapping[str, Any]] | None = None
        for record in self._candidates(resource, addresses, key):
            value = record.get(key_field)
            if value is None or str(value) != key:
                continue
            ref = self._ref(resource, record, addresses, key)
            if found is None:
                found = ref, record
            elif found[0] != ref:  # a page may repeat a record while others are written
                raise RecordRefusedError(
                    f"Several records of {resource.name} have the same {key_field}.",
                    field=key_field,
                    remedy="Merge them in Campaign, then retry the record.",
                )
        return found

    def count(self, resource: TableSchema) -> int | None:
        """The resource's `_count`: what the credentials can see. None where there is none, or it is no number."""
        answer = self._read(f"campaign/{resource.path}/_count", resource.name)
        content = None if answer is None else answer.json()
        number = content.get("count") if isinstance(content, dict) else None
        return number if type(number) is int and number >= 0 else None

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        """Through the filter that `changes` names; it has to be made in Campaign, on the resource."""
        url = self._changes.address(resource.path, since) if link is None else link
        return page_of(resource.name, self._page(resource, url, self._changes.filter))

    def create(self, resource: TableSchema, values: Values) -> None:
        """Create a record.

        Where Campaign hides the cause of a refusal (version 8, and bare RST-360011), the key is looked up: found means
        ConflictError, not found UnavailableError.
        """
        url = f"campaign/{resource.path}"
        answer = self._http.request("POST", url, json=nest(resource, values), write=True)
        if answer.status == 201 or (answer.status == 200 and _is_object(answer)):
            return
        verdict = self._verdict(answer, resource)
        if verdict.status == 500 and verdict.meaning in (Meaning.HIDDEN, Meaning.UNKNOWN):
            self._raise_hidden(resource, values, verdict)
        if verdict.meaning is Meaning.NOT_FOUND and _is_other(resource, verdict):
            raise _missing_link(resource, values)
        raise self._judged(verdict, resource, values)

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        """Set these fields and no others."""
        if self._v8:
            _refuse_location(resource, values)
        url = _record_address(resource, ref)
        answer = self._http.request("PATCH", url, json=nest(resource, values), write=True)
        if answer.status in _DONE and (not answer.body or _is_object(answer)):
            return
        verdict = self._verdict(answer, resource)
        if verdict.meaning is Meaning.NOT_FOUND:
            if _is_other(resource, verdict):
                raise _missing_link(resource, values)
            raise ConflictError(f"The record of {resource.name} is gone.")
        raise self._judged(verdict, resource, values)

    def delete(self, resource: TableSchema, ref: str) -> None:
        """Delete the record at its own address. This is no privacy delete."""
        answer = self._http.request("DELETE", _record_address(resource, ref), write=True)
        if answer.status in _DONE and (not answer.body or _is_object(answer)):
            return
        verdict = self._verdict(answer, resource)
        if verdict.meaning is not Meaning.NOT_FOUND:
            raise self._judged(verdict, resource, {})

    def same(self, schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
        return same_value(schema, stored, wanted)

    # -- within -------------------------------------------------------------------------------------------------

    def _by_key(self, resource: TableSchema, key_field: str) -> KeyAddresses:
        found = self._addresses.get((resource.path, key_field))
        if found is None:
            key = self._keys.get(resource.name)
            if key is None or key.field != key_field:
                key = CampaignKey(field=key_field)
            found = KeyAddresses.of(key, resource.path, v8=self._v8)
            self._addresses[resource.path, key_field] = found
            self._key_fields.setdefault(resource.name, key_field)
        return found

    def _candidates(self, resource: TableSchema, addresses: KeyAddresses, key: str) -> Iterator[Mapping[str, Any]]:
        if not addresses.key.by_uri:
            return collection(lambda url: self._page(resource, url, addresses.filter), addresses.by_filter(key))
        answer = self._read(addresses.by_uri(key), resource.name)
        return iter(()) if answer is None else _single(resource, answer.json())

    def _page(self, resource: TableSchema, url: str, name: str) -> object:
        answer = self._read(url, resource.name, name)
        if answer is None:
            raise SchemaChangedError(
                f"Campaign has no such filter of {resource.name} any more, or no such resource.",
                table=resource.name,
                remedy="Publish the resource and its filter again, or check their names.",
            )
        return answer.json()

    def _ref(self, resource: TableSchema, record: Mapping[str, Any], addresses: KeyAddresses, key: str) -> str:
        href = record.get("href")
        if href is None and addresses.key.by_uri:
            return addresses.by_uri(key)  # a single record may come without its address
        if not isinstance(href, str) or "://" not in href[:8]:
            raise ProtocolError(f"Campaign gave a record of {resource.name} no address.")
        return href

    def _raise_hidden(self, resource: TableSchema, values: Values, verdict: Verdict) -> None:
        field = self._key_fields.get(resource.name, "externalId")
        key = values.get(field)
        unknown = f"Campaign refused to create a record of {resource.name} without a cause (status {verdict.status})"
        if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
            raise AmbiguousWriteError(f"{unknown}; it may have been created.")
        try:
            found = self.find(resource, field, str(key))
        except RetryLaterError as error:
            raise AmbiguousWriteError(f"{unknown}, and its key could not be looked up.") from error
        if found is not None:
            raise ConflictError(f"{unknown}; a record with its {field} exists.")
        raise UnavailableError(f"{unknown}; no record with its {field} exists.")

    def _read(self, url: str, about: str, name: str = "") -> Response | None:
        """A successful answer, or None for 404. Passing trouble is tried again at once, a few times."""
        return self._retries.run(lambda: self._read_once(url, about, name))

    def _read_once(self, url: str, about: str, name: str) -> Response | None:
        answer = self._http.request("GET", url)
        if answer.status == 200:
            return answer
        verdict = verdict_of(answer)
        if verdict.meaning is Meaning.NOT_FOUND:
            return None
        if name and verdict.meaning is Meaning.REFUSED and name in verdict.text:
            return None  # a filter that is gone was read as the key of a record
        raise judge(verdict, resource=about, principal=self._gate.principal)

    def _read_metadata(self, url: str) -> Response | None:
        return self._read(url, url.rpartition("/")[2])

    def _ask(self, url: str) -> Response:
        return self._retries.run(lambda: self._ask_once(url))

    def _ask_once(self, url: str) -> Response:
        """Any answer but one that only means trouble now."""
        answer = self._http.request("GET", url)
        if answer.status > 500:
            raise judge(verdict_of(answer), resource="key check", principal=self._gate.principal)
        return answer

    def _verdict(self, answer: Response, resource: TableSchema) -> Verdict:
        if answer.status < 300:
            raise AmbiguousWriteError(
                f"Something answered a write to {resource.name} with status {answer.status} and no word of Campaign's."
            )
        return verdict_of(answer)

    def _judged(self, verdict: Verdict, resource: TableSchema, values: Values) -> SynclineError:
        return judge(verdict, resource=resource.name, names=tuple(values), principal=self._gate.principal, write=True)


@frozen
class _Home:
    """The organisation's address, taken apart."""

    url: str
    host: str
    organisation: str


def _home(base_url: str, allow_loopback_http: bool) -> _Home:
    base = TrustedOrigins.of(base_url, allow_loopback_http=allow_loopback_http).base
    path = base.path.rstrip("/").removesuffix("/campaign")
    organisation = path.rpartition("/")[2]
    if not organisation:
        raise DefinitionError(
            "The address ends before the organisation.",
            path="base_url",
            remedy="Use https://mc.adobe.io/<organisation>.",
        )
    return _Home(f"{base.origin}{path}", base.origin.authority, organisation)


def _fingerprint(client_id: str) -> str:
    # the client id doubles as the API key: enough of it to tell two apart, and nothing to use
    return blake2b(client_id.encode(), digest_size=4).hexdigest()


def _is_object(answer: Response) -> bool:
    """Whether the body begins as a JSON object; a login page with status 200 does not."""
    return answer.body.lstrip()[:1] == b"{"


def _single(resource: TableSchema, content: object) -> Iterator[Mapping[str, Any]]:
    """One record, bare or wrapped in `content`: the documentation shows both."""
    if isinstance(content, dict) and isinstance(wrapped := content.get("content"), list):
        records: list[object] = wrapped
    else:
        records = [content]
    for record in records:
        if not isinstance(record, dict):
            raise ProtocolError(f"Campaign answered for one record of {resource.name} with something else.")
        yield record


def _record_address(resource: TableSchema, ref: str) -> str:
    """`ref`, if it is the address of one record of this resource and not of a collection or of a parent.

    A documented recipe deletes a whole service where one subscription was meant, by taking the address a step too high.
    """
    parent, _, token = ref.partition("?")[0].rpartition("/")
    if not token or parent.rpartition("/")[2] != resource.name:
        raise ProtocolError(f"An address that is not of one record of {resource.name}; nothing was sent.")
    return ref


def _is_other(resource: TableSchema, verdict: Verdict) -> bool:
    """Whether what was not found is named, and is not this resource: a linked record."""
    return bool(verdict.document) and verdict.document.lower() != resource.name.lower()


def _missing_link(resource: TableSchema, values: Values) -> RecordRefusedError:
    links = [name for name in values if name in resource.fields and resource.fields[name].targets]
    field = links[0] if len(links) == 1 else ""
    place = f"{resource.name}.{field}" if field else resource.name
    return RecordRefusedError(f"Campaign about {place}: there is no such linked record (status 404).", field=field)


def _refuse_location(resource: TableSchema, values: Values) -> None:
    for name in values:
        if name.startswith("location."):
            raise RecordRefusedError(
                f"Campaign version 8 cannot change {resource.name}.{name}.",
                field=name,
                remedy="Switch apply_updates off for the fields of location.",
            )
