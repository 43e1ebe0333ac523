"""Which peers the relay may reach: nobody may use a board to look into its owner's home (SSRF).

Refused unless the owner allows them: REFUSED (the special-purpose registries of RFC 6890), the networks of our
interfaces (`home`), our own external addresses, and ports below 1024. Our own live relay addresses are allowed
("hairpin": two clients of one relay). The owner's list wins over all that except over NEVER. Names are no matter here:
a peer is always an address (4 or 16 bytes, port). Bounds: the tables are the owner's and the interfaces'; `own` has one
row for each relay address.
"""

if False:
    from agent.wire.stun import Address

    Prefix = tuple[bytes, int]

PORT_MIN = 1024
# A provider delegates one prefix to a home, and the router cuts it into a /64 for each of its networks: guests,
# cameras, a second router. Providers are told to give a /56 (RFC 6177 section 2, RIPE-690 section 4.2.3); where it is a
# /48 most routers begin to count at its first /56; where it is a /60 some neighbours are refused too, who can be
# reached by IPv4 or through their own relay. A /48 would refuse 256 homes for one.
HOME6_BITS = 56

# (first bytes, bits, reason). Whatever a list allows, this is no single other host; and IPv4 has one form: ::ffff/96 is
# IPv4-mapped.
NEVER4 = ((b"\x00", 8, "unspecified"), (b"\xe0", 4, "multicast"), (b"\xff\xff\xff\xff", 32, "multicast"))
NEVER6 = ((bytes(16), 128, "unspecified"), (b"\xff", 8, "multicast"), (bytes(10) + b"\xff\xff", 96, "wrapped"))
# Shared: carrier-grade NAT, RFC 6598. 192.0.0/24: IETF protocols. 192.88.99/24: 6to4 relays, RFC 7526.
REFUSED4 = (
    (b"\x0a", 8, "private"), (b"\xac\x10", 12, "private"), (b"\xc0\xa8", 16, "private"),
    (b"\x7f", 8, "loopback"), (b"\xa9\xfe", 16, "link_local"), (b"\x64\x40", 10, "shared"),
    (b"\xc0\x00\x02", 24, "documentation"), (b"\xc6\x33\x64", 24, "documentation"),
    (b"\xcb\x00\x71", 24, "documentation"), (b"\xc6\x12", 15, "benchmarking"),
    (b"\xc0\x00\x00", 24, "reserved"), (b"\xf0", 4, "reserved"), (b"\xc0\x58\x63", 24, "wrapped"),
)  # fmt: skip
# Outside 2000::/3 nothing is a public unicast address; the named rows come first. Wrapped, in this order: compatible;
# translated, RFC 2765; NAT64, RFC 6052 and 8215; Teredo; 6to4. 100::/64: discard, RFC 6666. 2001::/23: IETF protocols,
# ORCHID among them. fec0::/10: site-local, RFC 3879.
REFUSED6 = (
    (bytes(15) + b"\x01", 128, "loopback"), (bytes(12), 96, "wrapped"),
    (bytes(8) + b"\xff\xff\x00\x00", 96, "wrapped"), (b"\x00\x64\xff\x9b" + bytes(8), 96, "wrapped"),
    (b"\x00\x64\xff\x9b\x00\x01", 48, "wrapped"), (b"\x20\x01\x00\x00", 32, "wrapped"),
    (b"\x20\x02", 16, "wrapped"), (b"\x01" + bytes(7), 64, "reserved"),
    (b"\x20\x01\x00\x02\x00\x00", 48, "benchmarking"), (b"\x20\x01\x00", 23, "reserved"),
    (b"\x20\x01\x0d\xb8", 32, "documentation"), (b"\x3f\xff\x00", 20, "documentation"),
    (b"\xfc", 7, "private"), (b"\xfe\x80", 10, "link_local"), (b"\xfe\xc0", 10, "private"),
    (b"\x00", 3, "reserved"), (b"\x40", 2, "reserved"), (b"\x80", 1, "reserved"),
)  # fmt: skip


class Policy:
    """`allow`, `on_link`: [(ip, bits)]. `external`: [ip]. The last two follow the interfaces and the router: assign
    them, then call `recheck` of the relay."""

    def __init__(self, allow: "list[Prefix]", on_link: "list[Prefix]", external: list[bytes]) -> None:
        self.on_link = on_link
        self.external = external
        self._allow = allow
        self._own: dict[bytes, list[int]] = {}

    def may_reach(self, address: "Address") -> str:
        """Why not to send there; "" when we may."""
        ip, port = address
        if self.is_own(address):
            return ""
        reason = self._reason(ip)
        if reason:
            return reason
        return "low_port" if port < (1 if _is_in(ip, self._allow) else PORT_MIN) else ""

    def may_permit(self, ip: bytes) -> str:
        """As may_reach for some port of `ip`: a permission is for all of them (RFC 8656 section 9)."""
        return "" if ip in self._own else self._reason(ip)

    def is_own(self, address: "Address") -> bool:
        return address[1] in self._own.get(address[0], ())

    def opened(self, address: "Address") -> None:
        """`address` is one of our live relay addresses now."""
        self._own.setdefault(address[0], []).append(address[1])

    def closed(self, address: "Address") -> None:
        ports = self._own[address[0]]
        ports.remove(address[1])
        if not ports:
            del self._own[address[0]]

    def _reason(self, ip: bytes) -> str:
        is_old = len(ip) == 4
        reason = _found(NEVER4 if is_old else NEVER6, ip)
        if reason or _is_in(ip, self._allow):
            return reason
        reason = _found(REFUSED4 if is_old else REFUSED6, ip)
        if reason:
            return reason
        if ip in self.external:
            return "external"
        return "on_link" if _is_in(ip, self.on_link) else ""


def home(ip: bytes, bits: int) -> "Prefix":
    """The network of an interface, of global unicast IPv6 (2000::/3) the whole home's."""
    return ip, min(bits, HOME6_BITS) if len(ip) == 16 and ip[0] >> 5 == 1 else bits


def _found(table: "tuple[tuple[bytes, int, str], ...]", ip: bytes) -> str:
    for prefix, bits, reason in table:
        if _is_within(ip, prefix, bits):
            return reason
    return ""


def _is_in(ip: bytes, table: "list[Prefix]") -> bool:
    return any(len(prefix) == len(ip) and _is_within(ip, prefix, bits) for prefix, bits in table)


def _is_within(ip: bytes, prefix: bytes, bits: int) -> bool:
    size = bits >> 3
    if ip[:size] != prefix[:size]:
        return False
    rest = bits & 7
    return rest == 0 or (ip[size] ^ prefix[size]) >> (8 - rest) == 0
