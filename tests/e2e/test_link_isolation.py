"""Devices are kept apart, judged by what is delivered, on both brokers, with mosquitto's own programs as the attacker.

A SUBACK says nothing: mosquitto grants a subscription to # and delivers nothing on it. So every test here sends
something that must not arrive, and something beside it that must.
"""

import asyncio
import ssl
from pathlib import Path

import pytest

from agent.errors import PortError
from agent.port.cpython import link
from tests.e2e import needs
from tests.e2e.house import BROKERS, House, Running, drained, run
from tools.gateway.links import mosquitto

both_brokers = pytest.mark.parametrize("kind", BROKERS)
EVERYTHING = ("#", "+/#", "c1/#", "c1/+/dn/+", "c1/+/up/+", "+/+/+/+", "$SYS/#", "$SYS/broker/uptime")


@both_brokers
def test_a_certificate_reads_its_own_topics_and_no_others(tmp_path: Path, kind: str) -> None:
    needs.program("mosquitto_sub", "mosquitto-clients")

    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            spy, victim = house.device(), house.device()  # the victim is offline
            await house.admit(spy, victim)
            core = await house.connect_core()
            await core.publish(f"c1/{victim.id}/up/birth", b"secret retained", 1, True)
            topics = [*EVERYTHING, f"c1/{victim.id}/dn/cmd", f"c1/{victim.id}/up/birth", f"c1/{spy.id}/dn/cmd"]
            words = [word for topic in topics for word in ("-t", topic)]
            # -d says when it is subscribed; what is delivered begins with its topic.
            command = [
                needs.program("stdbuf", "coreutils"),
                "-oL",
                *house.client("mosquitto_sub", spy, "-d", "-v", "-q", "1"),
            ]
            listening = Running("sub", [*command, *words], tmp_path)
            listening.start()
            await listening.line("Subscribed (mid")
            await core.publish(f"c1/{victim.id}/dn/cmd", b"secret live", 1, False)
            await core.publish(f"c1/{victim.id}/dn/cmd", b"secret kept", 1, True)
            await core.publish(f"c1/{spy.id}/dn/cmd", b"for the spy", 1, False)
            await listening.line("for the spy")
            await asyncio.sleep(1)  # for what must not come
            await listening.kill()
            delivered = [line for line in listening.lines if line.startswith(("c1/", "$SYS")) or "secret" in line]
            assert delivered == [f"c1/{spy.id}/dn/cmd for the spy"], listening.text
            await core.close()

    asyncio.run(main())


@both_brokers
def test_what_waits_for_one_is_not_given_to_the_next(tmp_path: Path, kind: str) -> None:
    """Retained messages at the start of a session: amqtt sends them for everybody's filters."""

    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            spy, victim = house.device(), house.device()
            await house.admit(spy, victim)
            core = await house.connect_core()
            await core.subscribe("c1/+/up/+")
            own = await house.connect(victim)
            await own.publish(f"c1/{victim.id}/up/birth", b"secret", 1, True)
            assert await drained(core) == [(f"c1/{victim.id}/up/birth", b"secret")]
            other = await house.connect(spy)
            await other.subscribe(f"c1/{spy.id}/dn/cmd")
            assert await drained(other) == []
            for connection in (core, own, other):
                await connection.close()

    asyncio.run(main())


@both_brokers
def test_a_certificate_writes_its_own_topics_and_no_others(tmp_path: Path, kind: str) -> None:
    needs.program("mosquitto_pub", "mosquitto-clients")

    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            liar, victim = house.device(), house.device()
            await house.admit(liar, victim)
            core = await house.connect_core()
            await core.subscribe("c1/#")
            target = await house.connect(victim)
            await target.subscribe(f"c1/{victim.id}/dn/cmd")
            forbidden = [
                f"c1/{victim.id}/up/birth", f"c1/{victim.id}/up/tele", f"c1/{victim.id}/dn/cmd",
                f"c1/{liar.id}/dn/cmd", f"c1/{liar.id}/up/other", "c1/x", "$SYS/x", "other",
            ]  # fmt: skip
            for topic in forbidden:
                for more in ([], ["-r"]):
                    await run(*house.client("mosquitto_pub", liar, "-q", "1", "-t", topic, "-m", "lie", *more))
            status, output = await run(
                *house.client("mosquitto_pub", liar, "-q", "1", "-t", f"c1/{liar.id}/up/tele", "-m", "mine")
            )
            assert status == 0, output
            assert await drained(core) == [(f"c1/{liar.id}/up/tele", b"mine")]
            assert await drained(target) == []
            await core.subscribe("c1/#")  # asks for what is retained
            assert await drained(core) == []
            await core.close()
            await target.close()

    asyncio.run(main())


@both_brokers
def test_a_foreign_will_is_not_spoken(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            liar, victim = house.device(), house.device()
            await house.admit(liar, victim)
            core = await house.connect_core()
            await core.subscribe("c1/#")
            for topic in (f"c1/{victim.id}/up/death", f"c1/{liar.id}/up/death"):
                made = link.open(house.options(liar, topic))
                try:
                    await made.connect()
                    made._client._reset_sockets()  # without DISCONNECT
                except PortError:
                    assert victim.id in topic
            async with asyncio.timeout(10):
                first = await core.receive()
            assert [first, *await drained(core)] == [(f"c1/{liar.id}/up/death", b"gone")]
            await core.close()

    asyncio.run(main())


@both_brokers
def test_a_client_id_cannot_be_taken_over(tmp_path: Path, kind: str) -> None:
    needs.program("mosquitto_pub", "mosquitto-clients")

    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            liar, victim = house.device(), house.device()
            await house.admit(liar, victim)
            core = await house.connect_core()
            target = await house.connect(victim)
            await target.subscribe(f"c1/{victim.id}/dn/cmd")
            for words in (["-i", victim.id], ["-i", victim.id, "-c"], ["-i", "core"], ["-i", victim.id, "-u", "core"]):
                await run(*house.client("mosquitto_pub", liar, *words, "-t", f"c1/{victim.id}/up/tele", "-m", "x"))
            await core.publish(f"c1/{victim.id}/dn/cmd", b"still here", 1, False)
            assert await drained(target) == [(f"c1/{victim.id}/dn/cmd", b"still here")]
            await core.close()
            await target.close()

    asyncio.run(main())


@both_brokers
def test_forget_silences_a_live_session_at_once(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            gone, stays = house.device(), house.device()
            await house.admit(gone, stays)
            core = await house.connect_core()
            await core.subscribe("c1/+/up/+")
            lines = {}
            for device in (gone, stays):
                lines[device.id] = await house.connect(device, f"c1/{device.id}/up/death")
                await lines[device.id].subscribe(f"c1/{device.id}/dn/cmd")
                await lines[device.id].publish(f"c1/{device.id}/up/tele", b"before", 1, False)
                await core.publish(f"c1/{device.id}/dn/cmd", b"before", 1, False)
            assert len(await drained(core)) == 2
            await house.broker.forbid(gone.id, gone.serial)
            for device in (gone, stays):
                await core.publish(f"c1/{device.id}/dn/cmd", b"after", 1, False)
                try:
                    async with asyncio.timeout(2):
                        await lines[device.id].publish(f"c1/{device.id}/up/tele", b"after", 1, False)
                except (PortError, TimeoutError):
                    assert device is gone
            assert await drained(core) == [(f"c1/{stays.id}/up/tele", b"after")]
            queued = [payload for _, payload in lines[gone.id]._queue]
            assert queued == [b"before"]  # nothing after it
            assert [payload for _, payload in await drained(lines[stays.id])] == [b"before", b"after"]
            with pytest.raises(PortError) as refused:
                await house.connect(gone)
            assert refused.value.code in ("tls", "not_authorised", "closed")
            for connection in (core, *lines.values()):
                await connection.close()
            assert house.ca.is_revoked(gone.serial)

    asyncio.run(main())


@both_brokers
def test_links_clear_what_a_forgotten_device_left(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind) as house:
            device = house.device()
            await house.admit(device)
            own = await house.connect(device)
            await own.publish(f"c1/{device.id}/up/birth", b"\x01 no envelope", 1, True)
            await asyncio.sleep(0.5)
            assert house.links.presence(device.id).odd == 1
            await own.close()
            house.known.discard(device.id)
            await house.broker.forbid(device.id, device.serial)
            house.links._stir.set()
            await asyncio.sleep(0.5)
            await house.links.close()
            core = await house.connect_core()
            await core.subscribe("c1/#")
            assert await drained(core) == []
            await core.close()

    asyncio.run(main())


@both_brokers
def test_no_certificate_no_connection(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=house.ca.ca_der)
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", house.port, ssl=context, server_hostname=house.ca.server_name
                )
                writer.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
                await asyncio.wait_for(reader.readexactly(4), 5)

    asyncio.run(main())


@both_brokers
def test_silence_in_a_handshake_delays_nobody(tmp_path: Path, kind: str) -> None:
    """Measured: without a word mosquitto hangs up after 95 s, the embedded broker after 10; until then others come and
    go."""

    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            device = house.device()
            await house.admit(device)
            silent = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(200)]
            for number, (_, writer) in enumerate(silent):
                writer.write((b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00")[number % 3])  # the beginning of a hello
            async with asyncio.timeout(5):
                own = await house.connect(device)
                await own.subscribe(f"c1/{device.id}/dn/cmd")
                core = await house.connect_core()
                await core.publish(f"c1/{device.id}/dn/cmd", b"heard", 1, False)
                assert (await own.receive())[1] == b"heard"
            for connection in (core, own):
                await connection.close()
            for _, writer in silent:
                writer.close()

    asyncio.run(main())


@both_brokers
def test_garbage_and_giants_end_only_their_own_connection(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, kind, has_links=False) as house:
            rude, other = house.device(), house.device()
            await house.admit(rude, other)
            quiet = await house.connect(other)
            await quiet.subscribe(f"c1/{other.id}/dn/cmd")
            big = f"c1/{rude.id}/up/tele".encode()
            giant = b"\x30\xff\xff\xff\x7f\x00" + bytes((len(big),)) + big + bytes(20000)
            connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
            for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, connect + giant, connect + b"\xf0\x00", connect * 2):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(cadata=house.ca.ca_der)
                context.load_cert_chain(rude.folder / "cert.pem", rude.folder / "key.pem")
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", house.port, ssl=context, server_hostname=house.ca.server_name
                )
                writer.write(data)
                with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
                    await asyncio.wait_for(reader.readexactly(100), 8)
                writer.close()
            core = await house.connect_core()
            await core.publish(f"c1/{other.id}/dn/cmd", b"well", 1, False)
            assert await drained(quiet) == [(f"c1/{other.id}/dn/cmd", b"well")]
            await core.close()
            await quiet.close()

    asyncio.run(main())


def test_a_reload_that_is_not_seen_restarts_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`forbid` must not return while the old lists may still be in force."""
    monkeypatch.setattr(mosquitto, "RELOAD_S_MAX", 0.0)

    async def main() -> None:
        async with House.open(tmp_path, "mosquitto", has_links=False) as house:
            device = house.device()
            before = house.broker.process_id  # type: ignore[attr-defined]
            await house.broker.forbid(device.id, device.serial)
            assert house.broker.process_id != before  # type: ignore[attr-defined]

    asyncio.run(main())
