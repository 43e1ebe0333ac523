"""The back end that a board's settings name: made by `init`, opened by every command, brought up to date at a start.

PLACE of `init --backend NAME --place PLACE`, absolute:

    initramfs   the partition or preallocated file of both lines
    grub        the folder of corelet1.env and corelet2.env
    uboot       fw_env.config
    tryboot     autoboot.txt, with the partitions as they are now; the line is a file of the state folder

What is whole there stays. Settings: `backend`, and `places`, flat, three values for each.
"""

from ota import port, slots
from ota.backends import NAMES, follow
from ota.disk import Disk
from ota.errors import UsageError
from ota.slots import NONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ota.backends import Place, Slots

TEXT_BYTES_MAX = 4096


def restored(name: str, flat: "list[Any]") -> "Slots":
    module = port.load("ota.backends." + name)
    backend: Slots = module.Backend([(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3)])
    return backend


def make(options: "dict[str, str]", files: "Any", settings: "dict[str, Any]") -> None:
    name, place = options["--backend"], options.get("--place", "")
    if name not in NAMES or place[:1] != "/":
        text = f"expected --backend with one of {' '.join(NAMES)}, and --place with an absolute path"
        raise UsageError("usage", f"{text}, got {name} and {place or 'none'}")
    running = 1 if port.environment("CORELET_SLOT") == "b" else 0
    rows = _places(name, place, files, running)
    settings["backend"], settings["places"] = name, [value for row in rows for value in row]
    backend = restored(name, settings["places"])
    disk = Disk(files)
    disk.run(backend.load())
    if not backend.is_formatted:
        disk.run(backend.format(running))


def _places(name: str, place: str, files: "Any", running: int) -> "list[Place]":
    module = port.load("ota.backends." + name)
    if name == "grub":
        folder = port.Folder(place)
        for number in range(2):
            file = f"corelet{number + 1}.env"
            if not folder.exists(file):
                folder.make(file, module.BLOCK_BYTES)
    if name in ("grub", "initramfs"):
        return module.places(place)  # type: ignore[no-any-return]
    parent, _, file = place.rpartition("/")
    try:
        text = port.Folder(parent).small(file, TEXT_BYTES_MAX).decode()
    except ValueError:
        raise UsageError("place", f"expected text in {place}, got bytes that are none")
    if name == "uboot":
        rows: list[Place] = module.read_config(text)
        if rows[0][0][:1] + rows[1][0][:1] != "//":
            raise UsageError("place", f"expected absolute paths in {place}, got {rows[0][0]} and {rows[1][0]}")
        return rows
    good, other = module.read_autoboot(text)
    files.make("line", slots.JOURNAL_BYTES)
    lines: list[Place] = module.initramfs.places("line")
    return lines + [(place, other, good) if running else (place, good, other)]


def start(state: "Any") -> None:
    """Once at each start of an image, before its agent. Afterwards backend.reboot says whether to restart, and how."""
    backend, running = state.backend, state.running()
    if running == NONE:
        raise UsageError("restart", "expected CORELET_SLOT=a or b, what corelet.slot of the boot side says, got none")
    is_on_trial = state.disk.run(follow(state.journal, running))
    state.disk.run(slots.keep(state.journal, state.copy))
    if is_on_trial and running == backend.good and backend.REBOOT and backend.tries:
        state.disk.run(backend.charge())
        backend.reboot = backend.REBOOT
