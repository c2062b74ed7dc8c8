"""What an answer that is not a success means: one table from Campaign's own words to our errors.

What lives here: the table and its reading. Never a request, and never a record's value: a message of ours names the
resource, a field that we sent ourselves, and Campaign's code.

Campaign answers business errors with HTTP 500, so the text decides and the status only helps (source: Adobe's pages
"API troubleshooting" and "Error codes and messages" of version 8, which prints the texts of both versions). Bodies
come in four shapes: the gateway's `{"error_code": "403023", "message": ...}`, its `{"code": 500, "message": ...}`, a
bare JSON string, and plain text of several lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum, auto

import attrs
from attrs import frozen

from syncline.connectors.http import Response
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CredentialsError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["RULES", "Meaning", "Reply", "Rule", "Verdict", "judge", "read_reply", "verdict_of"]


class Meaning(Enum):
    """What Campaign means, whatever the status."""

    WRONG_ADDRESS = auto()
    CREDENTIALS = auto()
    THROTTLED = auto()
    CONFLICT = auto()
    NOT_FOUND = auto()
    UNKNOWN_FIELD = auto()
    REFUSED = auto()
    #: The database behind Campaign could not do it now.
    BUSY = auto()
    #: The cause is not told: "please contact your administrator" and nothing else.
    HIDDEN = auto()
    #: No rule knows the words; the status alone speaks.
    UNKNOWN = auto()


@frozen
class Rule:
    """One line of the table. A pattern's group `field` names the field at fault."""

    meaning: Meaning
    pattern: re.Pattern[str]
    says: str
    remedy: str = ""


_ORGANISATION = "Check the organisation in the base address; Adobe's console lists the ones this credential may use."
_PROFILE = (
    "Give the technical account the product profile 'Campaign Standard - <tenant> - Administrators'; the organisation"
    " in the address must be one of the product contexts in GET https://ims-na1.adobelogin.com/ims/profile/v1."
)
_CREDENTIAL = "Check client id, client secret and scopes of the OAuth Server-to-Server credential."
_API_KEY = "Check the client id: it is sent as X-Api-Key and needs the Adobe Campaign API in Adobe's console."


def _rule(meaning: Meaning, pattern: str, says: str, remedy: str = "") -> Rule:
    return Rule(meaning, re.compile(pattern, re.IGNORECASE), says, remedy)


#: The gateway's `error_code`, and the words of its answers with a number as `code`.
GATEWAY_RULES: tuple[Rule, ...] = (
    _rule(Meaning.CREDENTIALS, r"^401\d{3}\b", "the gateway does not accept the access token", _CREDENTIAL),
    _rule(Meaning.CREDENTIALS, r"^40300[0-9]\b", "the gateway does not accept the API key", _API_KEY),
    _rule(Meaning.CREDENTIALS, r"^40302[0-9]\b", "the credential has no access to this organisation", _PROFILE),
    _rule(Meaning.CREDENTIALS, r"^403\d{3}\b", "the gateway refuses the credential", _PROFILE),
    _rule(Meaning.THROTTLED, r"^429\d{3}\b", "too many requests"),
    _rule(Meaning.WRONG_ADDRESS, r"Check your URI", "the gateway knows no such address", _ORGANISATION),
)

#: The engine's words, in this order: the first that matches decides. Rules that quote a value come before rules whose
#: words such a value might hold.
ENGINE_RULES: tuple[Rule, ...] = (
    _rule(
        Meaning.REFUSED,
        r"is not valid for the '[^'\n]{1,200}' enumeration of the '@?(?P<field>[\w.\-]{1,100})' field",
        "the value is no option of the enumeration",
    ),
    _rule(
        Meaning.REFUSED, r"Cannot update the '(?P<field>[\w.\-]{1,100})' property that is read-only", "it is read-only"
    ),
    _rule(Meaning.REFUSED, r"XTK-170049", "the value does not pass the field's data policy"),
    _rule(Meaning.REFUSED, r"RST-360012", "the key of an existing record cannot be changed"),
    _rule(
        Meaning.UNKNOWN_FIELD,
        r"'(?P<field>[\w.\-]{1,100})' property is not valid for the",
        "there is no such field",
        "Publish the field again, or take it out of the mapping.",
    ),
    _rule(Meaning.REFUSED, r"XTK-170036|Unable to decrypt PKey|is not a valid constant", "a PKey in it is not valid"),
    _rule(
        Meaning.CONFLICT,
        r"PGS-220000[^\n]*(?:duplicate key|unique constraint)|already exists",
        "its key exists already",
    ),
    _rule(
        Meaning.REFUSED,
        r"PGS-220000[^\n]*(?:value too long|out of range|invalid byte sequence|invalid input syntax)",
        "the database does not take a value",
    ),
    _rule(
        Meaning.BUSY,
        r"PGS-220000[^\n]*(?:deadlock|could not serialize|too many connections|connection|shutting down|timeout)",
        "the database is busy",
    ),
    _rule(Meaning.CONFLICT, r"PGS-220000", "the database found a conflict"),
    _rule(Meaning.NOT_FOUND, r"Unable to find document", "there is no such record"),
    _rule(Meaning.REFUSED, r"is not valid for the|that is read-only", "a value is not valid"),
    _rule(Meaning.HIDDEN, r"contact your administrator", "it does not tell the cause"),
)

RULES: tuple[Rule, ...] = GATEWAY_RULES + ENGINE_RULES

_CODE = re.compile(r"\b(?:RST|XTK|PGS|SOP|XSV|NMS|WDB|ODB)-\d{6}\b")
_DOCUMENT = re.compile(r"Unable to find document with path '(\w{1,100})'", re.IGNORECASE)
_GATEWAY_CODE = re.compile(r"\d{6}")
# No documented text is longer than a few lines; patterns never run over a page.
_LONGEST = 8_000


@frozen(kw_only=True)
class Reply:
    """An answer's words, whatever shape they came in."""

    status: int
    #: May repeat a record: not printed.
    text: str = attrs.field(repr=False)
    #: The gateway's six digits, or an empty string when the engine speaks.
    gateway_code: str = ""
    #: The gateway speaks, and not Campaign behind it.
    is_gateway: bool = False
    is_page: bool = False


@frozen(kw_only=True)
class Verdict:
    """What a reply means. The service's own words may repeat a record, and are not printed."""

    meaning: Meaning
    status: int
    says: str = ""
    remedy: str = ""
    #: Campaign's own code such as `RST-360011`, or the gateway's.
    code: str = ""
    #: The field Campaign names; only trustworthy once it is one of ours.
    field: str = attrs.field(default="", repr=False)
    #: The resource whose record was not found, where the text names it.
    document: str = attrs.field(default="", repr=False)
    text: str = attrs.field(default="", repr=False)
    #: The gateway or a proxy speaks, and not Campaign.
    is_outside: bool = False


def read_reply(response: Response) -> Reply:
    """The words of an answer, taken out of whichever of the four shapes it has. Never raises."""
    raw = response.body.lstrip()
    if "html" in response.content_type or raw[:1] == b"<":
        return Reply(status=response.status, text="", is_page=True)
    content = _json(response) if raw[:1] in (b"{", b'"') else None
    if isinstance(content, str):
        return Reply(status=response.status, text=content[:_LONGEST])
    if not isinstance(content, dict):
        return Reply(status=response.status, text=response.text()[:_LONGEST])
    code, message = content.get("error_code"), content.get("message")
    text = message[:_LONGEST] if isinstance(message, str) else response.text()[:_LONGEST]
    if isinstance(code, str | int) and _GATEWAY_CODE.fullmatch(str(code)):
        return Reply(status=response.status, text=text, gateway_code=str(code), is_gateway=True)
    number = content.get("code")
    is_gateway = isinstance(number, int) and not isinstance(number, bool)
    return Reply(status=response.status, text=text, is_gateway=is_gateway)


def _json(response: Response) -> object:
    try:
        return response.json()
    except ProtocolError:
        return None  # it is read as plain text instead


def verdict_of(answer: Response) -> Verdict:
    """The first rule that matches, or what the status alone says."""
    reply = read_reply(answer)
    rules, words = (
        (GATEWAY_RULES, f"{reply.gateway_code} {reply.text}".strip())
        if reply.is_gateway
        else (
            ENGINE_RULES,
            reply.text,
        )
    )
    outside = reply.is_gateway or reply.is_page
    for rule in rules:
        if found := rule.pattern.search(words):
            if rule.meaning is Meaning.HIDDEN and reply.status == 404:
                break  # the same words, but the status tells the cause
            code = reply.gateway_code or (match[0] if (match := _CODE.search(words)) else "")
            document = match[1] if (match := _DOCUMENT.search(words)) else ""
            return Verdict(
                meaning=rule.meaning,
                status=reply.status,
                says=rule.says,
                remedy=rule.remedy,
                code=code,
                field=found.groupdict().get("field") or "",
                document=document,
                text=words,
                is_outside=outside,
            )
    return _by_status(reply, words, outside)


def _by_status(reply: Reply, words: str, outside: bool) -> Verdict:
    meaning, says, remedy = Meaning.UNKNOWN, "", ""
    if reply.status == 403:
        meaning, says, remedy = Meaning.CREDENTIALS, "access is denied", _PROFILE
    elif reply.status == 400 and words.strip().lower() == "bad request":
        # how the gateway answers a wrong organisation the first time (later it says "Check your URI")
        meaning, says, remedy = Meaning.WRONG_ADDRESS, "the gateway knows no such address", _ORGANISATION
    elif reply.status == 404 and not outside:
        meaning, says = Meaning.NOT_FOUND, "there is nothing at this address"
    code = reply.gateway_code or (match[0] if (match := _CODE.search(words)) else "")
    return Verdict(
        meaning=meaning, status=reply.status, says=says, remedy=remedy, code=code, text=words, is_outside=outside
    )


def judge(
    verdict: Verdict, *, resource: str, names: Collection[str] = (), principal: str = "", write: bool = False
) -> SynclineError:
    """The error for a verdict on a request about `resource` that sent the fields `names`.

    Campaign's words never become ours: the field is named only when it is one of `names`.
    """
    field = _our_name(verdict, names)
    place = f"{resource}.{field}" if field else resource
    code = f" ({verdict.code}, status {verdict.status})" if verdict.code else f" (status {verdict.status})"
    message = f"Campaign about {place}: {verdict.says or 'no documented answer'}{code}."
    meaning = verdict.meaning
    if meaning in (Meaning.CREDENTIALS, Meaning.WRONG_ADDRESS):
        return CredentialsError(message, remedy=verdict.remedy)
    if meaning is Meaning.THROTTLED:
        return ThrottledError(message, retry_after=None, principal=principal)
    if meaning is Meaning.CONFLICT:
        return ConflictError(message)
    if meaning is Meaning.UNKNOWN_FIELD:
        return SchemaChangedError(message, table=resource, field=field, remedy=verdict.remedy)
    if meaning is Meaning.REFUSED:
        return RecordRefusedError(message, field=field)
    if meaning is Meaning.NOT_FOUND:
        return SchemaChangedError(
            message, table=resource, remedy="Publish the resource and its filter again, or check their names."
        )
    return _for_status(verdict, message, resource, write)


def _for_status(verdict: Verdict, message: str, resource: str, write: bool) -> SynclineError:
    """Where the words decide nothing."""
    status = verdict.status
    if verdict.meaning in (Meaning.BUSY, Meaning.HIDDEN) or status in (408, 425, 500, 503):
        return UnavailableError(message)
    if status >= 500:
        # 502 and 504 come from the gateway: the engine behind it may have done the work all the same
        return AmbiguousWriteError(message) if write else UnavailableError(message)
    if verdict.is_outside or status < 400:
        return ProtocolError(message, remedy="Something between Syncline and Campaign answered in its place.")
    return RecordRefusedError(message, remedy=f"Look at the record of {resource} in Campaign.")


def _our_name(verdict: Verdict, names: Collection[str]) -> str:
    """The name of ours that Campaign speaks of: a field it names, else one whose name its text quotes."""
    if verdict.field:
        return _full_name(verdict.field, names)
    for name in names:
        leaf = re.escape(name.rpartition(".")[2])
        if re.search(rf"['\"@\[]{leaf}['\"\]\s]", verdict.text):
            return name
    return ""


def _full_name(found: str, names: Collection[str]) -> str:
    bare = found.lstrip("@")
    return next((name for name in names if bare in (name, name.rpartition(".")[2])), "")
