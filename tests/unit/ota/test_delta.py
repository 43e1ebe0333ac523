"""Deltas: what makes a segment, and what is refused. Records here are deflate without compression (RFC 1951, 3.2.4)."""

import hashlib
import io

from ota import delta
from ota.delta import Base, Delta, apply, read_count
from ota.errors import CoreletError, PeerError, TrustError
from tests.expect import raises
from tests.unit.ota.packing import raw
from tests.unit.ota.patching import number, stored

PLACE = 500  # of the segment in its pack
BASE = bytes([number & 255 for number in range(3000)])
# "abcabc..." of 300 bytes by zlib, window of 4 KiB, after the number 300 and before a copy of 700 from 1000.
DEFLATED = bytes.fromhex("5bc39498943c8a88447b582ff00300")


def applied(record, length, want=None, read=None):
    """What was written, and its pieces."""
    pieces = []
    base = Base(read or (lambda offset, size: BASE[offset : offset + size]), len(BASE))
    digest = hashlib.sha256(want if want is not None else b"").digest()
    apply(io.BytesIO(record), len(record), base, (PLACE, length, digest), pieces.append)
    return b"".join(pieces), [len(piece) for piece in pieces]


def refused(record, length):
    return raises(PeerError, applied, stored(record), length).code == "delta"


def test_data_and_copies():
    """5 of data; 2000 from 100; no data, 10 before the end of that copy; 3 of data and no copy; 90 from the end."""
    record = number(5) + b"hello" + number(2000) + number(2 * 400 - 1)
    record += number(0) + number(50) + number(2 * 10 - 1) + number(3) + b"end" + number(0)
    record += number(0) + number(90) + number(2 * (2910 - 2140))
    want = b"hello" + BASE[100:2100] + BASE[2090:2140] + b"end" + BASE[2910:]
    made, pieces = applied(stored(record), len(want), want)
    assert made == want and pieces == [5, 1024, 976, 50, 3, 90]


def test_a_long_run_of_data_comes_in_pieces():
    want = bytes(2500)
    made, pieces = applied(stored(number(2500) + want), 2500, want)
    assert made == want and pieces == [1024, 1024, 452]


def test_compressed():
    want = b"abc" * 100 + BASE[1500:2200]
    assert applied(DEFLATED, 1000, want)[0] == want


def test_nothing():
    assert applied(b"", 0)[0] == b""


def test_another_segment_is_refused():
    assert raises(TrustError, applied, stored(number(5) + b"hello"), 5, b"hellp").code == "digest"


def test_what_goes_on_where_it_cannot():
    assert refused(number(6) + b"hello!", 5)  # data that is longer than the segment
    assert refused(number(0) + number(6) + number(0), 5)  # so is a copy
    assert refused(number(0) + number(0) + number(5) + b"hello", 5)  # no step forward
    assert refused(number(0) + number(5) + number(2 * 501 - 1), 5)  # one before the base
    assert refused(number(0) + number(5) + number(2 * 2496), 5)  # four of five are in it
    assert refused(number(0) + number(5) + b"\xff\xff\xff\xff\xff\x01", 5)
    assert refused(number(0) + number(5) + b"\xff\xff\xff\xff\x7f", 5)
    assert refused(number(3) + b"abc", 5)  # ends in the middle
    assert refused(number(5) + b"abc", 5)
    assert refused(b"", 5)
    for record in (b"", b"\x07\0\0\0", b"\xff" * 9, b"\x01\x05\x00\xfa\xffab", b"\x01\x05\x00\xfa\xfeabcde"):
        assert raises(PeerError, applied, record, 5).code == "delta"


def test_a_cut_at_every_byte():
    for end in range(len(DEFLATED) - 3):
        raises(CoreletError, applied, DEFLATED[:end], 1000, b"abc" * 100 + BASE[1000:1700])


def test_a_disk_that_fails_is_no_bad_delta():
    def bad_read(_offset, _length):
        raise OSError(5)

    raises(OSError, applied, stored(number(0) + number(5) + number(0)), 5, b"", bad_read)
    for size in (3, 4):
        assert raises(OSError, apply, Broken(), size, Base(None, 0), (1, 5, b""), None).args[0] == 5


class Broken(io.IOBase):
    def readinto(self, _buffer):
        raise OSError(5)

    def read(self, _length):
        raise OSError(5)


def test_the_record_ends_where_it_says():
    """Of a file of records, the next one is not touched."""
    record = stored(number(5) + b"hello")
    file = io.BytesIO(record + b"next")
    apply(file, len(record), Base(None, 0), (1, 5, hashlib.sha256(b"hello").digest()), lambda piece: None)
    assert file.read() == b"next"


def test_a_segment_that_only_moved():
    """Where it stands in the pack is 500, and -100 from there in the base."""
    want = BASE[400:2400]
    assert applied(number(2 * 100 - 1), 2000, want) == (want, [1024, 976])
    assert applied(number(2 * 1000), 1500, BASE[1500:])[0] == BASE[1500:]
    for record, length in (
        (number(2 * 501 - 1), 5),
        (number(2 * 1001), 1500),
        (b"\xff", 5),
        (b"", 5),
        (b"\x80" * 3, 5),
    ):
        assert raises(PeerError, applied, record, length).code == "delta", record
    assert raises(TrustError, applied, number(0), 5, BASE[400:405]).code == "digest"


def test_the_head_of_a_pack_is_numbered():
    """Whatever OFFSETs a record has; cut at any place into pieces; behind the index nothing is touched."""
    index = b"a.py 0 70000\nb/c.py 70000 5\nd.py 70005 300\n"
    want = raw(index, b"", b"\n x 7\n" * 20, 24 + len(index) + 140, 24 + len(index) + 140)
    aside = want[:24] + b"a.py 12345678 70000\nb/c.py 1 5\nd.py  300\n" + want[24 + len(index) :]
    for step in (3, 20, 1024):
        record, at = b"", 0
        while at < len(aside):
            piece = aside[at : at + step]
            record, at = record + number(len(piece)) + piece + number(0), at + step
        assert numbered(record, len(aside), want) == want, step
    for index_bytes, changed in (
        (len(index), b"a.py 0 7\nb/c.py 0 5\nd.py 0 0 300\n"), (len(index), b"a.py 0 x7\n"), (7, b"a.py 0 70\n"),
        (len(index), b"a" * 110 + b".py 0 123456\n"), (len(index), b"a" * 122), (32769, b"a.py 0 7\n"),
    ):  # fmt: skip
        aside = want[:12] + index_bytes.to_bytes(4, "big") + want[16:24] + changed
        error = raises(PeerError, numbered, number(len(aside)) + aside, len(aside), b"")
        assert error.code == "delta", changed


def numbered(record, length, want):
    pieces = []
    digest = hashlib.sha256(want).digest()
    record = stored(record)
    apply(io.BytesIO(record), len(record), Base(None, 0), (0, length, digest), pieces.append)
    return b"".join(pieces)


def head(count=3, lengths=(5, 700, 65535), magic=delta.MAGIC):
    return (
        magic
        + count.to_bytes(2, "big")
        + b"\x01\x00"
        + b"b" * 32
        + b"t" * 32
        + b"".join([one.to_bytes(2, "big") for one in lengths])
    )


def test_the_head():
    found = Delta(head())
    assert read_count(head()[: delta.PREFIX_BYTES]) == found.records == 3
    assert (found.head_bytes, found.base, found.target) == (256, b"b" * 32, b"t" * 32)
    assert [found.record(index) for index in range(3)] == [(82, 5), (87, 700), (787, 65535)]
    assert [found.span(index, 705) for index in range(3)] == [(82, 705), (87, 700), (787, 65535)]
    assert found.span(0, 704) == (82, 5) and found.span(0, 1 << 20) == (82, 66240)
    raises(PeerError, found.record, 3)


def test_heads_that_are_none():
    for data in (
        b"", head()[:-1], head() + b"\0", head(1, (5,)), head(0, ()), head(514, (1,) * 514), head(4), head(2),
        head(magic=b"CLDELT2\n"), head()[:75],
    ):  # fmt: skip
        assert raises(PeerError, Delta, data).code == "delta"
    assert Delta(head(513, (1,) * 513)).records == 513
