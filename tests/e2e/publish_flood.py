"""A paired device that publishes without a pause, with QoS 1, and heeds no limit: FOLDER HOST PORT KIND.

FOLDER as link_device.py has it. Prints "flooding" when it does, and "connected again" each time that it had to.
"""

import asyncio
import ssl
import sys
from pathlib import Path

BATCH = 500


def packet(kind: int, body: bytes) -> bytes:
    """MQTT 3.1.1, section 2.2."""
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128) if rest >= 128 else (0, rest)
        length += bytes([digit | (128 if rest else 0)])
        if not rest:
            return bytes([kind]) + length + body


def text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


async def flood(folder: Path, host: str, number: int, kind: str, word: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    reader, writer = await asyncio.open_connection(host, number, ssl=context)
    device = (folder / "device").read_text()
    writer.write(packet(0x10, text("MQTT") + b"\x04\x02\0\x3c" + text(device)))
    await reader.readexactly(4)
    print(word, flush=True)

    async def swallow() -> None:
        while await reader.read(65536):
            pass

    swallowing = asyncio.create_task(swallow())
    publishes = [
        packet(0x32, text(f"c1/{device}/up/{kind}") + identifier.to_bytes(2, "big") + b"x")
        for identifier in range(1, BATCH + 1)
    ]
    try:
        while True:
            writer.write(b"".join(publishes))
            await writer.drain()
            await asyncio.sleep(0)
    finally:
        swallowing.cancel()
        writer.close()


async def main() -> None:
    word = "flooding"
    while True:
        try:
            await flood(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], word)
        except (OSError, asyncio.IncompleteReadError):
            word = "connected again"
            await asyncio.sleep(0.2)


asyncio.run(main())
