"""What an answer that is not a success means: one table from Dataverse's codes to our errors.

What lives here: the table and its reading. Never a request, and never Dataverse's own text or a record's value: a
message of ours names the table, a column that we asked for ourselves, the code, and the id under which Microsoft's
support finds the request.

The code decides and the status only helps: 412 alone has four meanings, and statuses of several codes are not
documented (source: Microsoft's web service error codes and the pages on errors, limits and concurrency).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum, auto
from typing import Any

from attrs import field, frozen

from syncline.connectors.http import Response
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CredentialsError,
    CursorLostError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["RULES", "Meaning", "Question", "Rule", "Verdict", "judge", "verdict_of"]


class Meaning(Enum):
    """What Dataverse means, whatever the status."""

    #: The delta token is older than change tracking remembers.
    EXPIRED = auto()
    #: The table is not set up for what was asked.
    UNSUITABLE = auto()
    DENIED = auto()
    NO_TABLE = auto()
    NO_COLUMN = auto()
    NOT_FOUND = auto()
    #: The row's version is not the one that was expected.
    CHANGED = auto()
    #: A row with that key exists already.
    EXISTS = auto()
    REFUSED = auto()
    THROTTLED = auto()
    #: A deadlock or a time-out of the database: rolled back.
    BUSY = auto()
    #: An argument is not valid: a value in a write, the token or cookie in a link.
    INVALID = auto()
    #: No rule knows the code.
    UNKNOWN = auto()


@frozen
class Rule:
    """One line of the table."""

    meaning: Meaning
    says: str
    remedy: str = ""


@frozen(kw_only=True)
class Question:
    """What was asked, so that the answer can be judged and described without the service's words."""

    #: Logical name of the table, or empty.
    table: str = ""
    #: The columns that were asked for or sent: only these may be named in a message.
    columns: Collection[str] = ()
    write: bool = False
    #: The address was a link out of an earlier answer.
    link: bool = False


@frozen(kw_only=True)
class Verdict:
    """What an answer means. `code` is Dataverse's, in small hexadecimal, or empty."""

    meaning: Meaning
    status: int
    says: str = ""
    remedy: str = ""
    code: str = ""
    #: Out of the service's own words, which may repeat a record: not printed.
    column: str = field(default="", repr=False)
    request_id: str = ""
    #: Dataverse itself speaks: the body has its error shape.
    is_dataverse: bool = False


_USER = "In the Power Platform admin center, add an application user for this client id to the environment."
_ROLE = "Give the application user a security role with organization-level Read on {table}."
_WRITE_ROLE = "Give the application user a security role that may create, write and delete {table}."
_TRACK = "Turn on 'Track changes' in the properties of {table}."
_COLUMN_SECURITY = "Add the application user to a column security profile that allows {table}.{column}."
_CONCURRENCY = "Optimistic concurrency must be enabled for {table}."

#: Dataverse's codes as unsigned numbers.
RULES: dict[int, Rule] = {
    0x80044352: Rule(Meaning.EXPIRED, "the position in change tracking has expired"),
    0x80072491: Rule(Meaning.UNSUITABLE, "change tracking is not enabled", _TRACK),
    0x80072492: Rule(Meaning.UNSUITABLE, "a many-to-many table cannot be tracked"),
    0x80072493: Rule(Meaning.NO_TABLE, "there is no such table"),
    0x80072560: Rule(Meaning.DENIED, "the application is no user of this environment", _USER),
    0x80095FFC: Rule(
        Meaning.DENIED,
        "a policy of the environment blocks this application",
        "Allow the client id in the environment's application access control.",
    ),
    0x80040220: Rule(Meaning.DENIED, "a privilege is missing", _ROLE),
    0x80040231: Rule(Meaning.DENIED, "access to the row is missing", _ROLE),
    0x80048405: Rule(Meaning.DENIED, "access is denied", _ROLE),
    0x80040256: Rule(Meaning.DENIED, "access is denied", _ROLE),
    0x8004F502: Rule(Meaning.DENIED, "column security forbids to create it", _COLUMN_SECURITY),
    0x8004F504: Rule(Meaning.DENIED, "column security forbids to read it", _COLUMN_SECURITY),
    0x8004F507: Rule(Meaning.DENIED, "column security forbids to change it", _COLUMN_SECURITY),
    0x8006088A: Rule(Meaning.NO_TABLE, "there is no such table"),
    0x80041102: Rule(Meaning.NO_TABLE, "there is no such table"),
    0x80041103: Rule(Meaning.NO_COLUMN, "there is no such column"),
    0x80040217: Rule(Meaning.NOT_FOUND, "there is no such row"),
    0x80060891: Rule(Meaning.NOT_FOUND, "there is no row with that key"),
    0x80060890: Rule(Meaning.NO_COLUMN, "the alternate key is not defined"),
    0x8006089D: Rule(Meaning.REFUSED, "several rows have that key"),
    0x80060882: Rule(Meaning.CHANGED, "the row was changed meanwhile"),
    0x80060892: Rule(Meaning.EXISTS, "a row with that key exists already"),
    0x80040237: Rule(Meaning.EXISTS, "the row exists already"),
    0x80040333: Rule(Meaning.REFUSED, "a duplicate detection rule refuses it"),
    0x8006088D: Rule(Meaning.UNSUITABLE, "its rows cannot be changed conditionally", _CONCURRENCY),
    0x80044331: Rule(Meaning.REFUSED, "a text is too long"),
    0x8004431A: Rule(Meaning.REFUSED, "a value is none of the options"),
    0x80040203: Rule(Meaning.INVALID, "a value is not valid"),
    0x80048D19: Rule(Meaning.INVALID, "the body is not valid"),
    0x80040265: Rule(Meaning.REFUSED, "a plug-in of the environment refuses it"),
    0x8004023B: Rule(Meaning.REFUSED, "the operation is not possible here"),
    0x80040227: Rule(Meaning.REFUSED, "other rows depend on it"),
    0x80072321: Rule(Meaning.THROTTLED, "the time for requests is used up"),
    0x80072322: Rule(Meaning.THROTTLED, "the number of requests is used up"),
    0x80072326: Rule(Meaning.THROTTLED, "there are too many requests at once"),
    0x8005F103: Rule(Meaning.THROTTLED, "there are too many requests"),
    0x80048544: Rule(Meaning.THROTTLED, "the query is throttled"),
    0x80044150: Rule(Meaning.BUSY, "the database could not do it now"),
    0x80044151: Rule(Meaning.BUSY, "the database took too long"),
}

#: Words that tell of a missing column where the code is only `0x0`, or one for any kind of bad body.
_NO_COLUMN = re.compile(
    r"Could not find a property named '|Invalid property '|[Aa]n undeclared property '|doesn't contain attribute with"
)
_CODE = re.compile(r"0x[0-9A-Fa-f]{1,8}")
_NUMBER = re.compile(r"-?[0-9]{1,10}")
_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
_NAMED = re.compile(r"'(\w{1,128})'")


def verdict_of(response: Response, question: Question) -> Verdict:
    """The rule for the answer's code, or what words and status alone say. Never raises."""
    error = _error(response)
    number = _code(error)
    message = error.get("message", error.get("Message", ""))
    words = message[:4000] if isinstance(message, str) else ""
    column = _our_column(words, question.columns)
    rule = RULES.get(number) if number else None
    if _NO_COLUMN.search(words) and (rule is None or rule.meaning is Meaning.INVALID):
        rule = RULES[0x80041103]
    rule = rule or _by_status(response.status, bool(error))
    place = {"table": question.table or "the table", "column": column or "the column"}
    remedy = _WRITE_ROLE if question.write and rule.remedy is _ROLE else rule.remedy
    request_id = response.headers.get("x-ms-service-request-id") or response.headers.get("req_id", "")
    return Verdict(
        meaning=rule.meaning,
        status=response.status,
        says=rule.says,
        remedy=remedy.format(**place),
        code=f"0x{number:08x}" if number else "",
        column=column,
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else "",
        is_dataverse=bool(error),
    )


def judge(verdict: Verdict, question: Question, *, principal: str = "") -> SynclineError:
    """The error for a verdict on a request."""
    message = _message(verdict, question)
    meaning, table, column, remedy = verdict.meaning, question.table, verdict.column, verdict.remedy
    if meaning is Meaning.EXPIRED or (question.link and (meaning is Meaning.INVALID or verdict.status == 410)):
        return CursorLostError(message)
    if meaning is Meaning.DENIED:
        return CredentialsError(message, remedy=remedy)
    if meaning is Meaning.THROTTLED:
        return ThrottledError(message, retry_after=None, principal=principal)
    if meaning is Meaning.BUSY:
        return UnavailableError(message)
    if meaning in (Meaning.UNSUITABLE, Meaning.NO_TABLE, Meaning.NO_COLUMN):
        return SchemaChangedError(message, table=table, field=column, remedy=remedy)
    if meaning in (Meaning.CHANGED, Meaning.EXISTS) or (meaning is Meaning.NOT_FOUND and question.write):
        return ConflictError(message)
    if meaning is Meaning.NOT_FOUND:
        return SchemaChangedError(message, table=table)
    if meaning in (Meaning.REFUSED, Meaning.INVALID) and question.write:
        return RecordRefusedError(message, field=column, remedy=remedy)
    return _for_status(verdict, question, message)


def _for_status(verdict: Verdict, question: Question, message: str) -> SynclineError:
    """Where the code decides nothing."""
    status = verdict.status
    if status >= 500 or status in (408, 425):
        # Dataverse rolls a request that ended in an error back; a gateway before it cannot know what became of it.
        in_doubt = question.write and not verdict.is_dataverse and status != 503
        return AmbiguousWriteError(message) if in_doubt else UnavailableError(message)
    if question.write and verdict.is_dataverse:
        return RecordRefusedError(message, field=verdict.column)
    remedy = "" if verdict.is_dataverse else "Check the address: it is not Dataverse that answers."
    return ProtocolError(message, remedy=remedy)


def _by_status(status: int, is_dataverse: bool) -> Rule:
    """What the status says of an answer whose code no rule knows."""
    if status == 403:
        return Rule(Meaning.DENIED, "access is denied", _ROLE)
    if is_dataverse and status == 404:
        return Rule(Meaning.NOT_FOUND, "there is nothing at this address")
    if is_dataverse and status == 412:
        return Rule(Meaning.CHANGED, "a condition does not hold")
    if status == 413:
        return Rule(Meaning.REFUSED, "the request is too large")
    return Rule(Meaning.UNKNOWN, "no documented answer")


def _message(verdict: Verdict, question: Question) -> str:
    place = f"{question.table}.{verdict.column}" if verdict.column else question.table
    about = f" about {place}" if place else ""
    parts = [part for part in (verdict.code, f"status {verdict.status}") if part]
    if verdict.request_id:
        parts.append(f"request {verdict.request_id}")
    return f"Dynamics 365{about}: {verdict.says} ({', '.join(parts)})."


def _error(response: Response) -> dict[str, Any]:
    """The error object in either of its two shapes; empty when it is not Dataverse that answers."""
    try:
        content = response.json()
    except ProtocolError:
        return {}
    if not isinstance(content, dict):
        return {}
    error = content.get("error")
    if isinstance(error, dict):
        return error
    return content if "ErrorCode" in content or "ExceptionMessage" in content else {}


def _code(error: dict[str, Any]) -> int:
    """The code as an unsigned number; 0 where there is none. It comes as hexadecimal text, or signed and decimal."""
    code = error.get("code", error.get("ErrorCode"))
    if isinstance(code, bool):
        return 0
    if isinstance(code, int):
        return code & 0xFFFFFFFF
    if isinstance(code, str) and _CODE.fullmatch(code):
        return int(code, 16)
    if isinstance(code, str) and _NUMBER.fullmatch(code):
        return int(code) & 0xFFFFFFFF
    return 0


def _our_column(words: str, columns: Collection[str]) -> str:
    """The first name in quotes that is one of ours: as we wrote it, or without what a lookup's name has around it."""
    ours = {column.removeprefix("_").removesuffix("_value").lower(): column for column in columns}
    ours.update((column.lower(), column) for column in columns)
    return next((ours[found.lower()] for found in _NAMED.findall(words) if found.lower() in ours), "")
