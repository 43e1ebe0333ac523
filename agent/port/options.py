"""What drivers hand to the port: plain records, the same on both interpreters."""

from collections import namedtuple

# `host`: name or numeric address of the broker; `server_name`: the name its certificate must carry (SAN dNSName), never
# the address; `key_der`: SEC1 ECPrivateKey.
LinkOptions = namedtuple(
    "LinkOptions",
    "host port server_name ca_der cert_der key_der client_id keepalive_s will_topic will_payload packet_bytes_max",
)
# `kind`: "_corelet._tcp"; `instance`: the wanted label, at most 63 bytes of UTF-8; `host`: first label of the host name
# (".local" is added); `addresses`: list of numeric IPv4 and IPv6 addresses to announce and to speak on; `txt`: list of
# (key, value), "txtvers" first; `subtypes`: list such as "_pair", "_d517".
Service = namedtuple("Service", "kind instance host port addresses txt subtypes")
# `listen`: list of (numeric host, port) where clients come to, UDP and, with is_tcp, TCP; `relay_hosts`: (IPv4, IPv6),
# our own addresses that relay sockets are bound to, "" = not offered; `clients_connected_max`: UDP clients with a
# socket of their own.
PumpOptions = namedtuple("PumpOptions", "listen relay_hosts is_tcp clients_connected_max")
