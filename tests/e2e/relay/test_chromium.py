"""Debian's Chromium with iceTransportPolicy relay: a data channel and a video of a fake camera. Control: coturn.

The browser sends indications before it binds a channel, so a relay of ChannelData alone fails here.
"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import needs
from tests.e2e.relay.servers import HOST, Server, on_all, rest_credentials
from tests.programs import ENVIRONMENT, ROOT

HERE = Path(__file__).parent
MODULES = ROOT / ".work" / "node" / "node_modules"
MESSAGES = 100
CALL_S = 30


def call(server: Server, urls: str, account: tuple[str, str]) -> dict[str, Any]:
    """The answer of browser.cjs."""
    node, chromium = needs.program("node", "nodejs"), needs.program("chromium")
    if not (MODULES / "playwright-core").exists():
        needs.absent("needs playwright-core in .work/node: tools/test installs it, where npm is (apt install npm)")
    words = {"urls": urls, "username": account[0], "credential": account[1], "messages": MESSAGES}
    done = subprocess.run(
        [node, str(HERE / "browser.cjs"), str(MODULES), chromium],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        timeout=CALL_S,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, (done.stderr[-2000:], server.text)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def judge(answer: dict[str, Any], transport: str) -> None:
    assert answer["echoes"] == [f"message {number}" for number in range(MESSAGES)]
    assert answer["frames"] >= 10 and answer["width"] > 0
    assert answer["gathered"] == ["relay"]
    for pair in answer["pairs"]:
        # The other side may be known by its packets before its candidate is told: the same address, another name.
        assert pair["local"] == "relay" and pair["remote"] in ("relay", "prflx") and pair["by"] == transport, pair


@pytest.mark.parametrize("transport", ("udp", "tcp"))
@on_all
def test_a_data_channel_and_a_video(tmp_path: Path, kind: str, transport: str) -> None:
    with Server(kind, tmp_path, "--rest" if kind == "coturn" else "") as server:
        account = rest_credentials(int(time.time()) + 600)
        judge(call(server, f"turn:{HOST}:{server.port}?transport={transport}", account), transport)
        if kind != "coturn":
            report = server.report()
            assert report["users"]["alice"]["packets_up"] > MESSAGES and report["allocated"] >= 2, report
