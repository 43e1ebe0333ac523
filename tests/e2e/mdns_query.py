"""Asks one PTR question for _corelet._tcp by UDP and prints how many bytes came back, or "nothing", within a second.

argv: destination, source address. From a port of its own: what RFC 6762 section 6.7 calls a legacy query.
"""

import socket
import struct
import sys

QUERY = struct.pack(">6H", 77, 0, 1, 0, 0, 0) + b"\x08_corelet\x04_tcp\x05local\x00" + struct.pack(">2H", 12, 1)


def main() -> None:
    target, own = sys.argv[1:3]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((own, 0))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        sock.settimeout(1)
        sock.sendto(QUERY, (target, 5353))
        try:
            print(len(sock.recv(9000)))
        except TimeoutError:
            print("nothing")


main()
