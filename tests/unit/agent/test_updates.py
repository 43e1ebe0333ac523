"""The agent's part of an update: who may order, what it orders, what it makes of a result."""

import asyncio
import json

from agent import port, updates
from agent.errors import LimitError, PeerError, PortError, TrustError
from tests.expect import raises

CORE, OTHER = "0123456789abcdef", "fedcba9876543210"
PLACE = "http://192.0.2.1/u/d"
DIGEST = "ab" * 32
RESULT = {"number": 4, "do": "install", "result": "staged", "text": "so", "reason": "ok", "state": "trial"}


class Files:
    def __init__(self, content):
        self.content = content

    def exists(self, path):
        return path in self.content

    def read(self, path, bytes_max):
        if path not in self.content:
            raise PortError("not_found", path)
        return self.content[path]

    def write_atomic(self, path, data):
        self.content[path] = data


class Device:
    """It is its own codec, membership, supervisor, journal, shards and clock."""

    folder, ceilings = "state", {"memory_kib": 1000}

    def __init__(self, runs="a idle 7", trial=""):
        slot, state, sequence = runs.split(" ")
        self.environment = {"CORELET_UPDATES": "u", "CORELET_SLOT": slot, "CORELET_PROGRESS": "progress"}
        self.environment["CORELET_RELEASE"] = f"{state} {sequence} {DIGEST}"
        self.environment["CORELET_HEALTHY_S"] = "10"
        self.environment["CORELET_TRIAL"] = trial
        self.files = Files({"u/settings": b"settings"})
        self.codec = self.membership = self.supervisor = self.journal = self.shards = self
        self.lines, self.refreshed, self.failed, self.now, self.trouble = [], 0, 0, 1000, ""
        self.is_core_up, self.used, self.ended = True, 10, False
        updates.port = self
        self.clock = self.heap = self
        self.updates = updates.Updates(self)

    def getenv(self, name):
        return self.environment.get(name)

    def decode(self, data):
        return {"core": CORE}

    def now_ms(self):
        return self.now

    def is_up(self, core):
        return core == CORE and self.is_core_up

    def health(self):
        return self

    def sample(self, folder):
        return {"process_kib": self.used}

    def kib(self):
        """No heap of fixed size."""
        return 0

    def refresh(self):
        self.refreshed += 1

    def info(self, source, text):
        self.lines.append(text)

    def is_quiet(self):
        return True

    async def finish(self):
        self.ended = True

    def order(self):
        data = self.files.content.pop("u/order", None)
        return data and json.loads(data)

    def answer(self, **changes):
        self.files.content["u/result"] = json.dumps(dict(RESULT, **changes)).encode()

    def turn(self, seconds=5):
        """One turn of the loop."""
        self.now += seconds * 1000
        seen = []

        async def sleep(_seconds):
            seen.append(1)
            raise asyncio.CancelledError

        before, updates.asyncio = updates.asyncio, self
        self.sleep = sleep
        try:
            asyncio.run(self.updates.run())
        except asyncio.CancelledError:
            pass
        finally:
            updates.asyncio = before
        assert seen == [1]


def install(device, core=CORE):
    return device.updates.order(core, {"order": "install", "source": PLACE})


def test_only_the_named_core_orders():
    device = Device()
    assert raises(TrustError, install, device, OTHER).code == "not_the_updater"
    assert install(device) == {"accepted": True}
    assert device.order() == {"number": 1, "do": "install", "source": PLACE}
    del device.files.content["u/settings"]
    assert raises(TrustError, install, device).code == "not_the_updater"
    assert device.updates.named() == "" and raises(TrustError, install, device, "").code == "not_the_updater"


def test_orders_of_another_shape():
    device = Device()
    for body in (
        {}, {"order": "install"}, {"order": "format", "source": PLACE}, {"order": ["install"], "source": PLACE},
        {"order": "install", "source": "/etc"}, {"order": "install", "source": 5}, {"source": PLACE},
        {"order": "install", "source": "http://" + "h" * 506}, {"order": "rollback", "source": PLACE},
        {"order": "install", "source": "https://host"},
        {"order": "rollback", "source": PLACE, "digest": "ab"}, {"order": "confirm", "healthy_s": 1},
    ):  # fmt: skip
        assert raises(PeerError, device.updates.order, CORE, body).code == "update", body
    assert device.order() is None
    device.updates.order(CORE, {"order": "rollback", "source": PLACE, "digest": DIGEST, "more": 1})
    assert device.order() == {"number": 1, "do": "rollback", "source": PLACE, "digest": DIGEST}


def test_one_at_a_time_and_numbers_grow():
    device = Device()
    install(device)
    assert raises(LimitError, install, device).code == "busy"
    device.order()
    device.answer(number=8, result="nothing", state="idle")
    install(device)
    assert device.order()["number"] == 9
    trial = Device(trial="1")
    assert raises(LimitError, install, trial).code == "busy"


def test_a_staged_release_ends_us_in_order_once():
    device = Device()
    device.turn()
    assert device.files.content["progress"] == b"6000\n" and device.refreshed == 0
    device.answer()
    device.turn()
    assert (device.refreshed, device.ended, device.trouble) == (1, False, "")
    assert device.updates.told()["result"]["result"] == "staged" and device.updates.told()["state"] == "trial"
    assert raises(LimitError, install, device).code == "busy"
    device.turn()
    assert device.ended and device.refreshed == 1
    device.is_quiet = lambda: False


def test_a_result_of_before_ends_nobody():
    device = Device()
    device.answer()
    device.updates = updates.Updates(device)
    device.turn()
    device.turn()
    assert not device.ended and device.updates.told()["state"] == "idle"


def test_whoever_asks_for_shards_is_waited_for_but_not_for_ever():
    device = Device()
    device.is_quiet = lambda: False
    device.answer()
    device.turn()
    for _ in range(11):
        device.turn()
        assert not device.ended
    device.turn()
    assert device.ended


def test_on_trial_it_confirms_when_it_is_good():
    device = Device("b trial 8", trial="1")
    device.turn()
    assert device.order() is None
    device.turn()
    assert device.order() == {"number": 1, "do": "confirm", "healthy_s": 10, "core_reached": True}
    device.answer(do="confirm", result="confirmed", state="idle", number=1)
    device.turn()
    device.turn(1000)
    assert device.order() is None and not device.ended and device.updates.told()["state"] == "idle"
    assert device.updates.told()["slot"] == "b" and device.updates.told()["sequence"] == 8


def test_each_failure_begins_the_time_again():
    device = Device("b trial 8", trial="1")
    device.turn()
    for name, bad, good in (("is_core_up", False, True), ("failed", 1, 1), ("used", 1001, 10)):
        setattr(device, name, bad)
        device.turn()
        setattr(device, name, good)
        device.turn()
        assert device.order() is None, name
    device.turn()
    assert device.order()["core_reached"] is True


def test_without_the_core_it_asks_once():
    device = Device("b trial 8", trial="1")
    device.is_core_up = False
    for _ in range(10):
        device.turn()
    assert device.order() == {"number": 1, "do": "confirm", "healthy_s": 10, "core_reached": False}
    device.answer(number=1, do="confirm", result="refused", reason="health")
    for _ in range(20):
        device.turn()
    assert device.order() is None and not device.ended
    device.is_core_up = True
    device.turn()
    device.turn()
    device.turn()
    assert device.order()["core_reached"] is True
    device.answer(number=2, do="confirm", result="refused", reason="state")
    device.turn()
    device.turn()
    assert device.ended and device.trouble.startswith("this release is not good")


def test_too_late_is_an_end_with_an_error():
    device = Device("b trial 8", trial="1")
    for _ in range(1800 // 5):
        device.used = 2000
        device.turn()
        assert not device.ended
    device.turn()
    assert device.ended and "half an hour" in device.trouble


def test_the_port_has_the_environment():
    assert port.getenv("CORELET_NO_SUCH") is None
