"""Bodies that come compressed, although they are asked for as they are, or whose headers only say so."""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass

from batchgen.core.types import Blob
from batchgen.providers.body import CHUNK_BYTES, ERROR_CAP_BYTES, BodyTooLargeError

GZIP = b"\x1f\x8b"
"""What every gzip body begins with, and no JSON or image."""

MOST_MEMBERS = 1000
"""Of a gzip body: more than one says nothing, a hundred thousand are an attack."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was in a body: itself where nothing could be undone. `whole`: all was undone; `cut`: it is over the cap."""

    body: bytearray
    whole: bool = True
    cut: bool = False


def is_packed(encoding: str, body: Blob = b"") -> bool:
    """Whether a body with this `Content-Encoding` is compressed, or looks like it."""
    codings = {coding.strip().lower() for coding in encoding.split(",")}
    return not codings <= {"", "identity"} or bytes(body[: len(GZIP)]) == GZIP


def unpack(body: bytearray, cap_bytes: int) -> Unpacked:
    """Undo gzip, zlib or bare deflate, whatever the headers call it, at most `cap_bytes` of it.

    Nothing is raised and nothing thrown away: what a body is that is not compressed, or is damaged, is found out by
    whoever reads it. Of one over the cap only its beginning is kept.
    """
    found = _unpacked(body, cap_bytes)
    if found.whole and found.body.startswith(GZIP):  # a proxy has packed what was packed
        return _unpacked(found.body, cap_bytes)
    return found


def _unpacked(body: bytearray, cap_bytes: int) -> Unpacked:
    into = bytearray()
    try:
        whole = _members(memoryview(body), into, cap_bytes)
    except BodyTooLargeError:
        del into[ERROR_CAP_BYTES:]
        return Unpacked(into, whole=False, cut=True)
    return Unpacked(into or body, whole)


def _members(packed: memoryview, into: bytearray, cap_bytes: int) -> bool:
    """Undo a whole body; False when it is damaged or not compressed, and `into` then has what could be undone."""
    at = 0
    for _ in range(MOST_MEMBERS):
        took = _undo(packed[at:], into, _GZIP_OR_ZLIB, cap_bytes)
        if took is None:
            break
        at += took
        if packed[at : at + len(GZIP)] != GZIP:
            return True
    if at or into:
        return False
    # Bare deflate has no mark and no checksum: it is believed where it ends with the body.
    if _undo(packed, into, _BARE, cap_bytes) == len(packed):
        return True
    into.clear()
    return False


def _undo(packed: memoryview, into: bytearray, wbits: int, cap_bytes: int) -> int | None:
    """Undo what begins here; returns how many bytes it took, None when it breaks off."""
    decoder = zlib.decompressobj(wbits=wbits)
    for at in range(0, len(packed), CHUNK_BYTES):
        piece: bytes | memoryview = packed[at : at + CHUNK_BYTES]
        while piece and not decoder.eof:
            before = decoder.copy()
            try:
                into += decoder.decompress(piece, CHUNK_BYTES)
            except zlib.error:
                into += _before_the_fault(before, piece)
                return None
            if len(into) > cap_bytes:
                raise BodyTooLargeError
            piece = decoder.unconsumed_tail
        if decoder.eof:
            return min(at + CHUNK_BYTES, len(packed)) - len(decoder.unused_data)
    into += decoder.flush()
    return len(packed) if decoder.eof else None


def _before_the_fault(decoder: zlib._Decompress, piece: bytes | memoryview) -> bytearray:
    """What zlib keeps to itself where a wrong checksum or a broken block follows in the same bytes."""
    found = bytearray()
    with suppress(zlib.error):
        for at in range(len(piece)):
            found += decoder.decompress(piece[at : at + 1])
    return found
