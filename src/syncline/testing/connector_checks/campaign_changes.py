"""Checks of a Campaign connector: who changed since a moment is told, page by page, whoever reads on.

What lives here: `changed_since`, without which opt-outs of profiles come from exported files only. A connector that
does not have it raises DefinitionError and is asked nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from syncline.connectors.base import CampaignConnector, ChangedPage
from syncline.errors import (
    DefinitionError,
    ProtocolError,
    SynclineError,
    ThrottledError,
    UnavailableError,
    UntrustedUrlError,
)
from syncline.testing.connector_checks.campaign_subject import ANN, BOB, CampaignSubject
from syncline.testing.connector_checks.dynamics_subject import row_id
from syncline.testing.connector_checks.trouble import WAIT, Trouble

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MEANT: dict[Trouble, tuple[type[SynclineError], ...]] = {
    Trouble.WAIT_SECONDS: (ThrottledError,),
    Trouble.WAIT_DATE: (ThrottledError,),
    Trouble.WAIT_UNTOLD: (ThrottledError,),
    Trouble.AWAY: (UnavailableError,),
    Trouble.CUT: (UnavailableError,),
    Trouble.NO_ANSWER: (UnavailableError,),
    Trouble.NONSENSE: (ProtocolError, UnavailableError),
    Trouble.ELSEWHERE: (ProtocolError, UntrustedUrlError),
}


def _now(subject: CampaignSubject) -> datetime:
    """By the service's clock, as far as it is known."""
    return subject.clock.now() + timedelta(seconds=subject.connector.clock_offset or 0.0)


def _page(
    subject: CampaignSubject, since: datetime | None, link: str | None = None, *, by: CampaignConnector | None = None
) -> ChangedPage:
    return (by or subject.connector).changed_since(subject.schema, since, link)


def _pages(subject: CampaignSubject, since: datetime | None, link: str | None = None) -> Iterator[ChangedPage]:
    """Pages until none follows; an end is reached within a thousand."""
    for _ in range(1_000):
        page = _page(subject, since, link)
        yield page
        link = page.next_link
        if link is None:
            return
    raise AssertionError("the pages have no end")


def _keys(subject: CampaignSubject, *pages: ChangedPage) -> set[object]:
    return {record[subject.key_field] for page in pages for record in page.records}


def _is_told(subject: CampaignSubject) -> bool:
    """Whether the connector can tell changes; one that cannot says so in a DefinitionError."""
    try:
        _page(subject, _now(subject) + _DAY)
    except DefinitionError as error:
        subject.tells_nothing(error)
        return False
    return True


def _fill(subject: CampaignSubject) -> set[str]:
    """More records than fit on two pages; their keys."""
    keys = [row_id(number) for number in range(2 * subject.page_size + 2)]
    for key in keys:
        subject.put(key, subject.texts(f"Person {key[:8]}"))
    return set(keys)


def check_changes_are_told_or_refused(subject: CampaignSubject) -> None:
    """Who changed within the last hour is told, and nobody of tomorrow; or DefinitionError says it cannot be told."""
    if not _is_told(subject):
        return
    subject.put(ANN, subject.texts("Ann"))
    subject.put(BOB, subject.texts("Bob"))
    assert _keys(subject, *_pages(subject, _now(subject) - _HOUR)) == {ANN, BOB}
    (page,) = _pages(subject, _now(subject) + _DAY)
    assert page.records == (), "who did not change since that moment is told"


def check_everybody_is_told_without_a_moment(subject: CampaignSubject) -> None:
    """All records there are, in pages, each but the last with a link to the next."""
    if not _is_told(subject):
        return
    keys = _fill(subject)
    pages = list(_pages(subject, None))
    assert len(pages) >= 2, "fewer pages than `page_size` says"
    assert _keys(subject, *pages) == keys


def check_a_change_says_what_a_look_up_says(subject: CampaignSubject) -> None:
    """Key and fields of a record that changed, as `find` has them: nobody is looked up a second time."""
    if not _is_told(subject):
        return
    subject.put(ANN, subject.texts("Ann"))
    subject.put(ANN, subject.texts("Anna"))
    told = [record for page in _pages(subject, _now(subject) - _HOUR) for record in page.records]
    found = subject.find(ANN)
    assert found is not None
    assert told, "a record that was changed is not told"
    for record in told:
        assert record[subject.key_field] == ANN
        assert not subject.connector.differences(subject.schema, record, subject.texts("Anna"))
        for name in record.keys() & found.values.keys() & subject.schema.fields.keys():
            assert record[name] == found.values[name], f"{name} is told in another way than `find` tells it"


def check_another_process_goes_on(subject: CampaignSubject) -> None:
    """A link is all there is to a position: another connector with it reads the rest, also a second time."""
    if not _is_told(subject):
        return
    keys = _fill(subject)
    since = _now(subject) - _HOUR
    first = _page(subject, since)
    assert first.next_link is not None, "fewer pages than `page_size` says"
    other = subject.another()
    second = _page(subject, since, first.next_link, by=other)
    assert _page(subject, since, first.next_link, by=other).records == second.records
    other.close()
    rest = [] if second.next_link is None else list(_pages(subject, since, second.next_link))
    assert _keys(subject, first, second, *rest) == keys


def check_nobody_is_missed_while_pages_are_read(subject: CampaignSubject) -> None:
    """Records come, change and go meanwhile: who stays is told, and what changed is told now or by the next pass."""
    if not _is_told(subject):
        return
    keys = _fill(subject)
    began = _now(subject) - timedelta(minutes=1)
    link, pages = None, []
    for step in range(100):
        page = _page(subject, None, link)
        pages.append(page)
        if step == 0:
            gone, changed, *_ = (str(record[subject.key_field]) for record in page.records)
            subject.remove(gone)
            subject.put(changed, subject.texts("Changed"))
            subject.put(ANN, subject.texts("New"))
        link = page.next_link
        if link is None:
            break
    assert _keys(subject, *pages) >= keys - {gone}, "a record that stayed was left out"
    assert _keys(subject, *pages, *_pages(subject, began)) >= {*keys - {gone}, ANN}
    last = {record[subject.key_field]: record for page in _pages(subject, began) for record in page.records}
    assert not subject.connector.differences(subject.schema, last[changed], subject.texts("Changed"))


def check_pages_of_changes_are_the_services_own(subject: CampaignSubject) -> None:
    """V11: a page that links to another address leads nowhere: UntrustedUrlError or ProtocolError, nothing is sent."""
    if not _is_told(subject):
        return
    _fill(subject)
    subject.link_elsewhere()
    subject.refused((UntrustedUrlError, ProtocolError), lambda: list(_pages(subject, None)))


def check_trouble_with_changes_is_told(subject: CampaignSubject) -> None:
    """Every trouble: the right branch of errors, never a page without records; afterwards the same answer as before."""
    if not _is_told(subject):
        return
    subject.put(ANN, subject.texts())
    for trouble in Trouble:
        with subject.meeting(trouble):
            subject.refused(_MEANT[trouble], lambda: _page(subject, None))
        subject.clock.jump(2 * WAIT)
        assert _keys(subject, *_pages(subject, None)) == {ANN}
