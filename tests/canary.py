"""Listens to the whole test run: no person of the sandbox and no credential may show where a host would see it.

The planted values are the sandbox's own: the names, addresses and telephone numbers of its people, the client secrets
it hands out, and every token it gives. Searched are all log records, warnings, errors of Syncline with their causes,
what was written to standard error, and, after every test, how the objects of Syncline that it made last print
themselves. What is found makes the test that was running then fail at its end.

What lives here: the plugin, registered by `conftest`. The trouble that provokes such leaks is in
`acceptance/test_canaries.py`; page titles are looked at by `browser/console_room.py`.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import syncline

__all__ = ["Canary", "shown_in"]

_OURS, _NOT_OURS = "syncline.", ("syncline.sandbox", "syncline.testing")
#: Where our own code is; the sandbox has to know its people.
_HOME = str(Path(syncline.__file__).parent) + os.sep
_AWAY = tuple(_HOME + name + os.sep for name in ("sandbox", "testing"))
_SHORTEST_NAME = 5

_ADDRESS = r"[\w.+'-]+@(?:[\w-]+\.)*(?:b\u00fccher\.|mail\.)?example(?:\.(?:com|org|net|co\.uk))?\b"
_TELEPHONE = r"\+\d\d \d{3} \d{6}\b|\b0\d{3}-\d{7}\b"
_CREDENTIAL = r"sandbox~[0-9a-f]{32}|p8e-[0-9a-f]{32}|\beyJ[\w-]{12}"


@cache
def _planted() -> re.Pattern[str]:
    from syncline.sandbox import people

    names = {str(one[column] or "").strip() for one in people(2_000) for column in ("firstname", "lastname")}
    telling = {name for name in names if len(name) >= _SHORTEST_NAME and not name.isascii()}
    return re.compile("|".join((_ADDRESS, _TELEPHONE, _CREDENTIAL, *map(re.escape, sorted(telling)))))


def shown_in(text: str) -> str:
    """The first planted value in this text; empty if there is none."""
    found = _planted().search(text)
    return "" if found is None else found.group()


class Canary(logging.Handler):
    """Keeps what it found until somebody asks."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.found: list[str] = []
        self._inside = False

    def search(self, place: str, text: str) -> None:
        """Note a planted value in this text."""
        if value := shown_in(text):
            self.found.append(f"{place} shows {value!r}: {text[:300]}")

    def take(self) -> list[str]:
        """What was found since somebody asked last."""
        found, self.found = self.found, []
        return found

    # -- logging --------------------------------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Every record, with all that a formatter could print of it."""
        if self._inside:
            return
        self._inside = True
        try:
            text = f"{record.getMessage()} {record.__dict__!r}"
            if record.exc_info:
                text += logging.Formatter().formatException(record.exc_info)
            if record.name.startswith("syncline") or _within_ours():
                self.search(f"a record of {record.name}", text)
        finally:
            self._inside = False

    # -- errors ---------------------------------------------------------------------------------------------------

    def raised(self, code: CodeType, _: int, error: BaseException) -> None:
        """An error of ours leaves the function that made it."""
        if type(error).__module__ != "syncline.errors" or not _is_ours(code):
            return
        cause: BaseException | None = error
        while cause is not None:
            told = (cause, cause.args, getattr(cause, "__dict__", {}), getattr(cause, "__notes__", ()))
            self.search(f"an error raised in {code.co_qualname}", f"{cause} {told!r}")
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)

    def look_at_the_living(self) -> None:
        """Every object of ours that was made lately and is still there, as it prints itself."""
        for thing in _living():
            self.search(f"a {type(thing).__name__}", _printed(thing))

    # -- what pytest tells ----------------------------------------------------------------------------------------

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        self.search("a warning", str(warning_message.message))

    def pytest_sessionstart(self) -> None:
        logging.getLogger().addHandler(self)
        logging.getLogger("syncline").setLevel(logging.DEBUG)
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(_TOOL, "canary")
            monitoring.register_callback(_TOOL, monitoring.events.RAISE, self.raised)
            monitoring.set_events(_TOOL, monitoring.events.RAISE)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        self.look_at_the_living()
        yield
        for _, stream, text in item._report_sections:
            if stream == "stderr":
                self.search("standard error", text)
        if found := self.take():
            pytest.fail("Somebody's data or a credential got out.\n" + "\n".join(found), pytrace=False)


#: One of the six that Python keeps for tools; debuggers, profilers and coverage have others.
_TOOL = 4


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_HOME) and not code.co_filename.startswith(_AWAY)


def _within_ours() -> bool:
    """Whether our own code is at work further up: other people's libraries may be used by tests, too."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        if frame is None:
            return False
        if _is_ours(frame.f_code):
            return True
    return False


def _living() -> list[Any]:
    return [
        thing
        for generation in (0, 1)  # the third holds everything there ever was: too much to look at after each test
        for thing in gc.get_objects(generation)
        if (module := type(thing).__module__).__class__ is str
        and module.startswith(_OURS)
        and not module.startswith(_NOT_OURS)
    ]


def _printed(thing: object) -> str:
    try:
        return f"{thing!r} {thing}"
    except Exception as problem:  # noqa: BLE001  (closed, or not finished: nobody can print it)
        return str(problem)
