"""Access rules as data, the external broker, and refusals that need no running broker."""

import asyncio
import os
import stat
import subprocess
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.wire import envelope
from tools.gateway.ca import CA
from tools.gateway.links import mosquitto
from tools.gateway.links.broker import External, Rules, endpoints, open_broker

ONE, OTHER = "0" * 16, "f" * 16


def test_the_access_list_is_these_lines() -> None:
    rules = Rules()
    rules.add((OTHER, ONE))
    blocks = rules.mosquitto_acl().split("\n\n")
    assert blocks[0] == "user core\ntopic readwrite c1/#"
    up = "".join(f"topic write c1/{ONE}/up/{kind}\n" for kind in envelope.UP_KINDS)
    dn = "\n".join(f"topic read c1/{ONE}/dn/{kind}" for kind in envelope.DN_KINDS)
    assert blocks[1] == f"user {ONE}\n{up}{dn}"
    assert len(blocks) == 3 and "#" not in blocks[1] + blocks[2] and "+" not in blocks[1] + blocks[2]


def test_what_is_no_device_id_does_not_get_into_the_file() -> None:
    for bad in ("", "core", "a\ntopic readwrite #", "A" * 16, "0" * 15, "0" * 15 + "\n"):
        with pytest.raises(UsageError):
            Rules().add((bad,))


def test_rules_are_the_same_for_the_embedded_broker() -> None:
    rules = Rules()
    rules.add((ONE,))
    assert rules.may_write(ONE, f"c1/{ONE}/up/tele") and rules.may_read(ONE, f"c1/{ONE}/dn/cmd")
    assert rules.may_subscribe(ONE, f"c1/{ONE}/dn/cmd") and rules.may_subscribe("core", "c1/+/up/+")
    for topic in (f"c1/{ONE}/up/other", f"c1/{ONE}/dn/cmd", f"c1/{OTHER}/up/tele", "#", "c1/#", "$SYS/x", ""):
        assert not rules.may_write(ONE, topic)
    for topic in (f"c1/{ONE}/dn/#", f"c1/{ONE}/dn/+", f"c1/{OTHER}/dn/cmd", f"c1/{ONE}/up/tele", "#", "$SYS/#", "+"):
        assert not rules.may_subscribe(ONE, topic)
    for identity in (OTHER, "", "Core"):
        assert not rules.may_write(identity, f"c1/{identity}/up/tele")
    assert not rules.may_subscribe("core", "$SYS/#")


def test_an_external_broker_is_told_by_its_operator(tmp_path: Path) -> None:
    ca = CA(tmp_path / "ca")
    external = open_broker("mqtts://broker.example:8884", tmp_path / "broker", ca, "", 0)
    assert external.kind == "mqtts://broker.example:8884"
    assert external.endpoints() == [("broker.example", 8884)] == [external.local()]
    assert "cannot manage its access lists" in external.banner and str(tmp_path / "broker") in external.banner

    async def main() -> None:
        await external.start()
        await external.allow(ONE)
        key = (tmp_path / "broker" / "server.key").read_bytes()
        await external.forbid(ONE, 12345)
        await External("mqtts://broker.example", tmp_path / "broker", ca).start()
        assert (tmp_path / "broker" / "server.key").read_bytes() == key  # given away once, so kept

    asyncio.run(main())
    for path in (tmp_path / "broker").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ca.is_revoked(12345)
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", tmp_path / "broker" / "server.pem"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"DNS:{ca.server_name}" in told.stdout


@pytest.mark.parametrize(
    "kind", ["", "mqtt://a:1", "mqtts://", "mqtts://a:b", "mqtts://u@a", "mqtts://a/x", "rabbit", "mqtts://a:99999"]
)
def test_other_brokers_are_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_broker(kind, tmp_path / "broker", CA(tmp_path / "ca"), "", 0)
    assert refused.value.code == "broker" and "mqtts://HOST:PORT" in refused.value.text


def test_endpoints_are_addresses_that_others_can_use() -> None:
    assert endpoints("10.1.2.3", 5) == [("10.1.2.3", 5)]
    found = endpoints("", 5)
    assert 1 <= len(found) <= 8
    assert all(not address.startswith(("fe80:", "::1")) and port == 5 for address, port in found)
    assert not any(address.startswith("127.") for address, _ in found) or len(found) == 1


def test_a_broken_note_of_an_old_process_kills_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = mosquitto.Mosquitto(folder, CA(tmp_path / "ca"), "127.0.0.1", 0)
    for note in (b"", b"[]", b'{"pid": "x"}', b'{"pid": %d, "began": 1}' % os.getpid(), b'{"pid": 1, "began": 0}'):
        (folder / "process.json").write_bytes(note)
        asyncio.run(broker._end_orphan())
