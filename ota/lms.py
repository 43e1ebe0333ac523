"""HSS/LMS signature verification (RFC 8554; COSE algorithm -46, RFC 8778), SHA-256 with n = m = 32 only.

Not a signer, and nothing of SP 800-208 beyond RFC 8554: no n = 24, no SHAKE. Public values only. One signature has
one length, given by its types, and every byte of it is used. Bound: LEVELS_MAX levels, so at most 8 x 8,900 hashes.
"""

import hashlib

LEVELS_MAX = 8  # RFC 8554 section 6
PUBLIC_BYTES = 60  # levels, then an LMS public key
LMS_PUBLIC_BYTES = 56  # LMS type, LM-OTS type, I (16), T[1] (32)

# LM-OTS type -> (w, p, ls), section 4.1; LMS type -> height, section 5.1.
LMOTS = {1: (1, 265, 7), 2: (2, 133, 6), 3: (4, 67, 4), 4: (8, 34, 0)}
HEIGHTS = {5: 5, 6: 10, 7: 15, 8: 20, 9: 25}

D_PBLC, D_MESG, D_LEAF, D_INTR = b"\x80\x80", b"\x81\x81", b"\x82\x82", b"\x83\x83"


def _number(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "big")


def is_public(public: bytes) -> bool:
    """Whether this is an HSS public key of a kind that is verified here."""
    if len(public) != PUBLIC_BYTES or not 1 <= _number(public, 0) <= LEVELS_MAX:
        return False
    return _number(public, 4) in HEIGHTS and _number(public, 8) in LMOTS


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Section 6.3. False for anything but a valid signature by a valid key."""
    if not is_public(public) or _number(signature, 0) + 1 != _number(public, 0):
        return False
    key = public[4:]
    offset = 4
    for level in range(_number(public, 0)):
        if _number(key, 0) not in HEIGHTS or _number(key, 4) not in LMOTS:
            return False
        end = offset + 12 + 32 * (1 + LMOTS[_number(key, 4)][1] + HEIGHTS[_number(key, 0)])
        is_last = level + 1 == _number(public, 0)
        below = message if is_last else signature[end : end + LMS_PUBLIC_BYTES]
        if len(signature) < end or not _verify_lms(key, below, signature, offset):
            return False
        if is_last:
            return end == len(signature)
        key = below
        offset = end + LMS_PUBLIC_BYTES
        if len(key) != LMS_PUBLIC_BYTES:
            return False
    return False


def _verify_lms(key: bytes, message: bytes, signature: bytes, start: int) -> bool:
    """Section 5.4.2, algorithm 6a, over the signature from `start` on, as long as the types of `key` ask for."""
    height = HEIGHTS[_number(key, 0)]
    leaf = _number(signature, start)
    path = start + 8 + 32 * (1 + LMOTS[_number(key, 4)][1])  # behind q, the LM-OTS type, C and the chains
    types = signature[path : path + 4] + signature[start + 4 : start + 8]
    if types != key[:8] or leaf >> height:
        return False
    path += 4
    name = key[8:24]
    node = leaf + (1 << height)
    found = _hash(name, node, D_LEAF, _ots_candidate(key, message, signature, start))
    while node > 1:
        sibling = signature[path : path + 32]
        path += 32
        pair = sibling + found if node & 1 else found + sibling
        node >>= 1
        found = _hash(name, node, D_INTR, pair)
    return found == key[24:]


def _hash(name: bytes, node: int, kind: bytes, data: bytes) -> bytes:
    return hashlib.sha256(name + node.to_bytes(4, "big") + kind + data).digest()


def _ots_candidate(key: bytes, message: bytes, signature: bytes, start: int) -> bytes:
    """Kc of section 4.6, algorithm 4b: each chain is finished from where the signer stopped."""
    width, chains, shift = LMOTS[_number(key, 4)]
    top = (1 << width) - 1
    head = key[8:24] + signature[start : start + 4]
    digest = hashlib.sha256(head + D_MESG + signature[start + 8 : start + 40] + message).digest()
    checksum = 0
    for index in range(256 // width):
        checksum += top - _coefficient(digest, index, width)
    digest += (checksum << shift).to_bytes(2, "big")
    public = hashlib.sha256(head + D_PBLC)
    link = bytearray(head + bytes(35))  # I, q, i (2 bytes), j, the link before
    sha256 = hashlib.sha256
    for index in range(chains):
        link[20] = index >> 8
        link[21] = index & 255
        start += 32
        link[23:] = signature[start + 8 : start + 40]
        for step in range(_coefficient(digest, index, width), top):
            link[22] = step
            link[23:] = sha256(link).digest()
        public.update(link[23:])
    return public.digest()


def _coefficient(data: bytes, index: int, width: int) -> int:
    """coef(S, i, w) of section 3.1.3."""
    bit = index * width
    return data[bit >> 3] >> (8 - width - (bit & 7)) & ((1 << width) - 1)
