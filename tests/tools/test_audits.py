"""Audits of a fleet: what each outcome does to the shard and to the device's reputation."""

import asyncio
import time

from tests.tools.fake_device import FakeDevice
from tests.tools.fake_network import noise, run
from tools.gateway.audits import audits as audits_module
from tools.gateway.audits.audits import Audits
from tools.gateway.fleet import Fleet
from tools.gateway.registry.tables import PROOFS, Device


class Place:
    """Audits over fake devices that the registry knows, with what the fleet makes of reputations."""

    def __init__(self, net):
        self.net = net
        self.confessed = {}
        self.losses = 0
        for device in net.devices:
            self.pair(device)
        self.audits = Audits(
            net.registry, net.client, self.targets, lambda device: self.confessed.get(device, ()), self.lost
        )
        net.objects._targets = net.objects.upkeep._targets = net.objects.repair._targets = self.targets

    def pair(self, device, added=1):
        self.net.registry.add_device(
            Device(device.id, f"fake-{device.number}", "b", "f", b"", 1, device.link_secret, "paired", "", added)
        )

    def lost(self):
        self.losses += 1

    def targets(self):
        found = {}
        for device in self.net.devices:
            reputation = self.reputation(device)
            target = device.target()
            free = target.free_bytes if reputation.takes_more else 0
            found[device.id] = target._replace(is_trusted=reputation.is_trusted, free_bytes=free)
        return found

    def reputation(self, device):
        return self.net.registry.reputation(device.id)

    async def ask(self, device, count=1):
        """One question; the outcomes."""
        pace = self.audits._pace(device.id)
        return dict((await self.audits._audit(self.targets()[device.id], pace, count)).outcomes)

    async def tick(self):
        self.audits.tick()
        await self.audits.settle()

    def survives(self):
        return self.net.objects.listed()[0].survives


def scene(tmp_path, body, count=3, size=600_000, **options):
    async def scenario(net):
        place = Place(net)
        await net.put(noise(size))
        await body(place, net)

    run(tmp_path, count, scenario, **options)


def test_honest_devices_keep_their_reputation(tmp_path):
    async def body(place, net):
        for device in net.devices:
            for _ in range(20):
                assert await place.ask(device) == {"ok": 1}
            found = place.reputation(device)
            assert (found.audits, found.failures, found.score, found.outcome) == (20, 0, 1.0, "ok")
        rounds = await place.audits.round()
        assert [each.outcomes for each in rounds] == [{"ok": len(net.devices[0].shards)}] * 3
        assert [(each.missing, each.strays) for each in rounds] == [(0, 0)] * 3 and place.losses == 0

    scene(tmp_path, body, slots=(65536,))


def test_both_kinds_of_proof_are_asked_for_and_a_salt_only_once(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        for _ in range(120):
            assert await place.ask(device) == {"ok": 1}
        whole = [each for each in device.challenges if each.kind == 2]
        assert len({each.nonce for each in whole}) == len(whole) == len(device.shards)

    scene(tmp_path, body)


def test_a_lost_shard_is_made_again_and_costs_reputation(tmp_path):
    async def body(place, net):
        device = net.devices[1]
        gone = next(iter(device.shards))
        del device.shards[gone]
        (found,) = await place.audits.round(device.id)
        assert found.outcomes["lost"] == 1 and found.missing == 0, "it was asked for by name before"
        assert place.losses == 1 and place.reputation(device).failures == 1 and place.survives() == 0
        assert place.reputation(device).is_trusted, "one is not the end"
        await net.quiet()
        assert place.survives() == 1 and gone in device.shards
        assert (await place.audits.round(device.id))[0].outcomes == {"ok": len(device.shards)}

    scene(tmp_path, body, slots=(65536,))


def test_rot_and_lies_are_corrupt(tmp_path):
    async def body(place, net):
        rotten, liar = net.devices[:2]
        rotten.rotten.update(rotten.shards)
        assert await place.ask(rotten) == {"corrupt": 1}
        assert place.audits._pace(rotten.id).inventory_at == 0.0, "the rest is looked at now"
        liar.is_lying = True
        outcomes = [await place.ask(liar) for _ in range(40)]
        assert {"corrupt": 1} in outcomes, "the wrong byte is in one leaf of many"
        assert place.reputation(rotten).failures == 1

    scene(tmp_path, body, size=60_000)


def test_what_is_not_signed_proves_nothing(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        for fault in ((404, b""), (410, b""), (200, b""), (401, b"")):
            device.stranger = fault
            assert await place.ask(device) == {"timeout": 1}
        device.stranger = (0, b"")
        device.is_forging = True
        assert await place.ask(device) == {"timeout": 1}
        found = place.reputation(device)
        assert (found.failures, found.score, found.tries) == (0, 1.0, 5) and found.is_trusted
        assert not found.takes_more and place.targets()[device.id].free_bytes == 0
        assert net.registry.shard_counts()[device.id] == len(device.shards) and place.losses == 0
        device.is_forging = False
        assert await place.ask(device) == {"ok": 1} and place.reputation(device).takes_more

    scene(tmp_path, body)


def test_an_answer_that_is_owed_is_asked_for_again(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        device.is_mute = True
        await place.ask(device)
        asked = device.challenges[-1]
        pause = place.audits._pace(device.id).audit_at - time.monotonic()
        assert 30 < pause <= audits_module.AGAIN_S
        await place.ask(device)
        await place.ask(device, 16)
        assert device.challenges == [asked] * 3, "nothing else before"
        device.is_mute = False
        assert sum((await place.ask(device)).values()) == 1 and device.challenges[-1] == asked
        await place.ask(device)
        assert device.challenges[-1] != asked

    scene(tmp_path, body)


def test_owed_for_a_shard_that_is_gone(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        device.is_mute = True
        await place.ask(device)
        await net.objects.remove("file", 0)
        assert await place.ask(device) == {} and place.reputation(device).failures == 0

    scene(tmp_path, body)


def test_owed_for_a_shard_that_is_to_be_made_again(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        device.is_mute = True
        await place.ask(device)
        (asked,) = device.challenges
        net.registry.lose_shards(net.registry.kept_named(device.id, [asked.subject[:32]]))
        device.is_mute = False
        assert await place.ask(device) == {"ok": 1} and device.challenges[-1].subject != asked.subject

    scene(tmp_path, body, slots=(65536,))


def test_what_is_removed_while_it_is_asked_for_says_nothing(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        device.delay_s = 0.2
        task = asyncio.create_task(place.ask(device))
        await asyncio.sleep(0.1)
        net.registry.drop_object(net.objects.find("file").id)
        device.shards.clear()
        assert await task == {} and place.reputation(device).failures == 0

    scene(tmp_path, body)


def test_who_leaves_while_it_is_asked_is_offline(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        target = place.targets()[device.id]
        await device.kill()
        found = await place.audits._audit(target, place.audits._pace(device.id), 1)
        assert found.outcomes == {"offline": 1} and place.reputation(device).tries == 0

    scene(tmp_path, body)


def test_offline_costs_nothing(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        await device.kill()
        (found,) = await place.audits.round(device.id)
        assert found.outcomes == {"offline": 1} and found.problem
        assert place.reputation(device) == place.reputation(device)._replace(audits=0, tries=0, contained="")

    scene(tmp_path, body)


def test_a_confession_costs_nothing(tmp_path):
    async def body(place, net):
        device = net.devices[2]
        names = sorted(device.shards)
        device.rotten.update(names[:2])
        place.confessed[device.id] = [names[0].hex(), names[1][:5].hex()]
        await place.tick()
        await place.tick()
        found = place.reputation(device)
        assert (found.confessed, found.failures, found.score, place.losses) == (2, 0, 1.0, 1)
        assert place.survives() == 0
        device.rotten.clear()
        del device.shards[names[0]], device.shards[names[1]]
        await net.quiet()
        assert place.survives() == 1 and names[0] in device.shards

    scene(tmp_path, body, slots=(65536,))


def test_who_confesses_without_end_does_not_fill_the_queue(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        names = sorted(name.hex() for name in device.shards)
        for name in names[:5]:  # another one with every telemetry
            place.confessed[device.id] = [name]
            await place.tick()
        assert place.losses == 1 and net.registry.waiting_for_any() == 1
        place.audits._pace(device.id).hear_at = 0.0
        await place.tick()
        assert place.losses == 2, "the last one is heard in its time"

    scene(tmp_path, body, slots=(65536,))


def test_a_device_without_trust_is_emptied_and_gets_nothing(tmp_path):
    async def body(place, net):
        bad = net.devices[0]
        data = noise(600_000)
        for _ in range(3):
            rotten = net.registry.sample(bad.id, 1)[0].name
            bad.rotten.add(rotten)
            await place.audits.round(bad.id)
            bad.rotten.discard(rotten)
            await net.quiet()
        assert not place.reputation(bad).is_trusted and place.targets()[bad.id].free_bytes == 0
        await net.quiet()
        assert net.registry.shard_counts()[bad.id] == len(bad.shards) - 1 > 0, "there is no other place"
        fresh = FakeDevice(9)
        await fresh.start()
        net.devices.append(fresh)
        place.pair(fresh)
        await net.quiet()
        assert net.registry.shard_counts().get(bad.id, 0) == 0 and fresh.shards and place.survives() == 1
        assert await net.get() == data
        await net.quiet()
        assert not bad.shards, "what was moved is deleted there"
        await net.put(noise(100_000, 5), "second")
        assert not bad.shards
        place.pair(bad, added=2)
        assert place.reputation(bad).is_trusted, "paired anew"

    scene(tmp_path, body, slots=(65536,))


def test_shards_from_before_there_were_proofs(tmp_path):
    async def body(place, net):
        with net.registry._write() as connection:
            connection.execute(PROOFS.delete())
        device = net.devices[0]
        for _ in range(30):
            assert await place.ask(device) == {"ok": 1}
        assert ("GET", next(iter(device.shards))) in device.requests
        assert all(net.registry.proof(shard) for shard in net.registry.sample(device.id, 99))

    scene(tmp_path, body, size=60_000)


def test_who_is_due(tmp_path):
    async def body(place, net):
        await place.tick()
        assert not any(device.challenges for device in net.devices)
        for pace in place.audits._paces.values():
            pace.audit_at = pace.inventory_at = 0.0
        await place.tick()
        for device in net.devices:
            assert sorted(each.kind for each in device.challenges)[-1] == 3 and len(device.challenges) == 2
            pause = place.audits._paces[device.id].audit_at - time.monotonic()
            assert 1700 < pause <= 86400 / audits_module.A_DAY
        await place.tick()
        assert all(len(device.challenges) == 2 for device in net.devices)

    scene(tmp_path, body)


def test_rows_of_what_is_gone_are_swept(tmp_path):
    async def body(place, net):
        shard = net.registry.sample(net.devices[0].id, 1)[0]
        await place.ask(net.devices[0])
        await net.objects.remove("file", 0)
        net.registry.remove_device(net.devices[0].id)
        assert net.registry.proof(shard) is not None
        net.registry.sweep_proofs()
        assert net.registry.proof(shard) is None and net.registry.reputations().get(net.devices[0].id) is None

    scene(tmp_path, body)


def test_the_fleet_gives_nothing_to_whom_it_does_not_trust(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        birth = {"quota": 1 << 30, "data": 5, "slots": [65536], "boot": 1}
        assert Fleet(net.registry, lambda _: None).confessions(device.id) == []

        class Known:
            is_up, telemetry, seen_at = True, {}, None

        Known.birth = birth
        assert Fleet(net.registry, lambda _: Known).targets()[device.id].free_bytes > 0
        Known.telemetry = {"confessed": ["00" * 5]}
        assert Fleet(net.registry, lambda _: Known).confessions(device.id) == ["00" * 5]
        reputation = place.reputation(device)
        net.registry.note_reputation(reputation._replace(tries=3))
        target = Fleet(net.registry, lambda _: Known).targets()[device.id]
        assert target.free_bytes == 0 and target.is_trusted
        net.registry.note_reputation(reputation._replace(bad=9.0))
        assert not Fleet(net.registry, lambda _: Known).targets()[device.id].is_trusted

    scene(tmp_path, body)
