"""Slot back ends against who really reads and writes what they keep: busybox (initramfs.sh), grub-editenv and GRUB's
own parser, fw_printenv and fw_setenv.

Where grub-emu is installed, GRUB itself runs grub.cfg over a disk (it is not among what tools/environment brings).
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ota.backends import Slots, grub, initramfs, uboot
from ota.disk import Disk
from ota.port import Folder
from ota.slots import NONE
from tests.e2e import needs
from tests.programs import ROOT

HERE = ROOT / "ota" / "backends"
# (good, trial, tries) that a boot side may find.
STATES = [
    (good, trial, tries) for good in (0, 1) for trial, tries in ((NONE, 0), (1 - good, 3), (1 - good, 1), (1 - good, 0))
]


def kept(backend: Slots, state: "tuple[int, int, int]") -> Slots:
    """In the files of `backend`, as begin and charge make it."""
    good, trial, tries = state
    disk = Disk(Folder("/"))
    disk.run(backend.format(good))
    if trial != NONE:
        disk.run(backend.begin(trial, max(tries, 1)))
        if not tries:
            disk.run(backend.charge())
    return backend


def charged(backend: Slots) -> "tuple[int, tuple[int, int, int]]":
    """What the machine does in place of the boot side: the slot that runs, and the state that it leaves."""
    disk = Disk(Folder("/"))
    disk.run(backend.load())
    slot = disk.run(backend.charge())
    return slot, (backend.good, backend.trial, backend.tries)


def loaded(backend: Slots) -> "tuple[int, int, int]":
    Disk(Folder("/")).run(backend.load())
    return backend.good, backend.trial, backend.tries


# ---- initramfs


@pytest.fixture(params=["busybox", "sh"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Runs initramfs.sh on a file; (what it printed, what it complained)."""
    environment = dict(os.environ)
    words = ["sh"]
    if request.param == "busybox":  # nothing but busybox, as in an initramfs
        busybox = needs.program("busybox")
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in ("sh", "dd", "tr", "sha256sum"):
            (folder / name).symlink_to(busybox)
        environment = {"PATH": str(folder)}
        words = [busybox, "sh"]

    def run(place: Path) -> "tuple[str, str]":
        done = subprocess.run(
            [*words, str(HERE / "initramfs.sh"), str(place)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip(), done.stderr

    yield run


def line_of(place: Path) -> initramfs.Backend:
    return initramfs.Backend(initramfs.places(str(place)))


def blank(place: Path, length: int = 8192) -> Path:
    place.write_bytes(bytes(length))
    return place


@pytest.mark.parametrize("state", STATES)
def test_the_shell_does_what_the_machine_does(shell: Any, tmp_path: Path, state: "tuple[int, int, int]") -> None:
    ours, theirs = blank(tmp_path / "ours"), tmp_path / "theirs"
    kept(line_of(ours), state)
    shutil.copy(ours, theirs)
    for _ in range(5):
        slot, after = charged(line_of(ours))
        assert shell(theirs) == ("ab"[slot], "")
        assert theirs.read_bytes() == ours.read_bytes()
        assert loaded(line_of(theirs)) == after


def test_the_shell_believes_only_a_whole_line(shell: Any, tmp_path: Path) -> None:
    place = blank(tmp_path / "place")
    kept(line_of(place), (1, 0, 2))
    newest = line_of(place)
    loaded(newest)
    data, start = place.read_bytes(), 4096 * newest._newest
    for at in [*range(0, 64, 3), 63]:
        changed = bytearray(data)
        changed[start + at] ^= 0x11
        place.write_bytes(changed)
        assert loaded(line_of(place)) == (1, NONE, 0), at
        assert shell(place) == ("b", ""), at
        assert place.read_bytes() == changed


NOTHING = {"empty": b"", "zeros": bytes(8192), "ones": b"\xff" * 8192, "shell": b"* ? $(echo b) `x` %s\\n\n" * 400}


@pytest.mark.parametrize("data", NOTHING.values(), ids=list(NOTHING))
def test_the_shell_starts_slot_a_where_nothing_is_whole(shell: Any, tmp_path: Path, data: bytes) -> None:
    place = tmp_path / "place"
    place.write_bytes(data)
    slot, complaint = shell(place)
    assert slot == "a" and "found none that is whole" in complaint and place.read_bytes() == data
    assert "slot a runs" in shell(tmp_path / "missing")[1]


def test_the_shell_runs_the_good_slot_where_it_cannot_charge(tmp_path: Path) -> None:
    busybox, place, program = needs.program("busybox"), blank(tmp_path / "place"), tmp_path / "dd"
    kept(line_of(place), (0, 1, 3))
    before = place.read_bytes()
    program.write_text(f'#!{busybox} sh\ncase "$*" in *of=*) exit 1 ;; esac\nexec {busybox} dd "$@"\n')
    program.chmod(0o755)
    for name in ("tr", "sha256sum"):
        (tmp_path / name).symlink_to(busybox)
    words = [busybox, "sh", str(HERE / "initramfs.sh"), str(place)]
    done = subprocess.run(words, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout == "a\n" and "could not; the good slot runs" in done.stderr and place.read_bytes() == before


# ---- GRUB


def blocks(folder: Path) -> grub.Backend:
    return grub.Backend(grub.places(str(folder)))


def listed(file: Path) -> "dict[str, str]":
    words = [needs.program("grub-editenv", "grub-common"), str(file), "list"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return dict([line.split("=", 1) for line in text.splitlines()])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    blank(tmp_path / "corelet1.env", 1024)
    blank(tmp_path / "corelet2.env", 1024)
    return tmp_path


@pytest.mark.parametrize("state", STATES)
def test_grub_editenv_reads_our_blocks(folder: Path, state: "tuple[int, int, int]") -> None:
    backend = kept(blocks(folder), state)
    found = listed(folder / f"corelet{backend._newest + 1}.env")
    good, trial, tries = "ab"[state[0]], "-" if state[1] == NONE else "ab"[state[1]], state[2]
    check = f"{backend.generation}/{good}/{trial}/{tries}"
    assert found == {
        "corelet_generation": str(backend.generation), "corelet_good": good, "corelet_trial": trial,
        "corelet_tries": str(tries), "corelet_check": check,
    }  # fmt: skip


def test_we_read_what_grub_editenv_wrote(folder: Path) -> None:
    """As GRUB charges: two variables of the same length, in place. The same bytes."""
    backend = kept(blocks(folder), (0, 1, 3))
    file = folder / f"corelet{backend._newest + 1}.env"
    grubs = folder / "grubs.env"
    shutil.copy(file, grubs)
    words = ["corelet_tries=2", f"corelet_check={backend.generation}/a/b/2"]
    subprocess.run([needs.program("grub-editenv", "grub-common"), str(grubs), "set", *words], check=True)
    assert charged(blocks(folder)) == (1, (0, 1, 2))
    assert file.read_bytes() == grubs.read_bytes()


def test_a_block_that_grub_editenv_made_from_nothing(folder: Path) -> None:
    """Its first line of comment is longer than ours."""
    editenv, file = needs.program("grub-editenv", "grub-common"), str(folder / "corelet2.env")
    subprocess.run([editenv, file, "create"], check=True)
    words = ["corelet_generation=9", "corelet_good=b", "corelet_trial=-", "corelet_tries=0", "corelet_check=9/b/-/0"]
    subprocess.run([editenv, file, "set", *words], check=True)
    assert loaded(blocks(folder)) == (1, NONE, 0)


def test_grub_accepts_the_script() -> None:
    subprocess.run([needs.program("grub-script-check", "grub-common"), str(HERE / "grub.cfg")], check=True)


def where_grub_runs(test: Any) -> Any:
    """None, and so no test, where there is no grub-emu."""
    return test if shutil.which("grub-emu") else None


class Grub:
    """GRUB as a process, over a disk with a file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.disk, self.home = folder, folder / "disk", folder / "home"
        self.emulator = shutil.which("grub-emu") or ""
        self.home.mkdir()
        modules = os.environ.get("GRUB_EMU_MODULES", f"/usr/lib/grub/{os.uname().machine}-emu")
        (self.home / f"{os.uname().machine}-emu").symlink_to(modules)
        lines = ["set corelet_folder=(hd0)", (HERE / "grub.cfg").read_text(), 'echo "RUNS=$corelet_slot="', "halt"]
        (self.home / "grub.cfg").write_text("\n".join(lines))
        (folder / "map").write_text(f"(hd0) {self.disk}\n")

    def format(self) -> None:
        root = self.folder / "root"
        root.mkdir()
        for number in (1, 2):
            shutil.copy(self.folder / f"corelet{number}.env", root)
        blank(self.disk, 1 << 20)
        subprocess.run(
            [needs.program("mke2fs", "e2fsprogs"), "-q", "-t", "ext2", "-d", str(root), str(self.disk)], check=True
        )

    def start(self) -> str:
        words = [self.emulator, "-m", str(self.folder / "map"), "-d", str(self.home)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        return done.stdout.decode("latin-1").split("RUNS=")[1].split("=")[0]

    def files(self) -> "list[bytes]":
        debugfs = needs.program("debugfs", "e2fsprogs")
        return [
            subprocess.run(
                [debugfs, "-R", f"cat corelet{n}.env", str(self.disk)], capture_output=True, check=True
            ).stdout
            for n in (1, 2)
        ]


@where_grub_runs
@pytest.mark.parametrize("state", STATES)
def test_grub_does_what_the_machine_does(folder: Path, state: "tuple[int, int, int]") -> None:
    machine = Grub(folder)
    kept(blocks(folder), state)
    machine.format()
    for _ in range(5):
        slot, _ = charged(blocks(folder))
        assert machine.start() == "ab"[slot]
        assert machine.files() == [(folder / f"corelet{n}.env").read_bytes() for n in (1, 2)]


@where_grub_runs
@pytest.mark.parametrize("place", [30, 60, 90, 120, 150, "good=b", "tries=2"])
def test_grub_believes_only_a_whole_block(folder: Path, place: "int | str") -> None:
    """Garbage from a place on, or one letter that is another: it is as if the block were not there."""
    machine = Grub(folder)
    newest = kept(blocks(folder), (1, 0, 2))._newest
    file = folder / f"corelet{newest + 1}.env"
    data = bytearray(file.read_bytes())
    if isinstance(place, int):
        data[place:512] = bytes([165]) * (512 - place)
    else:
        data[data.index(place.encode()) + len(place) - 1] ^= 3
    file.write_bytes(data)
    machine.format()
    assert machine.start() == "b" == "ab"[charged(blocks(folder))[0]]


# ---- U-Boot


class Environment:
    """A file with both copies and its fw_env.config, as the tools of U-Boot have it."""

    def __init__(self, folder: Path, size: int, first: int, second: int) -> None:
        self.file, self.config = folder / "env", folder / "fw_env.config"
        blank(self.file, max(first, second) + size)
        self.config.write_text(
            f"# device offset size\n{self.file} {first:#x} {size:#x}\n{self.file} {second:#x} {size:#x}\n"
        )

    def backend(self) -> uboot.Backend:
        return uboot.Backend(uboot.read_config(self.config.read_text()))

    def print(self) -> "dict[str, str]":
        words = [needs.program("fw_printenv", "libubootenv-tool"), "-c", str(self.config)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict([line.split("=", 1) for line in done.stdout.splitlines()])

    def set(self, **values: str) -> None:
        for name, value in values.items():
            words = [needs.program("fw_setenv", "libubootenv-tool"), "-c", str(self.config), name, value]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


@pytest.fixture(params=[(0x4000, 0, 0x4000), (0x2000, 0x9000, 0x1000), (0x20000, 0x100, 0x30000)], ids=str)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Environment:
    return Environment(tmp_path, *request.param)


def test_fw_printenv_reads_ours(environment: Environment) -> None:
    kept(environment.backend(), (1, 0, 3))
    assert environment.print() == {
        "corelet_good": "b", "corelet_slot": "a", "upgrade_available": "1", "bootcount": "0", "bootlimit": "3",
        "altbootcmd": "setenv corelet_slot ${corelet_good}; run bootcmd",
    }  # fmt: skip


def test_we_read_what_fw_setenv_wrote_and_keep_what_is_not_ours(environment: Environment) -> None:
    kept(environment.backend(), (0, 1, 3))
    for count in range(1, 6):  # as U-Boot does at each start, whose variables these are
        environment.set(bootcount=str(count), ethaddr=f"02:00:00:00:00:0{count}")
        assert loaded(environment.backend()) == (0, 1, max(3 - count, 0))
    backend = environment.backend()
    disk = Disk(Folder("/"))
    disk.run(backend.load())
    disk.run(backend.confirm())
    found = environment.print()
    assert found["ethaddr"] == "02:00:00:00:00:05" and found["corelet_good"] == found["corelet_slot"] == "b"
    assert found["upgrade_available"] == found["bootcount"] == "0"


@pytest.mark.parametrize(
    "flags", [(254, 255), (255, 0), (0, 255), (0, 1), (1, 0), (255, 254), (7, 7), (0, 254), (3, 200)]
)
def test_both_take_the_same_copy_for_the_newer_one(environment: Environment, flags: "tuple[int, int]") -> None:
    """Also where the flag begins anew; and the next change goes on from there."""
    backend = kept(environment.backend(), (0, NONE, 0))
    data = bytearray(environment.file.read_bytes())
    Disk(Folder("/")).run(backend.begin(1))  # now the copies differ
    changed = bytearray(environment.file.read_bytes())
    assert data != changed
    for (_, offset, _), flag in zip(backend.places, flags, strict=True):
        changed[offset + 4] = flag  # which the sum does not cover
    environment.file.write_bytes(changed)
    ours = environment.backend()
    slot = "a" if loaded(ours)[1] == NONE else "b"
    assert environment.print()["corelet_slot"] == slot
    environment.set(turn="1")
    assert dict(_variables(environment))[b"turn"] == b"1"


def _variables(environment: Environment) -> "list[tuple[bytes, bytes]]":
    backend = environment.backend()
    loaded(backend)
    return backend._variables


def test_a_torn_copy_is_the_other_one_for_both(environment: Environment) -> None:
    backend = kept(environment.backend(), (0, 1, 3))
    file, offset, size = backend.places[backend._newest]
    with open(file, "r+b") as torn:
        torn.seek(offset + 200)
        torn.write(b"\xa5" * (size - 200))
    assert loaded(environment.backend()) == (0, NONE, 0)
    assert environment.print()["upgrade_available"] == "0"
