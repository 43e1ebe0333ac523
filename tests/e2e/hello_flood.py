"""A stranger who floods a device's pairing with hellos: `python hello_flood.py HOST PORT CLIENTS`."""

import http.client
import itertools
import os
import sys
import threading

from agent import port
from agent.wire import pairing_frames


def flood(host: str, number: int) -> None:
    codec = port.codec()
    for _ in itertools.count():
        hello = pairing_frames.encode_frame(codec, pairing_frames.Step.HELLO, b"", [[1], "0" * 16, os.urandom(16)])
        try:
            connection = http.client.HTTPConnection(host, number, timeout=10)
            connection.request("POST", "/pair", hello, {"Content-Type": "application/cbor"})
            connection.getresponse().read()
            connection.close()
        except (OSError, http.client.HTTPException):
            continue


def main() -> None:
    host, number, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    threads = [threading.Thread(target=flood, args=(host, number)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    print("flooding", flush=True)


main()
