"""Compressed bodies: undone however they are made, and never worse than what came."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.providers.packing import MOST_MEMBERS, Unpacked, is_packed, unpack

JSON = b'{"data": [{"b64_json": "aGVsbG8gaW1hZ2U="}]}' * 9
CAP = 10_000


def bare(data: bytes) -> bytes:
    """Deflate without header and checksum, which some servers mean by `deflate`."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def gzipped(data: bytes) -> bytes:
    """The same bytes every time."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    "packed",
    [
        gzipped(JSON),
        zlib.compress(JSON),
        bare(JSON),
        gzipped(JSON[:50]) + gzipped(JSON[50:51]) + gzipped(JSON[51:]),
        gzipped(JSON) + b"junk",
        gzipped(gzipped(JSON)),
    ],
    ids=["gzip", "zlib", "bare", "members", "junk", "twice"],
)
def test_every_kind_of_compression_is_undone(packed: bytes) -> None:
    """Whole, to the last member, and no more than the cap of it."""
    assert Unpacked(bytearray(JSON)) == unpack(bytearray(packed), CAP)
    assert unpack(bytearray(packed), 100).cut


@given(st.binary(), st.sampled_from([gzipped, zlib.compress, bare]))
def test_what_was_compressed_comes_back(data: bytes, pack: object) -> None:
    """Any bytes, in every way."""
    assert callable(pack)
    assert data == bytes(unpack(bytearray(pack(data)), CAP).body) or not data


@pytest.mark.parametrize(
    "body", [JSON, b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff", b"<html>", b"\x0b\x02\x80what", b"x", b""]
)
def test_what_is_not_compressed_stays_as_it_is(body: bytes) -> None:
    """Headers that lie take nothing away."""
    assert Unpacked(bytearray(body), whole=False) == unpack(bytearray(body), CAP)


def test_of_what_is_damaged_the_part_before_is_kept() -> None:
    """A cut end, a wrong checksum and a broken second member leave what could be undone."""
    packed = gzipped(JSON)
    cut, wrong = packed[:-9], packed[:-8] + b"\0" * 8
    assert JSON.startswith(unpack(bytearray(cut), CAP).body)
    assert [Unpacked(bytearray(JSON), whole=False)] * 2 == [
        unpack(bytearray(broken), CAP) for broken in (wrong, packed + gzipped(b"")[:5])
    ]


def test_a_hundred_thousand_empty_members_cost_nothing() -> None:
    """So many members and no more are read; where nothing is in them, they are what came."""
    many = bytearray(gzipped(b"") * 100_000)
    assert Unpacked(many, whole=False) == unpack(many, CAP)
    assert MOST_MEMBERS == len(unpack(bytearray(gzipped(b"x") * 100_000), CAP).body)


@pytest.mark.parametrize(
    ("encoding", "body", "wanted"),
    [
        ("", b"{}", False),
        ("identity", b"{}", False),
        ("identity, Identity", b"{}", False),
        ("gzip", b"{}", True),
        ("identity, br", b"{}", True),
        ("", gzipped(b"{}"), True),
    ],
)
def test_a_body_is_compressed_if_its_headers_or_its_bytes_say_so(
    encoding: str, body: bytes, wanted: bool
) -> None:
    """A header that was forgotten does not make an image junk."""
    assert wanted is is_packed(encoding, body)
