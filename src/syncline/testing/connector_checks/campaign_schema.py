"""Checks of a Campaign connector: what it says of resources, keys and its own abilities is true."""

from __future__ import annotations

from syncline.connectors.base import KeyProblem
from syncline.errors import ProtocolError
from syncline.testing.connector_checks.campaign_subject import ANN, BOB, NOBODY, CampaignSubject


def check_a_resource_is_described(subject: CampaignSubject) -> None:
    """The resource is offered and has the fields that can be written; one that does not exist is None."""
    assert subject.resource in subject.connector.tables()
    schema = subject.schema
    assert schema.name == subject.resource
    for name in (subject.key_field, *subject.text_fields):
        assert schema.fields[name].name == name
        assert schema.fields[name].writable
    assert subject.connector.describe("no_such_resource") is None


def check_a_key_is_judged(subject: CampaignSubject) -> None:
    """The key can serve; a field that does not exist cannot, and why is said. Nothing is written to find out."""
    connector, schema = subject.connector, subject.schema
    assert connector.check_key(schema, subject.key_field).problem is None
    assert connector.check_key(schema, "noSuchField").problem is KeyProblem.NO_FIELD
    assert list(subject.keys()) == []


def check_records_are_counted(subject: CampaignSubject) -> None:
    """All there are, or None where the service does not say."""
    subject.put(ANN, subject.texts())
    subject.put(BOB, subject.texts())
    assert subject.connector.count(subject.schema) in (2, None)


def check_links_are_made_as_declared(subject: CampaignSubject) -> None:
    """`nested_links` is true: each record that is there can be pointed to, others are None. False: it is said."""
    connector, schema = subject.connector, subject.schema
    subject.put(ANN, subject.texts())
    subject.put(BOB, subject.texts())
    if connector.capabilities.nested_links:
        ann, bob, again = (connector.link_to(schema, subject.key_field, key) for key in (ANN, BOB, ANN))
        assert ann is not None, "link_to() does not find a record that is there"
        assert ann == again != bob, "two records are linked to in the same way, or one in two"
        assert connector.link_to(schema, subject.key_field, NOBODY) is None
    else:
        subject.refused(ProtocolError, lambda: connector.link_to(schema, subject.key_field, ANN))
