"""The link with real brokers and real device processes: mosquitto and the embedded one, CPython and MicroPython."""

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from agent.errors import LimitError, PeerError, PortError
from tests.e2e import needs
from tests.e2e.house import BROKERS, House, at_2000, eventually, has_root, run
from tests.programs import RUNTIMES
from tools.gateway.ca import CA
from tools.gateway.links import mosquitto
from tools.gateway.links.broker import open_broker
from tools.gateway.links.links import Links

both_brokers = pytest.mark.parametrize("kind", BROKERS)
both_runtimes = pytest.mark.parametrize("runtime", RUNTIMES)


@both_brokers
@both_runtimes
def test_birth_command_death_and_return(tmp_path: Path, kind: str, runtime: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind) as house:
            device = house.device()
            await house.admit(device)
            process = await house.start(device, runtime)
            presence = await house.links.wait_up(device.id, 20)
            assert presence.birth["board"] == "generic-linux"
            assert (presence.birth["boot"], presence.birth["session"]) == (1, 1)
            assert await house.links.command(device.id, "echo", {"a": [1, b"x"]}, 10) == {"a": [1, b"x"]}
            assert await house.links.command(device.id, "bound", {}, 10) == {}
            await process.line("BOUND")
            with pytest.raises(PeerError) as refused:
                await house.links.command(device.id, "nonsense", {}, 10)
            assert refused.value.code == "no_such"
            with pytest.raises(PortError) as late:
                await house.links.command(device.id, "slow", {}, 0.5)
            assert late.value.code == "timeout"
            await process.kill()  # no goodbye: the broker speaks the will
            await eventually(lambda: not house.links.presence(device.id).is_up)
            with pytest.raises(LimitError) as offline:
                await house.links.command(device.id, "echo", {}, 1)
            assert offline.value.code == "offline"
            await house.start(device, runtime, boot=2)
            presence = await house.links.wait_up(device.id, 20)
            assert (presence.birth["boot"], presence.birth["session"]) == (2, 1)

    asyncio.run(main())


@both_brokers
def test_the_birth_is_retained_and_goodbye_is_a_death(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind) as house:
            device = house.device()
            await house.admit(device)
            process = await house.start(device, "cpython")
            await house.links.wait_up(device.id, 20)
            await house.links.close()
            later = Links(house.broker, house.ca, lambda each: each in house.known)
            await later.start()
            presence = await later.wait_up(device.id, 10)
            assert presence.birth["session"] == 1
            process.send(signal.SIGTERM)
            await eventually(lambda: not later.presence(device.id).is_up)
            await later.close()

    asyncio.run(main())


@both_runtimes
def test_a_foreign_core_is_not_spoken_to(tmp_path: Path, runtime: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, "embedded", has_links=False) as house:
            stranger = CA(tmp_path / "other")
            device = house.device()
            await house.admit(device)
            (device.folder / "ca.der").write_bytes(stranger.ca_der)
            assert "TLS failed" in await (await house.start(device, runtime)).line("WARNING")
            named = house.device()
            await house.admit(named)
            (named.folder / "core").write_bytes(b"0123456789abcdef")  # the right CA, another server name
            assert "TLS failed" in await (await house.start(named, runtime)).line("WARNING")

    asyncio.run(main())


@both_brokers
@both_runtimes
def test_a_device_of_another_core_is_not_admitted(tmp_path: Path, kind: str, runtime: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind) as house, House.open(tmp_path / "o", "embedded", False) as other:
            device = other.device()
            (device.folder / "ca.der").write_bytes(house.ca.ca_der)
            (device.folder / "core").write_bytes(house.ca.core_id.encode())
            house.known.add(device.id)
            process = await house.start(device, runtime)
            await process.line("WARNING")
            assert not any("connected to" in line for line in process.lines)
            assert house.links.presence(device.id) is None

    asyncio.run(main())


@both_runtimes
def test_an_absent_broker_is_one_sentence(tmp_path: Path, runtime: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, "embedded", has_links=False) as house:
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
            process = await house.start(house.device(), runtime, port=port)
            line = await process.line("WARNING")
            assert "refused the connection" in line and str(port) in line
            assert len([each for each in process.lines if "WARNING" in each]) == 1

    asyncio.run(main())


def test_a_killed_broker_comes_back_and_so_does_everybody(tmp_path: Path) -> None:
    async def main() -> None:
        async with House.open(tmp_path, "mosquitto") as house:
            devices = [house.device() for _ in RUNTIMES]
            await house.admit(*devices)
            for device, runtime in zip(devices, RUNTIMES, strict=True):
                await house.start(device, runtime)
                await house.links.wait_up(device.id, 20)
            assert isinstance(house.broker, mosquitto.Mosquitto)
            before = house.broker.process_id
            os.kill(before, signal.SIGKILL)
            await eventually(lambda: not any(each.is_up for each in house.links.all()))
            for device in devices:
                presence = await house.links.wait_up(device.id, 30)
                assert presence.birth["session"] > 1
            assert house.broker.process_id != before

    asyncio.run(main())


@both_brokers
def test_a_busy_port_is_one_sentence(tmp_path: Path, kind: str) -> None:
    if kind == "mosquitto":
        needs.program("mosquitto")

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            broker = open_broker(kind, tmp_path / "broker", CA(tmp_path / "ca"), "127.0.0.1", port)
            with pytest.raises(PortError) as busy:
                await broker.start()
            await broker.stop()
        assert busy.value.code == "port_busy"
        assert str(port) in busy.value.text and "--port" in busy.value.text

    asyncio.run(main())


def test_without_mosquitto_the_embedded_broker_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosquitto, "find", lambda: None)
    ca = CA(tmp_path / "ca")
    chosen = open_broker("auto", tmp_path / "broker", ca, "127.0.0.1", 0)
    assert chosen.kind == "embedded" and "apt install mosquitto" in chosen.banner
    with pytest.raises(PortError) as missing:
        asyncio.run(open_broker("mosquitto", tmp_path / "broker", ca, "127.0.0.1", 0).start())
    assert "apt install mosquitto" in missing.value.text


def test_an_old_mosquitto_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosquitto, "find", lambda: "/bin/true")
    monkeypatch.setattr(mosquitto, "version", lambda path: (1, 6, 12))
    with pytest.raises(PortError) as old:
        asyncio.run(open_broker("auto", tmp_path / "broker", CA(tmp_path / "ca"), "127.0.0.1", 0).start())
    assert "1.6.12" in old.value.text and "2.0" in old.value.text


def test_mosquitto_keeps_its_files_and_has_no_rights_of_ours(tmp_path: Path) -> None:
    async def main() -> None:
        async with House.open(tmp_path, "mosquitto", has_links=False) as house:
            folder = tmp_path / "broker"
            for path in folder.iterdir():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert stat.S_IMODE(folder.stat().st_mode) == (0o710 if has_root() else 0o700)
            assert isinstance(house.broker, mosquitto.Mosquitto)
            status = Path(f"/proc/{house.broker.process_id}/status").read_text()
            uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
            assert "0" not in uids

    asyncio.run(main())


def test_a_broker_whose_core_was_killed_ends_too(tmp_path: Path) -> None:
    needs.program("mosquitto")
    script = (
        "import asyncio,sys\nfrom pathlib import Path\nfrom tools.gateway.ca import CA\n"
        "from tools.gateway.links.broker import open_broker\n"
        "async def main():\n"
        " f=Path(sys.argv[1]); b=open_broker('mosquitto',f/'broker',CA(f/'ca'),'127.0.0.1',0); await b.start()\n"
        " print(b.process_id,b.local()[1],flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )

    async def main() -> None:
        import sys

        core = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert core.stdout is not None
        pid, port = (await core.stdout.readline()).split()
        core.kill()
        await core.wait()
        # The next core on this folder gets the port, whether the kernel or it ended the old broker.
        again = open_broker("mosquitto", tmp_path / "broker", CA(tmp_path / "ca"), "127.0.0.1", int(port))
        await again.start()
        await again.stop()
        assert not Path(f"/proc/{int(pid)}").exists()

    asyncio.run(main())


@both_runtimes
def test_a_board_without_a_clock_connects(tmp_path: Path, runtime: str) -> None:
    prefix = at_2000()

    async def main() -> None:
        async with House.open(tmp_path, "mosquitto") as house:
            device = house.device()
            await house.admit(device)
            code, year = await run(*prefix, "date", "+%Y")
            assert (code, year.strip()) == (0, "2000")
            await house.start(device, runtime, prefix=prefix)
            await house.links.wait_up(device.id, 20)
            assert await house.links.command(device.id, "echo", {"a": 1}, 10) == {"a": 1}

    asyncio.run(main())


def test_an_idle_link_sleeps(tmp_path: Path) -> None:
    """Wake-ups of both, counted from outside: below one in a second for MicroPython, at most two for CPython."""
    seconds = 20 if os.environ.get("CORELET_FULL") != "1" else 60

    async def main() -> None:
        async with House.open(tmp_path, "mosquitto") as house:
            running = {}
            for runtime in RUNTIMES:
                device = house.device()
                await house.admit(device)
                running[runtime] = await house.start(device, runtime)
                await house.links.wait_up(device.id, 20)
            await asyncio.sleep(1)
            before = {runtime: process.switches() for runtime, process in running.items()}
            await asyncio.sleep(seconds)
            for runtime, process in running.items():
                wakes = process.switches() - before[runtime]
                print(f"{runtime}: {wakes} context switches in {seconds} s")
                assert wakes < seconds * (1 if runtime == "micropython" else 2), (runtime, wakes)

    asyncio.run(main())
