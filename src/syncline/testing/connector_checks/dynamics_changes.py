"""Checks of a Dynamics connector: change tracking, from one delta link to the next."""

from __future__ import annotations

from syncline.errors import CursorLostError
from syncline.records import Change, ReadStage
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id


def _told(subject: DynamicsSubject, changes: list[Change]) -> dict[str, object]:
    """By id, the last word on each row: its first column, or `gone`."""
    first, _ = subject.columns
    return {change.key.id: "gone" if change.values is None else change.values[first] for change in changes}


def check_changes_follow_a_load(subject: DynamicsSubject) -> None:
    """New rows and changed ones as they are now; rows that nobody touched do not come again."""
    subject.fill(3)
    link = subject.loaded()
    subject.load({row_id(1): subject.texts("Changed"), row_id(7): subject.texts("New")})
    assert _told(subject, subject.changes(link)) == {row_id(1): "Changed", row_id(7): "New"}


def check_a_delete_arrives_as_its_id_only(subject: DynamicsSubject) -> None:
    """A deleted row is a change without values, with the id in the same spelling as before."""
    subject.fill(3)
    link = subject.loaded()
    subject.delete(row_id(1))
    (change,) = subject.changes(link)
    assert (change.key.id, change.values, change.deleted) == (row_id(1), None, True)


def check_a_row_that_came_and_went_is_gone(subject: DynamicsSubject) -> None:
    """Changed and deleted, or made and deleted, between two reads: nothing says that it is still there."""
    subject.fill(2)
    link = subject.loaded()
    subject.load({row_id(0): subject.texts("Changed"), row_id(8): subject.texts("Short")})
    subject.delete(row_id(0))
    subject.delete(row_id(8))
    told = _told(subject, subject.changes(link))
    assert told[row_id(0)] == "gone"
    assert told.get(row_id(8), "gone") == "gone"


def check_a_row_that_was_changed_often_is_as_it_is_now(subject: DynamicsSubject) -> None:
    """Three changes between two reads come to the last state, whether one change tells it or three."""
    subject.fill(2)
    link = subject.loaded()
    for text in ("One", "Two", "Three"):
        subject.load({row_id(1): subject.texts(text)})
    assert _told(subject, subject.changes(link)) == {row_id(1): "Three"}


def check_many_changes_come_in_pages(subject: DynamicsSubject) -> None:
    """More changes than fit on a page: a link to the next one on each but the last, and none is lost."""
    ids = subject.fill(3 * subject.page_size)
    link = subject.loaded()
    subject.load({record: subject.texts("Changed") for record in ids[1:]})
    subject.delete(ids[0])
    *pages, last = subject.pages(ReadStage.DELTA, link)
    assert all(page.next_link and page.delta_link is None for page in pages)
    assert last.delta_link
    told = _told(subject, [change for page in (*pages, last) for change in page.changes])
    assert told == {ids[0]: "gone", **dict.fromkeys(ids[1:], "Changed")}


def check_changes_can_be_read_again(subject: DynamicsSubject) -> None:
    """A process that died before it kept a page finds the same changes behind the same link."""
    subject.fill(3)
    link = subject.loaded()
    subject.load({row_id(1): subject.texts("Changed")})
    subject.delete(row_id(2))
    assert subject.changes(link) == subject.changes(link)


def check_a_quiet_table_keeps_its_place(subject: DynamicsSubject) -> None:
    """Without changes the position may be the very one it was; however often, a later change comes once behind it."""
    subject.fill(3)
    link = subject.loaded()
    for _ in range(3):
        (page,) = subject.pages(ReadStage.DELTA, link)
        assert page.changes == ()
        assert page.delta_link
        link = page.delta_link
    subject.load({row_id(1): subject.texts("Changed")})
    assert _told(subject, subject.changes(link)) == {row_id(1): "Changed"}


def check_the_next_position_is_behind_what_was_told(subject: DynamicsSubject) -> None:
    """What one read of changes brought the next one does not bring again, and what came between is in it."""
    subject.fill(3)
    link = subject.loaded()
    subject.load({row_id(0): subject.texts("First")})
    *_, page = subject.pages(ReadStage.DELTA, link)
    subject.load({row_id(1): subject.texts("Second")})
    assert page.delta_link
    assert _told(subject, subject.changes(page.delta_link)) == {row_id(1): "Second"}


def check_an_expired_link_is_a_lost_position(subject: DynamicsSubject) -> None:
    """CursorLostError, so that a full read follows; never an empty page, which would be a silent gap."""
    subject.fill(3)
    link = subject.loaded()
    subject.delete(row_id(1))
    subject.expire_links()
    subject.refused(CursorLostError, lambda: subject.read(ReadStage.DELTA, link))


def check_a_link_of_another_environment_is_a_lost_position(subject: DynamicsSubject) -> None:
    """A position of an environment with another address: CursorLostError, and nothing is sent there."""
    subject.fill(3)
    link = subject.foreign(subject.loaded())
    sent = subject.requests()
    subject.refused(CursorLostError, lambda: subject.read(ReadStage.DELTA, link))
    assert subject.requests() == sent


def check_a_new_load_follows_a_lost_position(subject: DynamicsSubject) -> None:
    """After the loss a full read brings what is there now, and its end is a position again."""
    subject.fill(3)
    subject.loaded()
    subject.delete(row_id(1))
    subject.expire_links()
    pages = list(subject.pages(ReadStage.LOAD))
    assert sorted(change.key.id for page in pages for change in page.changes) == [row_id(0), row_id(2)]
    link = pages[-1].delta_link
    assert link is not None
    subject.delete(row_id(2))
    assert _told(subject, subject.changes(link)) == {row_id(2): "gone"}
