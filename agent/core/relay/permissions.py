"""What the client of one allocation asked for: permissions (RFC 8656 sections 9, 10) and channels (section 12).

Rows are small tuples and slots, looked through one by one: a browser has a handful. Who may be permitted at all is
policy.py's. Bounds: PERMISSIONS_MAX, CHANNELS_MAX (bindings in quarantine count).
"""

if False:
    from agent.wire.stun import Address

PERMISSION_MS = 300_000  # section 9
CHANNEL_MS = 600_000  # section 12
QUARANTINE_MS = 300_000  # section 12: neither its number nor its peer for another binding
PERMISSIONS_MAX = 64
CHANNELS_MAX = 64


class Binding:
    """`until`: ms; after it the binding is in quarantine. `is_open`: the driver was told that it may carry it."""

    __slots__ = ("number", "peer", "until", "is_open")

    def __init__(self, number: int, peer: "Address") -> None:
        self.number = number
        self.peer = peer
        self.until = 0
        self.is_open = False


class Permissions:
    """Of one allocation. An expired row gives no right, also before `lapse` has removed it."""

    __slots__ = ("permits", "bindings")

    def __init__(self) -> None:
        self.permits: tuple[tuple[bytes, int], ...] = ()  # (ip, until)
        self.bindings: tuple[Binding, ...] = ()

    def is_permitted(self, ip: bytes, now: int) -> bool:
        for known, until in self.permits:
            if known == ip:
                return until > now
        return False

    def permit(self, ips: list[bytes], now: int) -> bool:
        """Install or refresh all of them, or none: False when there are too many."""
        kept = [row for row in self.permits if row[1] > now and row[0] not in ips]
        fresh: list[bytes] = []
        for ip in ips:
            if ip not in fresh:
                fresh.append(ip)
        if len(kept) + len(fresh) > PERMISSIONS_MAX:
            return False
        self.permits = tuple(kept + [(ip, now + PERMISSION_MS) for ip in fresh])
        return True

    def find(self, peer: "Address", now: int) -> "Binding | None":
        """The live binding of `peer`."""
        for binding in self.bindings:
            if binding.peer == peer and binding.until > now:
                return binding
        return None

    def is_free(self, number: int, peer: "Address", now: int) -> bool:
        """Section 12.2: each number has one peer and each peer one number, and 5 minutes longer than the binding."""
        for binding in self.bindings:
            if binding.until + QUARANTINE_MS > now and (binding.number == number) != (binding.peer == peer):
                return False
        return True

    def bind(self, number: int, peer: "Address", now: int) -> bool:
        """Install or refresh the binding and its permission, or neither; ask is_free before."""
        kept = self.bindings
        for binding in kept:
            if binding.number == number and binding.peer == peer:
                break
        else:
            kept = tuple([each for each in self.bindings if each.until + QUARANTINE_MS > now])
            if len(kept) >= CHANNELS_MAX:
                return False
            binding = Binding(number, peer)
        if not self.permit([peer[0]], now):
            return False
        if binding not in self.bindings:
            self.bindings = kept + (binding,)
        binding.until = now + CHANNEL_MS
        return True

    def lapse(self, now: int) -> list[Binding]:
        """Forget what has expired; open bindings that must be closed now."""
        self.permits = tuple([row for row in self.permits if row[1] > now])
        self.bindings = tuple([each for each in self.bindings if each.until + QUARANTINE_MS > now])
        return [
            each
            for each in self.bindings
            if each.is_open and not (each.until > now and self.is_permitted(each.peer[0], now))
        ]

    def revoke(self, ip_bytes: int) -> None:
        """Forget everything of one family (`ip_bytes`: 4 or 16)."""
        self.permits = tuple([row for row in self.permits if len(row[0]) != ip_bytes])
        self.bindings = tuple([each for each in self.bindings if len(each.peer[0]) != ip_bytes])

    def due(self) -> list[int]:
        """When something lapses."""
        times = [until for _, until in self.permits]
        return times + [each.until if each.is_open else each.until + QUARANTINE_MS for each in self.bindings]
