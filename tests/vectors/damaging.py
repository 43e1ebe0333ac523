"""Bytes that are almost right, for the fuzz tests of decoders."""

import random


def damaged(seed: random.Random, data: bytes, alphabet: bytes) -> bytes:
    """Flip, cut, add, repeat or exchange; `alphabet`: the bytes that mean something to the decoder."""
    made = bytearray(data)
    for _ in range(seed.randrange(1, 4)):
        at = seed.randrange(len(made) + 1)
        kind = seed.randrange(5)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << seed.randrange(8)
        elif kind == 1:
            del made[at : at + seed.randrange(1, 20)]
        elif kind == 2:
            made[at:at] = seed.randbytes(seed.randrange(1, 5))
        elif kind == 3:
            made[at:at] = made[at : at + seed.randrange(1, 40)]
        elif at < len(made):
            made[at] = seed.choice(alphabet)
    return bytes(made)
