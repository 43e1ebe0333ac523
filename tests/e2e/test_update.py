"""Updates of whole devices: the core orders, the device installs, tries and confirms by itself, or goes back. What
follows an order step by step, and each cut of it, is in test_follow.py."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.device import Device
from agent.errors import CoreletError, UsageError
from tests.e2e import needs
from tests.e2e.evil_source import EvilSource
from tests.e2e.network import Core, Network
from tests.e2e.whole_device import Releases, Whole
from tests.programs import ROOT, RUNTIMES, until

FULL = os.environ.get("CORELET_FULL") == "1"
CRASH = {"start": b"raise ValueError('crash')\n"}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    needs.program("micropython")
    with Network(tmp_path_factory.mktemp("update")) as made:
        yield made


@pytest.fixture(scope="module")
def core(network: Network) -> Core:
    return network.core(within=(sys.executable, str(ROOT / "tests" / "e2e" / "ordering_core.py")))


def test_a_device_that_stage_0_did_not_start() -> None:
    with pytest.raises(UsageError) as error:
        Device.update(SimpleNamespace(updates=None), "0123456789abcdef", {})  # type: ignore[arg-type]
    assert error.value.code == "updates_off"


class Story:
    """One device and its source; `allowed`: releases that the beacon has."""

    def __init__(self, whole: Whole, releases: Releases, place: str) -> None:
        self.whole, self.releases, self.place = whole, releases, place
        self.allowed: list[str] = []

    def offer(self, sequence: int, **changes: bytes) -> str:
        digest = self.releases.build(sequence, **changes)
        self.allowed.append(digest)
        self.releases.allow(*self.allowed)
        return digest

    def order(self, do: str, **words: str) -> None:
        assert self.whole.order(order=do, source=self.place, **words) == {"accepted": True}

    def refused(self, do: str = "install", **words: str) -> str:
        with pytest.raises(CoreletError) as error:
            self.whole.order(order=do, source=self.place, **words)
        return error.value.code

    def is_confirmed(self, slot: str, sequence: int) -> None:
        """Nobody but the device has said so."""
        self.whole.runs(slot, sequence)
        last = self.whole.said["result"]
        assert (last["do"], last["result"]) == ("confirm", "confirmed")
        assert f"release {sequence} of slot {slot}; core {self.whole.core.id}" in " ".join(
            self.whole.device.run("status").stdout.split()
        )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_updates_itself(network: Network, core: Core, tmp_path: Path, runtime: str) -> None:
    releases = Releases(tmp_path / "source", core)
    with EvilSource(releases.folder) as source, Whole(network, core, runtime) as whole:
        story = Story(whole, releases, source.place)
        whole.start()
        whole.pair()
        assert story.refused() == "not_the_updater", "the owner has named no core"
        whole.trust(releases.root)
        assert "expected no state of updates" in whole.device.refused("trust", str(releases.root), "--core", core.id)
        whole.runs("package", 1)
        two = story.offer(2)
        story.order("install")
        assert story.refused() == "busy" and story.refused("format") == "update"
        until("who follows it", lambda: whole.children("-m ota follow"))
        for pid in whole.children("-m ota follow"):
            os.kill(pid, signal.SIGKILL)
        story.is_confirmed("a", 2)
        if runtime == "cpython" or FULL:
            crashes_and_goes_back(story)
        if FULL:
            dies_on_trial(story)
            goes_back_by_order(story, two)


def crashes_and_goes_back(story: Story) -> None:
    whole = story.whole
    story.offer(3, **CRASH)
    story.order("install")
    until("three tries", lambda: "trial_failed" in whole.device.screen, 60)
    whole.runs("a", 2)
    assert whole.told()["bad"] == 3
    if not FULL:
        return
    story.order("install")
    until("its refusal", lambda: whole.said["result"]["reason"] == "failed_before", 30)


def dies_on_trial(story: Story) -> None:
    """SIGKILL of the agent costs a try, and no more."""
    whole = story.whole
    story.offer(4)
    story.order("install")
    until("the trial", lambda: "b 36864 trial trial 4" in whole.device.screen, 60)
    for pid in until("who runs it", lambda: whole.children("ota.mount")):
        os.kill(pid, signal.SIGKILL)
    story.is_confirmed("b", 4)


def goes_back_by_order(story: Story, digest: str) -> None:
    story.releases.allow(*story.allowed)
    story.order("rollback", digest=digest)
    story.is_confirmed("a", 2)
