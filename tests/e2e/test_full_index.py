"""As many shards as its ceiling says, and a device with a small heap has room for all the rest beside their index."""

from pathlib import Path

from tests.bench.bench_store import fill
from tests.e2e import needs
from tests.e2e.network import Network, until

SLOT = 65536


def test_a_device_that_is_full_comes_back_and_serves(tmp_path: Path) -> None:
    needs.program("mosquitto")
    with Network(tmp_path) as network:
        core, device = network.core(), network.device("micropython")
        device.start()
        identity = core.pair(device)["device"]
        most = device.status()["ceilings"]["shard_bytes"] // SLOT
        assert 1024 <= most < 4096, "with 512k of heap; 4,096 were measured to be too many"
        (tmp_path / "file").write_bytes(bytes(range(250)) * 200)
        device.stop()
        for file in (device.state / "shards").iterdir():
            file.unlink()
        fill(device.state / "shards", core.id, most - 64)
        device.restart()
        until("its link", lambda: device.is_connected(core), 30)
        assert device.status()["shards"]["shards"] == most - 64
        core.say("put", str(tmp_path / "file"))
        core.say("get", "file", "-o", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
        device.stop()
        device.restart()
        until("its return", lambda: device.is_connected(core), 30)
        assert device.status()["shards"]["shards"] == most - 63
        core.say("get", "file", "-o", str(tmp_path / "again"))
        assert core.say("pair", device.say("pair-window")["code"], "--address", device.address)["device"] == identity
