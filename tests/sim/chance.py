"""The random numbers of tests: the same on both interpreters. A module of its own, because unit tests have 128 KiB."""


class Xorshift32:
    """Marsaglia's xorshift32 (2003): the same numbers everywhere. Not for keys."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2654435761 + 88172645) & 0xFFFFFFFF or 1

    def next(self) -> int:
        """1..2**32-1."""
        x = self._state
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        self._state = x
        return x

    def below(self, limit: int) -> int:
        """0..limit-1."""
        return self.next() % limit

    def between(self, low: int, high: int) -> int:
        """low..high, both included."""
        return low + self.next() % (high - low + 1)

    def chance(self, permille: int) -> bool:
        """True `permille` times in a thousand."""
        return self.next() % 1000 < permille

    def bytes(self, length: int) -> bytes:
        """Looks random, is not secret: also good as `entropy` of a simulated machine."""
        made = bytearray()
        for _ in range(length):
            made.append(self.next() >> 13 & 0xFF)
        return bytes(made)
