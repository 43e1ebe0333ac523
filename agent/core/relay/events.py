"""What goes in and out of the relay machine (server.py): records only.

An address is (ip: 4 or 16 bytes, port: int); an IPv4-mapped IPv6 address never appears, drivers make 4 bytes of it.
`relay` is the number of one relayed transport address: one UDP socket of the driver, never reused while it is alive.
"""

from collections import namedtuple

# The 5-tuple of RFC 8656 section 3, without our own address: `transport` 17 (UDP) or 6 (TCP, also TLS), `source`: the
# address of the client, `listener`: number of our listening socket (UDP) or of the connection (TCP).
Client = namedtuple("Client", ("transport", "source", "listener"))

# What the machine needs. `entropy(length) -> bytes`; `crypto`: contract.Crypto; `addresses(family, port) -> address or
# None`: what peers see when we send from relay port `port` (family 4 or 6, port 0: any), None when the family is not
# offered; `unix_time(label) -> int or None`: the clock of who
# signed time-limited credentials.
World = namedtuple("World", ("entropy", "crypto", "addresses", "unix_time"))

# `allocations`, `allocations_user`: at once, in total (508) and of one user (486). `ports`: (first, last) of the relay
# ports. `rate_bps`, `user_bps`: bit/s outwards in each direction, in total and of one user; 0 = no ceiling.
# `unproven_s`: answers a second to requests without proof, for each source prefix and not for TCP.
# `has_dont_fragment`: the driver can set DF.
Limits = namedtuple(
    "Limits", ("allocations", "allocations_user", "ports", "rate_bps", "user_bps", "unproven_s", "has_dont_fragment")
)

# Bind a UDP socket at `port` of our relay IP of `family` (4 or 6), then call opened(relay, now) or busy(relay, now).
Open = namedtuple("Open", ("relay", "family", "port", "user"))

# Close that socket. Also for one whose Open was not answered yet; an answer that comes later is ignored.
Close = namedtuple("Close", ("relay",))

# The fast path may carry channel `number` from and to `peer` now, or no longer. It lapses before the Close.
Channel = namedtuple("Channel", ("relay", "number", "peer", "is_open"))

# Send `data` to `peer`: it is permitted, counted and within the ceiling.
ToPeer = namedtuple("ToPeer", ("relay", "peer", "data", "dont_fragment"))
