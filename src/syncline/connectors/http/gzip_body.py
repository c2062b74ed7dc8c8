"""Undoing gzip within limits.

What lives here: one bounded decoder. Half a megabyte can unfold to half a gigabyte, so the size is watched while it
unfolds and never looked at afterwards.
"""

from __future__ import annotations

import zlib

from syncline.connectors.http.limits import Limits

__all__ = ["BodyTooLargeError", "decode"]

_STEP = 1 << 20


class BodyTooLargeError(Exception):
    """The decoded body went beyond the limits; what was decoded so far is gone."""


def decode(data: bytes, encoding: str, limits: Limits) -> bytes:
    """The body without its content encoding.

    Raises `BodyTooLargeError` beyond `decoded_bytes` or `ratio`, ValueError for damaged or unfinished data and for an
    encoding that was not asked for.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"} or not data:
        if len(data) > limits.decoded_bytes:
            raise BodyTooLargeError
        return data
    if encoding not in {"gzip", "x-gzip"}:
        raise ValueError("an encoding that was not asked for")
    try:
        return _gunzip(data, limits)
    except zlib.error:
        raise ValueError("damaged gzip data") from None


def _gunzip(data: bytes, limits: Limits) -> bytes:
    pieces: list[bytes] = []
    size, whole, most = 0, len(data), limits.decoded_bytes
    while data:  # a gzip body may be several members one after the other
        decoder = zlib.decompressobj(wbits=31)
        while not decoder.eof:
            piece = decoder.decompress(data, min(_STEP, most - size + 1))
            size += len(piece)
            data = decoder.unconsumed_tail
            # measured by what was read so far, so that a bomb is known by its first megabytes
            if size > most or size > max(limits.ratio_from, limits.ratio * (whole - len(data))):
                raise BodyTooLargeError
            pieces.append(piece)
            if not piece and not data and not decoder.eof:
                raise ValueError("unfinished gzip data")
        data = decoder.unused_data
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
