"""How values are stored: ids, times, checksums and positions come back as they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.records import ReadPosition, ReadStage
from syncline.storage import columns

ANY_TEXT = st.text(st.characters(exclude_categories=()))
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(st.one_of(ANY_TEXT, st.uuids().map(str), st.uuids().map(lambda guid: guid.hex)))
def test_ids_come_back(record: str) -> None:
    """Any text is an id, lone surrogates and NUL included."""
    assert columns.key_to_id(columns.key_to_column(record)) == record


@given(st.uuids())
def test_guids_take_sixteen_bytes(guid: UUID) -> None:
    """Only the canonical form is short, so that no two ids share a column value."""
    assert columns.key_to_column(str(guid)) == guid.bytes
    assert len(columns.key_to_column(str(guid).upper())) != 16 or str(guid).upper() == str(guid)


@given(ANY_TEXT, ANY_TEXT)
def test_different_ids_differ_when_stored(one: str, other: str) -> None:
    """Two records never meet in one row."""
    assert (columns.key_to_column(one) == columns.key_to_column(other)) == (one == other)


@given(MOMENTS)
def test_times_come_back(moment: datetime) -> None:
    """To the microsecond, also before 1970."""
    assert columns.as_datetime(columns.as_microseconds(moment)) == moment


def test_times_need_a_zone() -> None:
    """A naive time is refused; another zone is the same moment."""
    aware = datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert columns.as_datetime(columns.as_microseconds(aware)) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    with pytest.raises(TypeError):
        columns.as_microseconds(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@given(st.binary(min_size=1), st.integers(min_value=0))
def test_a_flipped_bit_is_noticed(payload: bytes, where: int) -> None:
    """F-27: a damaged payload is not returned."""
    damaged = bytearray(payload)
    damaged[where % len(payload)] ^= 1 << (where % 8)
    stored = columns.checksum(payload)

    assert columns.read_payload(payload, stored) == (payload, True)
    assert columns.read_payload(bytes(damaged), stored) == (None, False)


@pytest.mark.parametrize("stored", ["text", 5, 1.5])
def test_a_payload_of_another_type_is_noticed(stored: object) -> None:
    """SQLite keeps any type in any column; only bytes are a payload."""
    assert columns.read_payload(stored, columns.checksum(b"text")) == (None, False)


def test_no_payload_is_sound_only_when_none_was_stored() -> None:
    """A payload that vanished is damage, too."""
    assert columns.read_payload(None, None) == (None, True)
    assert columns.read_payload(None, 5) == (None, False)


@given(
    st.builds(
        ReadPosition,
        stage=st.sampled_from(ReadStage),
        link=st.none() | ANY_TEXT,
        delta_link=st.none() | ANY_TEXT,
        started_at=MOMENTS,
        pass_seq=st.integers(),
        first=st.booleans(),
        resync=st.booleans(),
        compares=st.booleans(),
        read_at=st.none() | MOMENTS,
        read=st.integers(0),
        about=st.none() | st.integers(0),
    )
)
def test_positions_come_back(position: ReadPosition) -> None:
    """Every field of a position survives, whatever the service wrote into its links."""
    assert columns.position_from_json(columns.position_to_json(position)) == position


@given(ANY_TEXT)
def test_messages_can_be_stored(text: str) -> None:
    """Words for people never fail a transaction."""
    stored = columns.printable(text)
    assert "\0" not in stored
    assert stored.encode("utf-8").decode("utf-8") == stored
