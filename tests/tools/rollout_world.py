"""A fleet of made-up devices around one roll-out machine, with a clock of its own: one seed, one history.

A device does what stage-0 and the agent do as far as the core can see it: it takes an order, downloads, stages,
restarts into the trial, and confirms, or falls back after three tries. It installs only what the machine allows it at
that moment, as its beacon would say. `hardware`: what is wrong with it, whatever the release.
"""

import random
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.gateway.updates.places import Seen
from tools.gateway.updates.plan import planned
from tools.gateway.updates.rollout import Rollout

OLD, NEW = "0d" * 32, "ab" * 32
STEP_S = 10.0
HARDWARE = ("dies_while_staging", "dies_on_restart", "disk", "slow", "never_confirms")


@dataclass
class FakeDevice:
    id: str
    world: "World"
    hardware: str = ""
    runs: str = OLD
    state: str = "idle"
    number: int = 0
    boot: int = 1
    is_up: bool = True
    is_dead: bool = False  # its board, not its release: it never comes again
    result: dict | None = None
    tries: int = 0
    plans: list = field(default_factory=list)  # (when, what)
    ran: list = field(default_factory=list)

    def seen(self):
        sequence = 8 if self.runs == NEW else 7
        update = {"slot": "a", "state": self.state, "sequence": sequence, "digest": self.runs, "result": self.result}
        return Seen(self.is_up and not self.is_dead, update, self.boot)

    def order(self):
        """What the command is answered with."""
        if self.is_dead or not self.is_up:
            return "offline"
        if self.plans:
            return "busy"
        self._later(self.world.random.uniform(5, 240) * (30 if self.hardware == "slow" else 1), self._follow)
        return ""

    def _later(self, seconds, what):
        self.plans.append((self.world.now + seconds, what))

    def live(self):
        for when, what in [plan for plan in self.plans if plan[0] <= self.world.now]:
            self.plans.remove((when, what))
            if not self.is_dead:
                what()

    def _tell(self, word, reason="", target=""):
        self.number += 1
        self.result = {
            "number": self.number, "do": "install", "result": word, "reason": reason, "text": reason,
            "state": self.state, "active": self.runs, "sequence": 0, "target": target,
        }  # fmt: skip

    def _follow(self):
        """refresh, then install."""
        if self.hardware == "dies_while_staging":
            self.is_dead = True
            return
        allowed = self.world.rollout.allows(self.id)
        if not allowed:
            self.state = "idle"  # called off, where it was staged
            self._tell("nothing", "nothing")
        elif self.hardware == "disk":
            self._tell("failed", "io")
        elif self.world.random.random() < self.world.flaky:
            self._tell("failed", "source")
        else:
            self.state, self.tries = "trial", 3
            self._tell("staged", target=NEW)
            self._later(self.world.random.uniform(1, 60), self._restart)

    def _restart(self):
        if self.state != "trial":
            return
        self.boot += 1
        if self.hardware == "dies_on_restart":
            self.is_dead = True
        elif self.tries == 0:
            self.runs, self.state, self.is_up = OLD, "idle", True
        else:
            self.tries -= 1
            self.runs = NEW
            self.ran.append(NEW)
            self.is_up = not self.world.is_bad  # a bad release crashes before it is heard
            if self.world.is_bad or self.hardware == "never_confirms":
                self._later(self.world.random.uniform(10, 120), self._restart)
            else:
                self._later(self.world.random.uniform(120, 200), self._confirm)

    def _confirm(self):
        self.state = "idle"
        self.number += 1
        self.result = self.result | {"number": self.number, "do": "confirm", "result": "confirmed", "active": NEW}


class Faults(NamedTuple):
    """Shares: `broken`: devices whose hardware fails; `away`: those that are off at first; `flaky`: of downloads."""

    broken: float = 0.0
    away: float = 0.0
    flaky: float = 0.0


class World:
    """`words`: of the plan."""

    def __init__(self, seed, faults=Faults(), is_bad=False, count=1000, **words):  # noqa: B008
        self.random = random.Random(seed)
        self.is_bad, self.flaky = is_bad, faults.flaky
        self.now = 0.0
        self.devices = {}
        for _ in range(count):
            device = f"{self.random.getrandbits(64):016x}"
            hardware = self.random.choice(HARDWARE) if self.random.random() < faults.broken else ""
            self.devices[device] = FakeDevice(device, self, hardware)
        for device in self.devices.values():
            if self.random.random() < faults.away:
                device.is_up = False
                device._later(self.random.uniform(600, 5_000), device.__class__.come.__get__(device))
        self.rollout = Rollout(planned(NEW, 8, words))
        self.rows = {}
        self.most_open = 0
        self.orders = 0

    def step(self, seconds=STEP_S):
        self.now += seconds
        for device in self.devices.values():
            device.live()
        rollout = self.rollout
        rollout.know(dict.fromkeys(self.devices, True))
        for device in self.devices.values():
            rollout.hear(device.id, device.seen())
        rollout.wake(seconds)
        orders, changed = rollout.drain()
        self.rows |= {place.device: place for place in changed}
        for device in orders:
            self.orders += 1
            rollout.answered(device, self.devices[device].order())
        self.most_open = max(self.most_open, sum(place.is_open for place in rollout.places.values()))
        assert self.most_open <= rollout.size(), "more than the wave were ordered"

    def run(self, until, hours=48.0):
        """Until it is so; that it was so in time."""
        while not until():
            self.step()
            assert self.now < hours * 3600, (self.rollout.standing, self.rollout.waits_for, self.rollout.counts())

    def finish(self, hours=48.0):
        self.run(lambda: self.rollout.is_over, hours)
        for _ in range(400):  # what is still on its way on the devices
            self.step()

    def restart(self):
        """Of the core: what was written down is what it knows."""
        _, changed = self.rollout.drain()
        self.rows |= {place.device: place for place in changed}
        self.rollout = Rollout(self.rollout.plan, self.rollout.standing, list(self.rows.values()))


def come(self):
    self.is_up = True


FakeDevice.come = come
