"""A slot's header: what went in comes out, and any change of it is nothing."""

from agent.core.shards.header import ERASED, HEADER_BYTES, Header, decode_header, encode_header

HEADER = Header(16, 65_408, 63, 1_800_000_000, 1 << 40, bytes(range(8)), bytes(range(100, 132)), 0)


def test_round_trip():
    for header in (
        HEADER,
        Header(10, 0, 0, 0, 1, bytes(8), bytes(32), 2),
        Header(10, 0, 0, 0, 1, bytes(8), bytes(32), 3),
    ):
        data = encode_header(header)
        assert len(data) == HEADER_BYTES == len(ERASED) and decode_header(data) == header


def test_every_flipped_bit_is_noticed():
    data = bytearray(encode_header(HEADER))
    for bit in range(8 * HEADER_BYTES):
        data[bit // 8] ^= 1 << bit % 8
        assert decode_header(bytes(data)) is None
        data[bit // 8] ^= 1 << bit % 8
    assert decode_header(bytes(data)) == HEADER


def test_what_is_no_header():
    data = encode_header(HEADER)
    for bad in (b"", ERASED, b"\xff" * HEADER_BYTES, data[:-1], data + b"\0", data[:64] + bytes(64)):
        assert decode_header(bad) is None


def test_a_length_beyond_the_slot():
    fits = Header(10, 1024 - 128, 0, 0, 1, bytes(8), bytes(32), 0)
    assert decode_header(encode_header(fits)) == fits
    assert decode_header(encode_header(Header(10, 1024 - 127, 0, 0, 1, bytes(8), bytes(32), 0))) is None


def test_a_later_version_is_left_alone():
    from binascii import crc32

    for at, value in ((4, 2), (6, 1), (100, 1)):
        data = bytearray(encode_header(HEADER))
        data[at] = value
        data[124:] = crc32(bytes(data[:124])).to_bytes(4, "little")
        assert decode_header(bytes(data)) is None
