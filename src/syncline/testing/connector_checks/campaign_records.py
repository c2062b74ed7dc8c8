"""Checks of a Campaign connector: records are found, created, changed and deleted by their key, and only they."""

from __future__ import annotations

from syncline.errors import ConflictError, RecordRefusedError
from syncline.testing.connector_checks.campaign_subject import ANN, BOB, NOBODY, CampaignSubject
from syncline.testing.connector_checks.subject import PRIVATE

#: What addresses, filters and patterns could trip over.
_ODD_KEYS = ("a b", "50%", "a/b", "a&b=c", "it's", 'say "so"', "ä#1", "a?b", "100+1", "*", "_", "a\\b")


def check_nobody_is_not_found(subject: CampaignSubject) -> None:
    """A key that no record has is None, not an error and not somebody."""
    subject.put(ANN, subject.texts())
    assert subject.find(NOBODY) is None
    assert subject.find(ANN[:-1]) is None, "a key that begins like another one is another one"


def check_a_record_is_found_by_its_whole_key(subject: CampaignSubject) -> None:
    """Among others, and with what was stored."""
    subject.put(ANN, subject.texts("Ann"))
    subject.put(BOB, subject.texts("Bob"))
    found = subject.find(BOB)
    assert found is not None
    assert not subject.connector.differences(subject.schema, found.values, subject.texts("Bob"))
    assert found.values[subject.key_field] == BOB


def check_odd_keys_are_found(subject: CampaignSubject) -> None:
    """Keys with spaces, quotes, slashes and wildcards find their record, and no other."""
    for key in _ODD_KEYS:
        assert subject.find(key) is None
        subject.put(key, subject.texts(f"About {len(key)}"))
    for key in _ODD_KEYS:
        found = subject.find(key)
        assert found is not None
        assert found.values[subject.key_field] == key


def check_a_created_record_is_as_wanted(subject: CampaignSubject) -> None:
    """What `create` wrote is at the far side to the letter, and `find` and `same` agree that it is."""
    subject.create(ANN)
    assert subject.get(ANN) == subject.texts()
    found = subject.find(ANN)
    assert found is not None
    assert subject.connector.differences(subject.schema, found.values, subject.values(ANN)) == {}


def check_a_second_create_is_refused_as_declared(subject: CampaignSubject) -> None:
    """`refuses_duplicates` is true: ConflictError and one record. False: the engine looks before it creates."""
    subject.create(ANN)
    if subject.connector.capabilities.refuses_duplicates:
        subject.refused(ConflictError, lambda: subject.create(ANN))
        assert list(subject.keys()) == [ANN]
    subject.apply(subject.write(ANN, "Other"))
    assert list(subject.keys()) == [ANN], "a second record with the same key"


def check_an_update_changes_what_it_names(subject: CampaignSubject) -> None:
    """The fields given are set; the others, and other records, stay as they are."""
    first, second = subject.text_fields
    subject.put(ANN, subject.texts())
    subject.put(BOB, subject.texts())
    subject.connector.update(subject.schema, subject.ref(ANN), {first: "Other"})
    assert subject.get(ANN) == {first: "Other", second: PRIVATE[1]}
    assert subject.get(BOB) == subject.texts()


def check_an_emptied_field_is_empty(subject: CampaignSubject) -> None:
    """None empties a field, and an empty field is the same as None."""
    first, _ = subject.text_fields
    subject.put(ANN, subject.texts())
    subject.connector.update(subject.schema, subject.ref(ANN), {first: None})
    assert not (subject.get(ANN) or {})[first]
    found = subject.find(ANN)
    assert found is not None
    assert subject.connector.differences(subject.schema, found.values, {first: None}) == {}


def check_what_differs_is_not_the_same(subject: CampaignSubject) -> None:
    """`same` tells two texts apart, and a text from none, in either direction."""
    first, _ = subject.text_fields
    field = subject.schema.fields.get(first)
    assert field is not None, "describe() leaves out a field that can be written"
    same = subject.connector.same
    assert same(field, "Ann", "Ann")
    assert not same(field, "Ann", "Anna")
    assert not same(field, "Ann", None)
    assert not same(field, None, "Ann")
    assert same(None, "Ann", "Ann")
    assert not same(None, "Ann", "Bob")


def check_a_record_that_is_gone_is_not_changed(subject: CampaignSubject) -> None:
    """ConflictError, so that the engine looks again; the update brings nobody back."""
    subject.put(ANN, subject.texts())
    ref = subject.ref(ANN)
    subject.remove(ANN)
    subject.refused(ConflictError, lambda: subject.connector.update(subject.schema, ref, subject.texts()))
    assert list(subject.keys()) == []


def check_a_deletion_takes_one_record(subject: CampaignSubject) -> None:
    """The record at the address goes and no other, and to delete it once more is no error."""
    subject.put(ANN, subject.texts())
    subject.put(BOB, subject.texts())
    ref = subject.ref(ANN)
    subject.connector.delete(subject.schema, ref)
    assert list(subject.keys()) == [BOB]
    subject.connector.delete(subject.schema, ref)
    assert list(subject.keys()) == [BOB]
    assert subject.find(ANN) is None


def check_one_refused_record_holds_up_nobody(subject: CampaignSubject) -> None:
    """RecordRefusedError for the record that the service never takes, created or changed; the others go on."""
    subject.put(ANN, subject.texts("Ann"))
    for key in (ANN, NOBODY):
        subject.refuse(key)
        subject.refused(RecordRefusedError, lambda key=key: subject.apply(subject.write(key)))  # type: ignore[misc]
    assert subject.get(ANN) == subject.texts("Ann")
    subject.apply(subject.write(BOB))
    assert sorted(subject.keys()) == [ANN, BOB]
