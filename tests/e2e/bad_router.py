"""A router that answers nonsense, floods whoever asks, and sends people to a foreign host. argv: that host, seconds."""

import random
import select
import socket
import sys
import time

seed = random.Random(7)
portmap = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
portmap.bind(("192.168.7.1", 5351))
ssdp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ssdp.bind(("0.0.0.0", 1900))  # noqa: S104
membership = socket.inet_aton("239.255.255.250") + socket.inet_aton("192.168.7.1")
ssdp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answering.bind(("192.168.7.1", 0))
print("ready", flush=True)

end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for sock in select.select([portmap, ssdp], [], [], 0.1)[0]:
        data, source = sock.recvfrom(2048)
        if sock is ssdp:
            place = f"http://{sys.argv[1]}:8080/description.xml"
            told = f"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION: {place}\r\n\r\n"
            answering.sendto(told.encode(), source)
            print("sent somebody elsewhere", flush=True)
            continue
        for _ in range(300):
            kind = seed.randrange(4)
            reply = seed.randbytes(seed.randrange(1400))
            if kind == 1:  # an answer to some other question
                reply = bytes([2, 0x81, 0, 0]) + reply[:56].ljust(56, b"\1")
            elif kind == 2:
                reply = bytes([0, 129, 0, 0]) + reply[:12].ljust(12, b"\1")
            elif kind == 3:
                reply = data
            portmap.sendto(reply, source)
print("done", flush=True)
time.sleep(600)
