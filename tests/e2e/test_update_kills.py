"""`kill -9` at random times of real updates, both interpreters: refresh, install, stage-0's choice, confirm, an orderly
end and the way back. After each, stage-0 must choose a slot that has a signed release, byte for byte, never below the
floor that was confirmed, and only what was confirmed or is on trial; in the end an update goes through.

Seeded; CORELET_FULL=1 kills KILLS_FULL times on each interpreter. A kill that came too late is none.
"""

import os
import random
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from ota.content import PACK_OFFSET
from ota.disk import Disk
from ota.port import Folder
from ota.slots import SLOTS, STATES, TRIAL, Journal
from tests.e2e.update_device import HEALTHY, Device
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES, interpreter
from tests.releases import Source, program

KILLS, KILLS_FULL = 6, 200
FILES = ("journal", "floor", "a", "b", "beacon", "beacon.new")


class Made(NamedTuple):
    """A release as it was signed."""

    sequence: int
    floor: int
    envelope: bytes
    pack: bytes


class Victim:
    """A device whose processes are killed. `landed`: verb -> how many kills met it alive; `torn`: after how many of
    them a release was staged in part."""

    def __init__(self, runtime: str, folder: Path) -> None:
        self.random = random.Random(runtime)
        self.source, self.made = Source(folder / "source"), dict[str, Made]()
        self._command = [*interpreter(runtime), "-m"]
        self.newest, self.floor, self.confirmed, self.on_trial = 6, 0, "", ""
        self.landed: dict[str, int] = {}
        self.is_calm = False
        self.torn, self._took_s = 0, dict[str, float]()
        self.source.allow(self.release())
        device = Device(runtime, folder, self.source)
        self.state, self.place = device.state, str(self.source.folder)
        device.update()
        self.running = "a"
        self.judge()

    @property
    def kills(self) -> int:
        return sum(self.landed.values())

    def release(self) -> str:
        """The next; each third raises the floor to itself."""
        self.newest += 1
        sequence, body = self.newest, self.random.randbytes(self.random.randrange(1, 80000)).hex().encode()
        floor = sequence if sequence % 3 == 0 else 0
        files = program(str(sequence)) | {"agent/more.py": b"#" + body[:80000]}
        digest = self.source.release(sequence, files, floor=floor)
        envelope = (self.source.folder / "releases" / digest).read_bytes()
        self.made[digest] = Made(sequence, floor, envelope, (self.source.folder / f"packs/{sequence}").read_bytes())
        return digest

    def run(self, verb: str, *words: str) -> str:
        """What it printed; "" where it was killed. Killed some time after its start, or after its first write."""
        is_boot = verb == "boot"
        command = [*self._command, *(["ota.boot"] if is_boot else ["ota", verb]), str(self.state), *words]
        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT), "CORELET_SLOT": self.running}
        before, began = self._times(), time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        name = verb + "".join(words[:1] if is_boot else ())
        if not self.is_calm and name in self._took_s and self.random.random() < 0.8:
            wait_s = self.random.random() * self._took_s[name]
            if self.random.random() < (0.8 if verb == "install" else 0.5):
                wait_s *= 0.1 if verb == "install" else 0.3  # most of its time goes before
                while process.poll() is None and self._times() == before:
                    time.sleep(0.0005)
            time.sleep(wait_s)
            process.kill()
        said, _ = process.communicate(timeout=60)
        if process.returncode < 0:
            self.landed[name] = self.landed.get(name, 0) + 1
            return ""
        self._took_s[name] = time.monotonic() - began
        return said.strip()

    def _times(self) -> list[int]:
        """When each file of the state was written last."""
        return [(self.state / name).stat().st_mtime_ns if (self.state / name).exists() else 0 for name in FILES]

    def judge(self) -> None:
        """Stage-0's choice, also after kills of it, is a whole signed release, not below the floor."""
        while not (line := self.run("boot")):
            pass
        what, offset, state, why, sequence, digest = line.split()
        assert what in SLOTS and int(offset) == PACK_OFFSET and why in ("confirmed", "trial", "trial_failed"), line
        data = (self.state / what).read_bytes()
        found = [digest for digest, made in self.made.items() if data[8:].startswith(made.envelope)]
        assert len(found) == 1, "no envelope that was signed"
        made = self.made[found[0]]
        assert (int(sequence), digest) == (made.sequence, found[0]), line
        assert data[PACK_OFFSET:].startswith(made.pack), "not the pack that was signed"
        assert made.sequence >= self.floor, "below the floor"
        if why == "trial":
            self.on_trial = found[0]
        else:
            assert found[0] in (self.confirmed or found[0], self.on_trial), "neither confirmed before nor on trial"
            self.confirmed, self.floor = found[0], max(self.floor, made.floor)
        assert (why == "trial") == (state == STATES[TRIAL]), line
        self.running = what

    def journal(self) -> Journal:
        found = Journal("journal")
        Disk(Folder(str(self.state))).run(found.load())
        return found

    def one(self) -> None:
        """One command, perhaps killed, as the state of the device wants it; then the next start."""
        journal, kills = self.journal(), self.kills
        if journal.state == TRIAL and journal.tries < 3:
            if self.random.random() < 0.2:
                self.run("boot", "--refund")
            self.run("confirm", *HEALTHY)
        else:
            other = journal.digests[journal.target].hex()
            made = self.made.get(other)
            if made and self.random.random() < 0.3:  # also below the floor: then it must be refused
                self.offer(other)
                self.run("rollback", other)
            else:
                self.update()
        self.torn += self.kills > kills and self.journal().state == 1
        self.judge()

    def offer(self, digest: str) -> None:
        self.source.allow(digest, newest=1 << 20)
        self.run("refresh", self.place)

    def update(self) -> str:
        """To a new release, as far as it may live; its digest."""
        wanted = self.release()
        self.offer(wanted)
        self.run("install", self.place)
        return wanted


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_kills_at_any_time(runtime: str, tmp_path: Path) -> None:
    is_full = os.environ.get("CORELET_FULL") == "1"
    victim = Victim(runtime, tmp_path)
    while victim.kills < (KILLS_FULL if is_full else KILLS):
        victim.one()
    print(
        f"{runtime}: {victim.kills} kills {victim.landed}, {victim.torn} left a release staged in part,"
        f" {victim.newest - 6} releases, floor {victim.floor}"
    )
    if is_full:
        assert victim.torn and min(victim.landed.get(verb, 0) for verb in ("install", "boot", "confirm")) > 10
    victim.is_calm = True
    while victim.journal().state == TRIAL:
        victim.one()
    wanted = victim.update()
    victim.judge()
    while victim.journal().state == TRIAL:
        victim.one()
    assert victim.confirmed == wanted, "an update no longer goes through"
