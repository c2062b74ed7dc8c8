"""Framing of answers: the same however the bytes are split, strict, and bounded."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.http import Limits
from syncline.connectors.http.exchange import ExchangeError, Trouble
from syncline.connectors.http.gzip_body import BodyTooLargeError, decode
from syncline.connectors.http.wire import RawAnswer, read_answer

LIMITS = Limits()


def feed(*pieces: bytes) -> Callable[[], bytes]:
    """A stream of these pieces that then ends."""
    left: Iterator[bytes] = iter(pieces)
    return lambda: next((piece for piece in left if piece), b"")


def read(data: bytes, method: str = "GET", limits: Limits = LIMITS) -> RawAnswer:
    return read_answer(feed(data), method, limits)


def test_an_answer_with_a_length() -> None:
    """Status, headers in lower case and exactly the body; the connection can be used again."""
    raw = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two:  a \r\nx-two: b\r\n\r\nhi")
    assert raw.head.status == 200
    assert raw.head.headers == {"content-length": "2", "x-two": "a, b"}
    assert raw.body == b"hi"
    assert raw.reusable


def test_an_answer_in_chunks() -> None:
    """Chunks, their extensions and trailers are undone."""
    raw = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n")
    assert raw.body == b"abcde"
    assert raw.reusable


def test_an_answer_until_the_end_of_the_connection() -> None:
    """Without any length the body ends with the connection, which is then spent."""
    raw = read(b"HTTP/1.0 200 OK\r\n\r\nall of this")
    assert raw.body == b"all of this"
    assert not raw.reusable


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("PATCH", 204)])
def test_answers_without_a_body(method: str, status: int) -> None:
    """Where no body can follow none is read, whatever the headers say; one sent all the same spends the connection."""
    head = f"HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n".encode()
    assert read(head, method) == (read(head, method).head, b"", True)
    assert not read(head + b"hello", method).reusable
    assert read(head + b"hello", method).body == b""


def test_interim_answers_are_passed_over() -> None:
    """100 and 103 announce; the answer follows."""
    raw = read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 204 No\r\n\r\n")
    assert raw.head.status == 204


@pytest.mark.parametrize(
    ("headers", "reusable"),
    [
        (b"", True),
        (b"Connection: close\r\n", False),
        (b"Connection: keep-alive, Close\r\n", False),
        (b"Connection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_kept_unless_the_service_says_close(headers: bytes, reusable: bool) -> None:
    """HTTP/1.1 keeps connections open by default."""
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + headers + b"\r\n").reusable is reusable


def test_bytes_after_the_answer_spend_the_connection() -> None:
    """An answer nobody asked for must not be taken for the next request's."""
    assert not read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n").reusable


def test_cookies_are_dropped() -> None:
    """Dataverse's limits are per web server: a kept affinity cookie would pin every request to one of them."""
    raw = read(b"HTTP/1.1 204 x\r\nSet-Cookie: ARRAffinity=1\r\nset-cookie: b=2\r\n\r\n")
    assert raw.head.headers == {}


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"", Trouble.CUT),
        (b"HTTP/1.1 200 OK\r\n", Trouble.CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", Trouble.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", Trouble.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", Trouble.CUT),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/2 200\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 20 x\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 099 x\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 101 Switching\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\nA: b\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhixx0\r\n\r\n", Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, Trouble.MALFORMED),
        (b"HTTP/1.1 100 C\r\n\r\n" * 100, Trouble.MALFORMED),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 201 + b"\r\n", Trouble.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", Trouble.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", Trouble.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", Trouble.TOO_LARGE),
    ],
)
def test_an_answer_that_is_none_is_refused(data: bytes, trouble: Trouble) -> None:
    """Cut, ambiguous or malformed answers are told apart and never half accepted."""
    with pytest.raises(ExchangeError) as caught:
        read(data)
    assert caught.value.trouble is trouble
    assert caught.value.sent


def test_bodies_are_counted_while_they_come() -> None:
    """Each way to send a body stops at the limit, and chunks of one byte stop long before their overhead does harm."""
    small = Limits(wire_bytes=1000, head_bytes=2000)
    with pytest.raises(ExchangeError, match="limits"):
        read(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", limits=small)
    with pytest.raises(ExchangeError, match="limits"):
        read(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, limits=small)
    with pytest.raises(ExchangeError, match="limits"):
        read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1001, limits=small)
    trailers = b"".join(b"A: %d\r\n" % number for number in range(1000))
    with pytest.raises(ExchangeError, match="limits"):
        read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers + b"\r\n", limits=small)


BODIES = st.binary(max_size=60)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Answers in good order, in each of the framings, and slightly damaged ones."""
    body = draw(BODIES)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    headers = b"".join(
        b"%b: %b\r\n" % pair
        for pair in draw(
            st.lists(st.tuples(st.sampled_from([b"A", b"X-B"]), st.sampled_from([b"", b"1", b"v w"])), max_size=3)
        )
    )
    status = draw(st.sampled_from([200, 201, 204, 404, 429]))
    head = b"HTTP/1.1 %d Text\r\n%b" % (status, headers)
    if framing == "length":
        data = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), b"" if status == 204 else body)
    elif framing == "chunked":
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
        parts = [body[a:b] for a, b in pairwise([0, *cuts, len(body)]) if a != b]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        data = head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"" if status == 204 else chunks + b"0\r\n\r\n")
    else:
        data = head + b"\r\n" + (b"" if status == 204 else body)
    if draw(st.booleans()) and data:
        position = draw(st.integers(0, len(data) - 1))
        data = data[:position] + draw(st.binary(max_size=2)) + data[position + draw(st.integers(0, 2)) :]
    return data


@given(answers(), st.lists(st.integers(0, 300), max_size=8))
def test_the_split_of_the_stream_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """However the network cuts an answer, it is read as the same answer or refused for the same reason."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert outcome(lambda: read_answer(feed(*pieces), "GET", LIMITS)) == outcome(lambda: read(data))


@given(answers())
def test_what_we_accept_h11_reads_alike(data: bytes) -> None:
    """Against an independent reader: an answer we take has the same status and body there. We may refuse more."""
    try:
        raw = read(data)
    except ExchangeError:
        return
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    body = b""
    status = 0
    while not isinstance(event := connection.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    assert (raw.head.status, raw.body) == (status, body)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_our_own_error(data: bytes) -> None:
    """Any stream is an answer or an ExchangeError."""
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            read(start + data)
        except ExchangeError:
            continue


def outcome(call: Callable[[], RawAnswer]) -> object:
    try:
        raw = call()
    except ExchangeError as error:
        return error.trouble
    # Whether more bytes have come already is a matter of the split, so whether they spend the connection is too.
    return raw.head, raw.body


def test_gzip_is_undone() -> None:
    """A gzip body, also one of several members, is what was packed; without an encoding nothing happens."""
    assert decode(gzip.compress(b"hello", mtime=0), "gzip", LIMITS) == b"hello"
    assert decode(gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo"), " GZIP ", LIMITS) == b"hello"
    assert decode(b"hello", "identity", LIMITS) == b"hello"
    assert decode(b"", "gzip", LIMITS) == b""
    large = bytes(range(256)) * 20_000
    assert decode(gzip.compress(large), "gzip", LIMITS) == large


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"hello", "gzip"),
        (gzip.compress(b"hello", mtime=0)[:-4], "gzip"),
        (gzip.compress(b"hello", mtime=0) + b"x", "gzip"),
        (b"hello", "br"),
        (b"x", "gzip, gzip"),
    ],
)
def test_damaged_or_foreign_encodings_are_refused(data: bytes, encoding: str) -> None:
    """Half a body, rubbish, or an encoding that was not asked for is a ValueError."""
    with pytest.raises(ValueError):
        decode(data, encoding, LIMITS)


def test_a_bomb_is_stopped_while_it_unfolds() -> None:
    """What would unfold a thousand times is given up after the few megabytes the ratio allows."""
    bomb = gzip.compress(bytes(64 << 20), compresslevel=9)
    assert len(bomb) < 1 << 17
    with pytest.raises(BodyTooLargeError):
        decode(bomb, "gzip", Limits(ratio=10))
    with pytest.raises(BodyTooLargeError):
        decode(bomb, "gzip", Limits(decoded_bytes=1 << 20))
    with pytest.raises(BodyTooLargeError):
        decode(b"x" * 2000, "identity", Limits(decoded_bytes=1000))


@given(st.binary(max_size=200), st.integers(0, 220), st.binary(max_size=3))
def test_no_damage_to_gzip_raises_anything_else(data: bytes, position: int, damage: bytes) -> None:
    """Damaged gzip is a ValueError or harmless."""
    packed = bytearray(gzip.compress(data))
    packed[position : position + len(damage)] = damage
    try:
        decode(bytes(packed), "gzip", LIMITS)
    except ValueError:
        return
