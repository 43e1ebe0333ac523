"""aiortc, a WebRTC stack in Python: two peers that may use relays only have a data channel and a video.

Control: coturn's server.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import needs
from tests.e2e.relay.servers import HOST, PASSWORD, USER, Server, on_all

MESSAGES = 50
FRAMES = 5
CALL_S = 30.0


async def call(port: int, transport: str) -> tuple[list[str], list[Any]]:
    """(messages that came back, what the nominated pairs are of)."""
    aiortc = needs.module("aiortc")
    media = needs.module("aiortc.mediastreams")
    server = aiortc.RTCIceServer(f"turn:{HOST}:{port}?transport={transport}", USER, PASSWORD)
    settings = aiortc.RTCConfiguration([server], aiortc.RTCIceTransportPolicy.RELAY)
    one, other = aiortc.RTCPeerConnection(settings), aiortc.RTCPeerConnection(settings)
    came: asyncio.Queue[str] = asyncio.Queue()
    frames: asyncio.Queue[Any] = asyncio.Queue()

    @other.on("datachannel")  # type: ignore[untyped-decorator]
    def on_channel(channel: Any) -> None:
        channel.on("message", channel.send)

    @other.on("track")  # type: ignore[untyped-decorator]
    async def on_track(track: Any) -> None:
        for _ in range(FRAMES):
            frames.put_nowait(await track.recv())

    one.addTrack(media.VideoStreamTrack())
    channel = one.createDataChannel("echo")
    channel.on("message", came.put_nowait)
    is_open = asyncio.Event()
    channel.on("open", is_open.set)
    try:
        await one.setLocalDescription(await one.createOffer())
        await other.setRemoteDescription(one.localDescription)
        await other.setLocalDescription(await other.createAnswer())
        await one.setRemoteDescription(other.localDescription)
        await is_open.wait()
        for number in range(MESSAGES):
            channel.send(f"message {number}")
        echoes = [await came.get() for _ in range(MESSAGES)]
        pictures = [await frames.get() for _ in range(FRAMES)]
        assert all(picture.width > 0 for picture in pictures)
        return echoes, [_nominated(each.sctp.transport.transport.iceGatherer) for each in (one, other)]
    finally:
        await one.close()
        await other.close()


def _nominated(gatherer: Any) -> tuple[str, str]:
    """Types of (our, their) candidate of the pair in use."""
    pair = gatherer._connection._nominated[1]
    return pair.local_candidate.type, pair.remote_candidate.type


@pytest.mark.parametrize("transport", ("udp", "tcp"))
@on_all
def test_a_data_channel_and_a_video(tmp_path: Path, kind: str, transport: str) -> None:
    with Server(kind, tmp_path) as server:
        echoes, pairs = asyncio.run(asyncio.wait_for(call(server.port, transport), CALL_S))
        assert echoes == [f"message {number}" for number in range(MESSAGES)]
        assert pairs == [("relay", "relay")] * 2
