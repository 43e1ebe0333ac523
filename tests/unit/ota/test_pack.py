"""The strict reader of packs."""

import hashlib

from ota import pack
from ota.errors import CoreletError, LimitError, PeerError
from tests.expect import raises
from tests.sim.chance import Xorshift32
from tests.unit.ota.packing import FILES, build, head_of, raw


def opened(data):
    return pack.Pack(head_of(data))


def test_what_it_holds():
    data = build()
    found = opened(data)
    for path, content in FILES:
        start, length = found.find(path)
        assert data[start : start + length] == content, path
    for path in ("agent", "boards", ""):
        assert found.has_folder(path) and found.find(path) is None, path
    for path in ("age", "agent/__init__.py", "agent/", "gent", "__init__.py", "agent/__main__.py 0", "nt\nboards"):
        assert not found.has_folder(path), path
    for path in ("__init__.py", "agent/__init__", "agent/__init__.py 0", "agent/__main__.pyc", "x\nagent/__init__.py"):
        assert found.find(path) is None, path


def test_segments():
    """Two and a bit, of zeros; only the head is made, for the sake of a heap of 128 KiB."""
    digests = [bytes([number]) * 32 for number in range(3)]
    for length, lengths in ((70000, (32768, 32768, 4464)), (32768, (32768,)), (32769, (32768, 1)), (0, ())):
        lines = f"a.py 0 0\nb.py 0 {length}\n".encode()
        head_bytes = pack.PREFIX_BYTES + len(lines) + 32 * len(lengths)
        found = pack.Pack(raw(lines, b"", b"".join(digests[: len(lengths)]), None, head_bytes + length))
        end = found.head_bytes
        for number in range(found.segments):
            assert found.segment(number) == (end, lengths[number], digests[number])
            end += lengths[number]
        assert (found.segments, end) == (len(lengths), found.pack_bytes)
    data = build()
    found = opened(data)
    assert found.segment(0) == (found.head_bytes, 27, hashlib.sha256(data[found.head_bytes :]).digest())


def test_prefix():
    wrong = [raw(b"a.py 0 1\n", b"1", None, *lengths)[:24] for lengths in ((66,), (None, 65), (None, 3))]
    for data in [b"", build()[:23], b"X" + build()[1:24]] + wrong:
        assert raises(PeerError, pack.read_prefix, data).code == "pack", data
    for lengths in ({"head_bytes": pack.HEAD_BYTES_MAX + 1}, {"pack_bytes": pack.PACK_BYTES_MAX + 1}):
        data = raw(b"a.py 0 1\n", b"1", b"", **lengths)[:24]
        assert raises(LimitError, pack.read_prefix, data).code == "too_big"
    for length in (1 << 31, 1 << 32, (1 << 63) + 1):
        assert raises(LimitError, pack.read_prefix, raw(b"", b"", pack_bytes=length)).code == "too_big"


def test_an_index_of_another_form():
    body = b"12"
    for index in (
        b"", b"a.py 0 2", b"a.py 0 1\n", b"a.py 0 3\n", b"a.py 1 2\n", b"a.py 00 2\n", b"a.py 0 02\n", b"a.py 0  2\n",
        b"a.py 0 1\nb.py 0 1\n", b"a.py 0 1\nb.py 2 1\n", b"b.py 0 1\na.py 1 1\n", b"a.py 0 1\na.py 1 1\n",
        b"\na.py 0 2\n", b"a.py 0 2\n\n", b"a.py 0 2 \n", b"A.py 0 2\n", b"/a.py 0 2\n", b"a//b.py 0 2\n",
        b"../a.py 0 2\n", b"./a.py 0 2\n",
        b"a.mpy 0 2\n", b".py 0 2\n", b"1.py 0 2\n", b"a-b.py 0 2\n", b"a.b.py 0 2\n",
        b"a.py 0 -2\n", b"a.py 0 +2\n", b"a.py 0 2\r\n", b"a.py 0 \xb2\n", b"a.py 0 1_0\n", b"a.py 0 2\n\0",
        b"a" * 98 + b".py 0 2\n", b"a.py 0 9999999999\n", b"a.py 0 99999999\n",
    ):  # fmt: skip
        assert raises(PeerError, pack.Pack, head_of(raw(index, body))).code == "pack", index
    assert pack.Pack(head_of(raw(b"a" * 97 + b".py 0 2\n", body))).segments == 1
    assert raises(PeerError, pack.Pack, head_of(build()) + b"1").code == "pack"
    assert raises(PeerError, pack.Pack, head_of(build())[:-1]).code == "pack"


def test_too_many_files():
    lines = b"".join([f"a{number:04}.py 0 0\n".encode() for number in range(pack.FILES_MAX + 1)])
    assert raises(LimitError, pack.Pack, head_of(raw(lines, b""))).code == "too_big"
    lines = lines[: lines.rfind(b"\n", 0, -1) + 1]
    assert pack.Pack(head_of(raw(lines, b""))).find("a0999.py")


def test_whatever_comes():
    """A Pack that is accepted is rebuilt from its own files byte for byte; all else is one of two errors."""
    random, data = Xorshift32(9), build()
    accepted = 0
    for _ in range(400):
        changed = bytearray(head_of(data))
        for _ in range(random.between(1, 3)):
            at = random.below(len(changed) - 33)  # the digests are any bytes
            changed[at] = random.below(256) if random.chance(500) else changed[at] ^ 1 << random.below(8)
        try:
            found = pack.Pack(bytes(changed))
        except CoreletError as error:
            assert error.code in ("pack", "too_big")
            continue
        accepted += 1
        lines = found.index[1:].decode().splitlines()
        made = raw("".join([line + "\n" for line in lines]).encode(), data[found.head_bytes :])
        assert made == bytes(changed) + data[found.head_bytes :]
    assert accepted, "the letters of a path may change"
