"""Slot back ends by the commands of `-m ota`, on both interpreters: init, a release that is confirmed, one that fails.
Who else reads what they keep is for test_backends.py."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ota import cbor, client
from ota.backends import NAMES
from ota.backends.open import restored
from ota.disk import Disk
from ota.port import Folder
from tests.e2e.test_ota_install import HEALTHY, Device
from tests.programs import ROOT, RUNTIMES
from tests.releases import INIT, Source, program


class Image(Device):
    """A device whose boot side is this test: `slot` runs."""

    def __init__(self, runtime: str, folder: Path, releases: Source, options: "tuple[str, ...]") -> None:
        self.options = options
        super().__init__(runtime, folder, releases)
        self.running = "a"

    def run(self, verb: str, *words: str, status: int = 0) -> Any:
        return super().run(verb, *words, *(self.options if verb == "init" else ()), status=status)


def place_of(name: str, folder: Path) -> Path:
    if name == "uboot":
        blank(folder / "env", 0x4000)
        (folder / "fw_env.config").write_text(f"{folder}/env 0 0x2000\n{folder}/env 0x2000 0x2000\n")
        return folder / "fw_env.config"
    if name == "tryboot":
        (folder / "autoboot.txt").write_text("[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n")
        return folder / "autoboot.txt"
    return folder if name == "grub" else blank(folder / "place")


def blank(place: Path, length: int = 8192) -> Path:
    place.write_bytes(bytes(length))
    return place


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_release_by_commands(runtime: str, name: str, tmp_path: Path) -> None:
    """Begun, charged by the boot side, confirmed; then one that never comes up."""
    source = Source(tmp_path / "source")
    device = Image(runtime, tmp_path, source, ("--backend", name, "--place", str(place_of(name, tmp_path))))
    idle = {"name": name, "good": "a", "trial": None, "tries": 0, "reboot": ""}
    assert device.run("status")["backend"] == idle and device.run("boot")["active"] == "a"
    source.allow(source.release(7, program("seven")))
    device.run("refresh", str(source.folder))
    assert device.run("install", str(source.folder))["backend"] == idle | {"trial": "b", "tries": 3}
    _start(device)
    assert device.run("boot")["backend"] == idle | {"trial": "b", "tries": 2}
    found = device.run("confirm", *HEALTHY)
    assert (found["active"], found["backend"]) == ("b", idle | {"good": "b"})

    bad = source.release(8, program("eight"))
    source.allow(bad)
    device.run("refresh", str(source.folder))
    assert device.run("install", str(source.folder))["backend"]["trial"] == "a"
    for _ in range(3):
        _start(device)
        assert device.running == "a"
        device.running = "b"
    _start(device)
    assert device.running == "b"
    found = device.run("boot")
    assert (found["state"], found["bad"], found["backend"]) == ("idle", 8, idle | {"good": "b"})
    assert device.refused("install", str(source.folder)) == "failed_before"


def _start(device: Image) -> None:
    """What the boot side does; on a Raspberry Pi the image that runs says how to restart."""
    settings = cbor.decode((device.state / "settings").read_bytes(), (), 2)
    backend = restored(settings["backend"], settings["places"])
    disk = Disk(Folder(str(device.state)))
    if settings["backend"] == "tryboot":
        word = device.run("boot")["backend"]["reboot"]
        disk.run(backend.load())
        device.running = "ab"[1 - backend.good if word == "0 tryboot" else backend.good]
    else:
        disk.run(backend.load())
        device.running = "ab"[disk.run(backend.charge())]


def test_words_that_name_no_back_end(tmp_path: Path) -> None:
    root = str(Source(tmp_path / "source").folder / "roots" / "1")
    words = ["init", str(tmp_path / "state"), "--root", root, *INIT]
    for name, place in (("lilo", "/x"), ("grub", "boot"), ("initramfs", "")):
        found, status = client.run([*words, "--backend", name, "--place", place])
        assert status == 2 and found["reason"] == "usage"
    found, status = client.run([*words, "--backend", "uboot", "--place", str(tmp_path / "missing")])
    assert status == 1 and found["reason"] == "not_found"
    (tmp_path / "fw_env.config").write_text("env 0 0x2000\nenv 0x2000 0x2000\n")
    (tmp_path / "autoboot.txt").write_bytes(b"[all]\nboot_partition=2\n\xff")
    for name, place in (("uboot", "fw_env.config"), ("tryboot", "autoboot.txt")):
        found, status = client.run([*words, "--backend", name, "--place", str(tmp_path / place)])
        assert status == 1 and found["reason"] == "place", found
    assert not (tmp_path / "state" / "settings").exists()


def test_only_what_the_settings_name_is_loaded(tmp_path: Path) -> None:
    """A board without a back end pays nothing for them."""
    root = str(Source(tmp_path / "source").folder / "roots" / "1")
    script = (
        "import sys; from ota import client; "
        f"client.run(['init', '{tmp_path}/state', '--root', '{root}', *{list(INIT)}]); "
        f"client.run(['status', '{tmp_path}/state']); "
        "print([name for name in sys.modules if 'backends' in name])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
