"""Asking a router for a port: PCP (RFC 6887, opcode MAP) and NAT-PMP (RFC 6886). Bytes to values, without state.

A *want* is (protocol, internal port), protocol 6 or 17. Not here: ANNOUNCE, PEER, THIRD_PARTY and other options (those
of an answer are passed over). Bounds: an answer has at most ANSWER_BYTES_MAX bytes.
"""

import struct
from collections import namedtuple

from agent.errors import PeerError

if False:
    Want = tuple[int, int]

PORT = 5351
NAT_PMP, PCP = 0, 2  # the versions on the wire
TCP, UDP = 6, 17
ANSWER_BYTES_MAX = 1100  # RFC 6887 section 7
NONCE_BYTES = 12
NO_ADDRESS = 3  # result of NAT-PMP: the router itself has none
ADDRESS_REQUEST = b"\0\0"  # NAT-PMP, RFC 6886 section 3.2
_IS_ANSWER = 0x80
_MAPPED = bytes(10) + b"\xff\xff"

# `want` is None in an answer about no port; ip of `external` is b"" where the answer does not say it.
Answer = namedtuple("Answer", ("version", "result", "epoch_s", "lifetime_s", "nonce", "want", "external"))


def pcp_request(nonce: bytes, own: bytes, want: "Want", external_port: int, lifetime_s: int) -> bytes:
    """RFC 6887 sections 7.1 and 11.1; `own` is our address; of IPv6 a pinhole is asked for. Lifetime 0 removes."""
    before = _MAPPED if len(own) == 4 else b""
    head = struct.pack(">BBHI", PCP, 1, 0, lifetime_s) + before + own + nonce
    return head + struct.pack(">IHH", want[0] << 24, want[1], external_port) + before + bytes(len(own))


def nat_pmp_request(want: "Want", external_port: int, lifetime_s: int) -> bytes:
    """RFC 6886 section 3.3. Lifetime 0 removes."""
    kind = 1 if want[0] == UDP else 2
    return struct.pack(">BBHHHI", NAT_PMP, kind, 0, want[1], external_port if lifetime_s else 0, lifetime_s)


def decode(data: bytes) -> Answer:
    """PeerError("portmap") for what is no whole answer of either protocol."""
    size = len(data)
    if 8 <= size <= ANSWER_BYTES_MAX and data[1] & _IS_ANSWER:
        answer = _nat_pmp(data, size) if data[0] == NAT_PMP else _pcp(data, size) if data[0] == PCP else None
        if answer is not None:
            return answer
    raise PeerError("portmap", f"expected an answer of PCP or NAT-PMP, got {size} other bytes")


def _nat_pmp(data: bytes, size: int) -> "Answer | None":
    _, kind, result, epoch_s = struct.unpack(">BBHI", data[:8])
    kind -= _IS_ANSWER
    if kind == 0 and size == 12:
        return Answer(NAT_PMP, result, epoch_s, 0, b"", None, (bytes(data[8:12]), 0))
    if kind in (1, 2) and size == 16:
        inside, outside, lifetime_s = struct.unpack(">HHI", data[8:])
        want = (UDP if kind == 1 else TCP, inside)
        return Answer(NAT_PMP, result, epoch_s, lifetime_s, b"", want, (b"", outside))
    # A refusal may end after the first eight bytes (section 3.5).
    return Answer(NAT_PMP, result, epoch_s, 0, b"", None, (b"", 0)) if result and size in (8, 12, 16) else None


def _pcp(data: bytes, size: int) -> "Answer | None":
    if size < 24 or size % 4:
        return None
    result, lifetime_s, epoch_s = struct.unpack(">BII", data[3:12])
    if data[1] == _IS_ANSWER | 1 and size >= 60:
        protocol, inside, outside = struct.unpack(">IHH", data[36:44])
        ip = bytes(data[44:60])
        external = (ip[12:] if ip[:12] == _MAPPED else ip if any(ip) else bytes(4), outside)
        return Answer(PCP, result, epoch_s, lifetime_s, bytes(data[24:36]), (protocol >> 24, inside), external)
    return Answer(PCP, result, epoch_s, lifetime_s, b"", None, (b"", 0)) if result else None
