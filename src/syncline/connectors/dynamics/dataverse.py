"""Microsoft Dynamics 365 over the Dataverse Web API.

What lives here: `Dataverse`, its requests and nothing of their meaning: codes are read in `verdicts`, pages in `pages`,
schemas in `metadata`, sign-in in `authentication`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from syncline.clock import Clock, SystemClock
from syncline.connectors.base import DynamicsConnector, Gate
from syncline.connectors.creation import CreateAnswer, create_rows
from syncline.connectors.dynamics import metadata, odata
from syncline.connectors.dynamics.authentication import (
    ClientCertificate,
    ClientSecret,
    Credential,
    fetch_token,
    given_token,
    principal_of,
)
from syncline.connectors.dynamics.batch import read_batch, write_batch
from syncline.connectors.dynamics.metadata import Lookup, TableHead
from syncline.connectors.dynamics.new_rows import NewRows, bulk_supported
from syncline.connectors.dynamics.pages import Progress, read_page, row_of
from syncline.connectors.dynamics.verdicts import Meaning, Question, judge, verdict_of
from syncline.connectors.http import (
    HttpClient,
    OAuthTokenSource,
    Response,
    ThrottleGate,
    TokenSource,
    TrustedOrigins,
    trusted_url,
)
from syncline.errors import (
    AmbiguousWriteError,
    CredentialsError,
    CursorLostError,
    DefinitionError,
    ProtocolError,
    SchemaChangedError,
    SynclineError,
    UnavailableError,
    UntrustedUrlError,
)
from syncline.records import Change, NewRow, Outcome, OutcomeKind, Page, ReadRequest, ReadStage, Values
from syncline.retries import Retries
from syncline.schemas import TableSchema

__all__ = ["Dataverse"]

_API = "api/data/v9.2"
#: Dataverse's largest page, and its default.
_LARGEST_PAGE = 5_000
#: Microsoft's advice for bulk messages, which have no limit of their own.
_LARGEST_BULK = 1_000
#: Single requests in one batch.
_PARTS = 100
#: Ids in one filter: about five kilobytes of address.
_IDS = 100
_METADATA_VERSION = "@Microsoft.Dynamics.CRM.globalmetadataversion"
_LONGEST_MARK = 200
_HEADERS = {"Accept": "application/json", "OData-MaxVersion": "4.0", "OData-Version": "4.0", "If-None-Match": "null"}


class Dataverse(DynamicsConnector):
    """One Dynamics 365 environment.

    `url` is the environment's address, such as `https://contoso.crm.dynamics.com`; it is the only place where data and
    tokens are sent to, besides the credential's own `authority_url`. `credential` is a `ClientSecret`, a
    `ClientCertificate`, or any object with azure-identity's `get_token`. `page_size` is 1 to 5,000 rows; a read under
    way does not survive its change. `bulk_rows` is how many rows one message creates: fewer where it would
    take longer than `timeout`. `timeout` bounds each request, in seconds. `transport` is an `httpx.BaseTransport`
    of the host's own, for a proxy. `allow_loopback_http` is for the sandbox.

    Thread-safe; nothing is sent before the first call. Raises `DefinitionError` for an unusable address.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        page_size: int = 2_000,
        timeout: float = 20.0,
        connections: int = 32,
        bulk_rows: int = 1_000,
        ca_file: str | None = None,
        allow_loopback_http: bool = False,
        transport: object | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not 1 <= page_size <= _LARGEST_PAGE:
            raise DefinitionError("A page of Dataverse has 1 to 5,000 rows.", path="page_size")
        if not 1 <= bulk_rows <= _LARGEST_BULK:
            raise DefinitionError("A bulk message has 1 to 1,000 rows.", path="bulk_rows")
        self._clock = clock or SystemClock()
        self._page_size = page_size
        self._bulk_rows = bulk_rows
        self._in_bulk: dict[str, bool] = {}
        self._writable: dict[str, NewRows] = {}
        home = TrustedOrigins.of(url, allow_loopback_http=allow_loopback_http, setting="url").base
        if home.path.strip("/") not in {"", _API}:
            raise DefinitionError("Give the environment's address without a path.", path="url")
        self._origin = home.origin
        principal = principal_of(credential)
        self._gate = ThrottleGate(f"Dynamics {principal} at {home.origin.authority}", self._clock)
        self._sign_in_gate = ThrottleGate(f"Entra ID {principal}", self._clock)
        self._retries = Retries(self._clock)
        self._progress = Progress()
        self._heads: dict[str, TableHead] = {}
        self._parallelism: int | None = None
        self._sign_in: HttpClient | None = None
        more: dict[str, Any] = {
            "clock": self._clock,
            "timeout": timeout,
            "ca_file": ca_file,
            "allow_loopback_http": allow_loopback_http,
            "transport": transport,
        }
        self._http = HttpClient(
            f"{home.origin}/{_API}",
            gate=self._gate,
            auth=self._tokens(credential, more),
            headers=_HEADERS,
            connections=connections,
            **more,
        )

    def __repr__(self) -> str:
        return f"<Dataverse {self._origin}: {self._gate!r}>"

    def _tokens(self, credential: Credential, more: Mapping[str, Any]) -> TokenSource:
        scope = f"{self._origin}/.default"
        if isinstance(credential, ClientSecret | ClientCertificate):
            mine = credential
            TrustedOrigins.of(
                mine.authority_url, allow_loopback_http=more["allow_loopback_http"], setting="authority_url"
            )
            sign_in = HttpClient(mine.authority_url, gate=self._sign_in_gate, connections=2, **more)
            self._sign_in = sign_in
            return OAuthTokenSource(lambda: fetch_token(sign_in, mine, scope, self._clock), self._clock)
        theirs = credential
        if not callable(getattr(theirs, "get_token", None)):
            raise DefinitionError(
                "A credential is a ClientSecret, a ClientCertificate, or has get_token().", path="credential"
            )
        return OAuthTokenSource(lambda: given_token(theirs, scope, self._clock), self._clock)

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return f"Dynamics 365 at {self._origin.authority}"

    @property
    def identity(self) -> str:
        """The environment's host: a copy of it has another, and its links are not ours."""
        return f"dynamics:{self._origin.authority}"

    @property
    def gates(self) -> Sequence[Gate]:
        """Two: Dataverse throttles per user, Entra ID throttles sign-ins."""
        return (self._gate, self._sign_in_gate)

    @property
    def clock_offset(self) -> float | None:
        return self._http.clock_offset

    @property
    def recommended_parallelism(self) -> int | None:
        """The last `x-ms-dop-hint`; None before `check_access` or another answer told it."""
        return self._parallelism

    def close(self) -> None:
        self._http.close()
        if self._sign_in is not None:
            self._sign_in.close()
        self._heads.clear()
        self._in_bulk.clear()
        self._writable.clear()

    def check_access(self) -> None:
        """Ask Dataverse who we are: proves token, application user and address at once."""
        content = self._get("WhoAmI", Question())
        if not isinstance(content, dict) or odata.guid(content.get("UserId")) is None:
            raise ProtocolError("Dynamics 365 does not say who we are.", remedy="Check the environment's address.")

    # -- metadata -----------------------------------------------------------------------------------------------------

    def tables(self) -> Mapping[str, str]:
        """Every table whose changes are tracked, or could be once 'Track changes' is on."""
        return metadata.read_tables(self._metadata)

    def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
        """The table as it is now. Costs up to ten requests: each kind of column is a query of its own."""
        return metadata.read_schema(self._metadata, table, language)

    def alternate_keys(self, table: str) -> Mapping[str, tuple[str, ...]]:
        """The table's usable alternate keys: name to columns."""
        return metadata.alternate_keys(self._metadata, table)

    def lookups(self, table: str) -> Sequence[Lookup]:
        """How each lookup of the table is written, per table it may point to."""
        return metadata.lookups(self._metadata, table)

    def schema_mark(self, table: str) -> str | None:
        """The environment's metadata version, which a read of one row tells when it is asked for all annotations."""
        head = self._head(table)
        row = f"{head.entity_set}?{odata.select([head.primary_id])}&$top=1"
        content = self._get(row, Question(table=table), prefer='odata.include-annotations="*"')
        mark = content.get(_METADATA_VERSION) if isinstance(content, dict) else None
        return mark if isinstance(mark, str) and len(mark) <= _LONGEST_MARK else None

    def count(self, table: str) -> int | None:
        """Rows as of a snapshot of the last 24 hours (`RetrieveTotalRecordCount`); None for a table it cannot count."""
        names = odata.expression(f'["{odata.name(table)}"]')
        try:
            content = self._get(f"RetrieveTotalRecordCount(EntityNames=@p)?@p={names}", Question(table=table))
        except (ProtocolError, SchemaChangedError):
            return None
        found = content.get("EntityRecordCountCollection") if isinstance(content, dict) else None
        values = found.get("Values") if isinstance(found, dict) else None
        return values[0] if isinstance(values, list) and len(values) == 1 and type(values[0]) is int else None

    def change_tracking_days(self) -> int | None:
        """How long a position in change tracking is good, in days, as the environment is set; None if it hides it."""
        content = self._get("organizations?$select=expirechangetrackingindays", Question(table="organization"))
        rows = content.get("value") if isinstance(content, dict) else None
        first = rows[0] if isinstance(rows, list) and rows else None
        days = first.get("expirechangetrackingindays") if isinstance(first, dict) else None
        return days if type(days) is int and days > 0 else None

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, request: ReadRequest) -> Page:
        question = Question(table=request.table, columns=request.columns, link=request.link is not None)
        head = self._head(request.table)
        url = self._first_page(request, head) if request.link is None else self._stored(request.link)
        size = _LARGEST_PAGE if request.stage is ReadStage.KEYS else self._page_size
        prefer = f"odata.maxpagesize={size}{odata.preferring(request.columns)}"
        if request.link is None and request.stage is ReadStage.LOAD:
            prefer = f"odata.track-changes,{prefer}"
        content = self._get(url, question, prefer=prefer)
        page = read_page(content, request, head.primary_id, self._http.origins)
        self._progress.note(request, page)
        return page

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        """The rows that exist, by id, in requests of 100 ids each. What is no GUID does not exist."""
        head = self._head(table)
        wanted = list(dict.fromkeys(found for found in map(odata.guid, ids) if found is not None))
        asked = {odata.guid(record): record for record in ids}
        rows = (
            row
            for start in range(0, len(wanted), _IDS)
            for row in self._rows(head, tuple(columns), wanted[start : start + _IDS])
        )
        return {asked[row.key.id]: row for row in rows if row.key.id in asked}

    def _rows(self, head: TableHead, columns: tuple[str, ...], ids: Sequence[str]) -> Iterator[Change]:
        selected = odata.select([*columns, *([] if columns else [head.primary_id])])
        url: str | None = f"{head.entity_set}?{selected}&$filter={odata.in_list(head.primary_id, ids)}"
        question = Question(table=head.table, columns=columns)
        for _ in range(len(ids) + 1):  # each page has a row at least
            prefer = f"odata.maxpagesize={self._page_size}{odata.preferring(columns)}"
            content = self._get(url or "", question, prefer=prefer)
            rows = content.get("value") if isinstance(content, dict) else None
            if not isinstance(rows, list):
                raise ProtocolError(f"Dynamics 365 sent something that is not a page of {head.table}.")
            yield from (row_of(row, head.table, columns, head.primary_id) for row in rows)
            url = content.get("@odata.nextLink")
            if url is None:
                return
            trusted_url(url, self._http.origins)
        raise ProtocolError(f"Dynamics 365 answers a question for {len(ids)} rows of {head.table} without end.")

    def _first_page(self, request: ReadRequest, head: TableHead) -> str:
        selected = odata.select(request.columns or (head.primary_id,))
        if request.stage in (ReadStage.LOAD, ReadStage.KEYS):
            return f"{head.entity_set}?{selected}"
        if request.stage is not ReadStage.OVERLAP:
            raise CursorLostError(f"There is no position to read {request.table} from.")
        if request.since is None or not head.has_modified_on:
            return f"{head.entity_set}?{selected}"
        since = odata.expression(f"modifiedon ge {odata.moment(request.since)}")
        return f"{head.entity_set}?{selected}&$filter={since}"

    def _stored(self, link: str) -> str:
        """A link out of the storage: of another environment, it is a lost position and not an attack."""
        try:
            return trusted_url(link, self._http.origins)
        except UntrustedUrlError as error:
            raise CursorLostError(
                f"The stored position belongs to another environment than {self._origin}: {error.message}"
            ) from None

    def _head(self, table: str) -> TableHead:
        head = self._heads.get(table)
        if head is None:
            content = self._metadata(metadata.head_address(odata.name(table)))
            if content is None:
                raise SchemaChangedError(f"Dynamics 365 has no table {table}.", table=table)
            head = self._heads[table] = metadata.read_head(content, table)
        return head

    # -- writing ------------------------------------------------------------------------------------------------------

    def create_row(self, table: str, record: str, values: Values) -> bool:
        """Create the row with this id, and only create it: False when it exists already, which changes nothing.

        Lookups are given as `<navigation>@odata.bind` (see `lookups`). The id is ours, so that the same request sent
        again after `AmbiguousWriteError` creates nothing twice. Raises `RecordRefusedError` when Dataverse will never
        take it, `ConflictError` when an alternate key is taken.
        """
        head, question = self._head(table), Question(table=table, columns=tuple(values), write=True)
        response = self._write("PATCH", head, record, {"If-None-Match": "*"}, values)
        if _is_done(response, question):
            return True
        verdict = verdict_of(response, question)
        if verdict.code == "0x80040237" or (verdict.meaning is Meaning.CHANGED and verdict.status == 412):
            return False
        raise judge(verdict, question, principal=self._gate.principal)

    @property
    def most_new_rows(self) -> int:
        return self._bulk_rows

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        """In one `CreateMultiple` where the table takes it, else in batches of 100 single creates. Never an upsert."""
        made = self._new_rows(table, {key.table for row in rows for key in row.links.values()})
        if self.creates_in_bulk(table):
            together = partial(self._create_together, made)
            return create_rows(table, rows, together=together, existing=self._existing, still_ours=still_ours)
        answers: list[CreateAnswer] = []
        try:
            for start in range(0, len(rows), _PARTS):
                some = rows[start : start + _PARTS]
                still_ours()
                answers += self._create_apart(made, some)
        except SynclineError as error:
            answers += [error] * (len(rows) - len(answers))
        return answers

    def links(self, table: str) -> Mapping[str, Collection[str]]:
        found: dict[str, set[str]] = {}
        for lookup in self.lookups(table):
            found.setdefault(lookup.column, set()).add(lookup.target)
        return found

    def activities(self) -> Mapping[str, str]:
        return metadata.read_activities(self._metadata)

    def creates_in_bulk(self, table: str) -> bool:
        """Asked once for each table. False, too, when the application user may not know."""
        known = self._in_bulk.get(table)
        if known is None:
            try:
                content = self._get(bulk_supported(table), Question(table="sdkmessagefilter"))
            except (CredentialsError, SchemaChangedError):
                content = None
            known = self._in_bulk[table] = bool(content.get("value")) if isinstance(content, dict) else False
        return known

    def _new_rows(self, table: str, targets: Collection[str]) -> NewRows:
        made = self._writable.get(table)
        if made is None or not made.sets.keys() >= set(targets):
            sets = {target: self._head(target).entity_set for target in targets}
            made = self._writable[table] = NewRows.of(self._head(table), self.lookups(table), sets)
        return made

    def _create_together(self, made: NewRows, rows: Sequence[NewRow]) -> None:
        question = Question(table=made.head.table, columns=tuple(rows[0].values), write=True)
        address = f"{made.head.entity_set}/Microsoft.Dynamics.CRM.CreateMultiple"
        response = self._http.request("POST", address, json=made.bulk(rows), write=True)
        self._note(response)
        if not _is_done(response, question):
            raise self._judged(response, question)

    def _create_apart(self, made: NewRows, rows: Sequence[NewRow]) -> list[CreateAnswer]:
        sound = [row for row in rows if all(odata.guid(key.id) for key in row.links.values())]
        boundary = f"batch_{uuid4()}"
        headers = {
            "Content-Type": f'multipart/mixed; boundary="{boundary}"',
            "Prefer": "odata.continue-on-error",
        }
        body = write_batch([made.part(row, f"/{_API}") for row in sound], boundary)
        answers: dict[str, CreateAnswer] = {}
        if sound:
            response = self._http.request("POST", "$batch", headers=headers, content=body, write=True)
            self._note(response)
            if response.status != 200:
                raise self._judged(response, Question(table=made.head.table, write=True))
            parts = read_batch(response, len(sound))
            judged = made.judged(sound, parts, self._existing, self._gate.principal)
            answers = {row.id: answer for row, answer in zip(sound, judged, strict=True)}
        unknown = Outcome(kind=OutcomeKind.PARENT_UNKNOWN, calls=0)
        return [answers.get(row.id, unknown) for row in rows]

    def _existing(self, table: str, ids: Sequence[str]) -> Collection[str]:
        return self.fetch(table, (), ids).keys()

    def update_row(self, table: str, record: str, values: Values, *, etag: str | None = None) -> None:
        """Change these columns of an existing row, only while its version is `etag` where one is given.

        Raises `ConflictError` when the row is gone (it is never created again) or was changed since,
        `RecordRefusedError` when Dataverse will never take the values, `AmbiguousWriteError` when no answer came.
        """
        head, question = self._head(table), Question(table=table, columns=tuple(values), write=True)
        response = self._write("PATCH", head, record, {"If-Match": etag or "*"}, values)
        if not _is_done(response, question):
            raise self._judged(response, question)

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        """Change these columns of a row while its version is `etag`, and learn the version in the same request."""
        head, question = self._head(table), Question(table=table, columns=tuple(values), write=True)
        address = f"{odata.one_row(head.entity_set, record)}?{odata.select([head.primary_id])}"
        headers = {"If-Match": etag, "Prefer": "return=representation"}
        response = self._http.request("PATCH", address, headers=headers, json=values, write=True)
        self._note(response)
        if not _is_done(response, question):
            raise self._judged(response, question)
        content = response.json() if response.body else {}
        after = content.get("@odata.etag") if isinstance(content, dict) else None
        # Without it nobody knows which version is ours: that costs a comparison later, and nothing else.
        return after if isinstance(after, str) else ""

    def delete_row(self, table: str, record: str, *, etag: str | None = None) -> bool:
        """Delete a row, only while its version is `etag` where one is given; False when there was none.

        Raises `ConflictError` when it was changed since.
        """
        head, question = self._head(table), Question(table=table, write=True)
        headers = {"If-Match": etag} if etag else {}
        response = self._write("DELETE", head, record, headers, ...)
        if _is_done(response, question):
            return True
        verdict = verdict_of(response, question)
        if verdict.meaning is Meaning.NOT_FOUND:
            return False
        raise judge(verdict, question, principal=self._gate.principal)

    def bind(self, table: str, record: str) -> str:
        """What a lookup is set to in `<navigation>@odata.bind`."""
        return f"/{odata.one_row(self._head(table).entity_set, record)}"

    def _write(self, method: str, head: TableHead, record: str, headers: Mapping[str, str], values: object) -> Response:
        address = odata.one_row(head.entity_set, record)
        response = self._http.request(method, address, headers=headers, json=values, write=True)
        self._note(response)
        return response

    # -- requests -----------------------------------------------------------------------------------------------------

    def _metadata(self, address: str) -> Any:
        """Metadata as of now, not as cached half a minute ago; None where there is no such table."""
        question = Question()
        try:
            return self._get(address, question, more={"Consistency": "Strong"})
        except SchemaChangedError:
            return None

    def _get(self, url: str, question: Question, *, prefer: str = "", more: Mapping[str, str] | None = None) -> Any:
        headers = {**(more or {}), **({"Prefer": prefer} if prefer else {})}

        unusable: list[ProtocolError] = []

        def call() -> Any:
            response = self._http.request("GET", url, headers=headers)
            self._note(response)
            if response.status != 200:
                raise self._judged(response, question)
            try:
                return response.json()
            except ProtocolError as error:  # a page of something in between, perhaps, and gone at the next try
                unusable.append(error)
                raise UnavailableError(error.message) from None

        try:
            return self._retries.run(call)
        except UnavailableError as error:
            raise (unusable[-1] if unusable and error.message == unusable[-1].message else error) from None

    def _note(self, response: Response) -> None:
        hint = response.headers.get("x-ms-dop-hint", "")
        if hint.isascii() and hint.isdigit() and 0 < len(hint) < 5 and int(hint):
            self._parallelism = int(hint)

    def _judged(self, response: Response, question: Question) -> Exception:
        verdict = verdict_of(response, question)
        if verdict.meaning is Meaning.THROTTLED:
            self._gate.close(None)  # a throttle that did not come as 429 closes the gate as well
        return judge(verdict, question, principal=self._gate.principal)


def _is_done(response: Response, question: Question) -> bool:
    """Whether a write was made. Raises AmbiguousWriteError for a success in words that are not Dataverse's."""
    if response.status == 204 or (response.status in (200, 201) and response.body.lstrip()[:1] == b"{"):
        return True
    if response.status < 300:  # such as the page of something in between that wants somebody to log in
        raise AmbiguousWriteError(
            f"Something answered a write to {question.table} with status {response.status} and no word of Dynamics 365."
        )
    return False
