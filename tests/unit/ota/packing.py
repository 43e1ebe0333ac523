"""Packs for tests of both interpreters, from (path, content) pairs."""

import hashlib
import struct

from ota import pack

FILES = (
    ("agent/__init__.py", b""),
    ("agent/__main__.py", b"def main():\n    return 0\n"),
    ("boards/__init__.py", b"#\n"),
)


def raw(index, body, digests=None, head_bytes=None, pack_bytes=None):
    """The bytes of a pack, right or wrong."""
    if digests is None:
        starts = range(0, len(body), pack.SEGMENT_BYTES)
        view = memoryview(body)
        digests = b"".join([hashlib.sha256(view[at : at + pack.SEGMENT_BYTES]).digest() for at in starts])
    if head_bytes is None:
        head_bytes = pack.PREFIX_BYTES + len(index) + len(digests)
    whole = head_bytes + len(body) if pack_bytes is None else pack_bytes
    return struct.pack(pack.PREFIX, pack.MAGIC, head_bytes, len(index), whole) + index + digests + body


def build(files=FILES):
    lines, body = [], b""
    for path, content in sorted(files):
        lines.append(f"{path} {len(body)} {len(content)}\n")
        body += content
    return raw("".join(lines).encode(), body)


def head_of(data):
    return data[: pack.read_prefix(data[: pack.PREFIX_BYTES])[0]]
