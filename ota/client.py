"""The commands over a state folder, one line of JSON each; `python -m ota` and `micropython -m ota`.

    init STATE --root FILE --vendor HEX --class HEX [--core KEYFILE] [--device NAME] [--slot-bytes N]
               [--backend NAME --place PATH]      of ota/backends: the boot side chooses the slot and counts the tries
    refresh STATE SOURCE ...          newer roots and the beacon; what the core aborted before it ran is given up
    install STATE SOURCE ... [--release FILE] [--approval FILE]    what the beacon allows; FILE: where none is needed
    boot STATE [--package N]          what to run now; takes a try from a release on trial
    confirm STATE --healthy-s N [--core-reached]    the release on trial was healthy for N seconds
    rollback STATE DIGEST [--approval FILE]         the release in the other slot, without a download
    follow STATE                      what the agent ordered (ota/follow.py), as stage-0 does
    status STATE

SOURCE: a folder or http:// (ota/source.py), or several, also with commas: what one of them has not, has wrong or is too
slow with, comes from the next. `by_delta` and `in_full`: bytes that install fetched. Status 0: done; 1: refused, with
`reason` and `text`; 2: wrong words.
CORELET_SLOT says which slot's code runs, as stage-0 (or the boot side) has it, CORELET_PACKAGE the package's sequence.
One at a time on a state, but for `status`. Files of STATE: `settings`, `root`, `core` (its public key), `beacon`
([start of the system, seconds then, document]), of ota/slots.py `journal`, `floor`, `a`, `b`; and `order`, `result`.
"""

from ota import boot, cbor, content, founding, install, port, slots, trust, verify
from ota.disk import Disk
from ota.errors import CoreletError, LimitError, UsageError
from ota.keys import KEY_BYTES_MAX, read_key
from ota.manifest import ENVELOPE_BYTES_MAX
from ota.slots import NONE, SLOTS, STATES, Journal
from ota.sources import Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIRM_S = 120  # unless CORELET_HEALTHY_S says otherwise

COMMANDS = {  # how many places; below 0: at least so many
    "init": (1, ("--root", "--vendor", "--class", "--core", "--device", "--slot-bytes", "--backend", "--place")),
    "refresh": (-2, ()),
    "install": (-2, ("--release", "--approval")),
    "boot": (1, ("--package",)),
    "confirm": (1, ("--healthy-s",)),
    "rollback": (2, ("--approval",)),
    "follow": (1, ()),
    "status": (1, ()),
}
FLAGS = ("--core-reached",)


def run(words: "list[str]") -> "tuple[dict[str, Any], int]":
    """(what to print, exit status)."""
    try:
        places, options = _arguments(words)
        if words[0] == "init":
            return _init(places[0], options), 0
        if not port.Folder(places[0]).exists("settings"):
            text = f"expected the state of updates in {places[0]}, got none; make it with init"
            raise UsageError("state_missing", text)
        if words[0] == "status":
            return _shown(State(places[0]), "ok"), 0
        held = port.hold(places[0] + "/settings")
        try:
            if words[0] == "follow":
                from ota import follow  # here, because that needs this module

                return follow.follow(places[0])
            return CALLS[words[0]](State(places[0]), places[1:], options)
        finally:
            held.close()
    except CoreletError as error:
        found = {"result": "refused", "reason": error.code, "text": error.text}
        return found, 2 if isinstance(error, UsageError) and error.code == "usage" else 1


def _arguments(words: "list[str]") -> "tuple[list[str], dict[str, str]]":
    count, names = COMMANDS[words[0]]
    places: list[str] = []
    options: dict[str, str] = {}
    rest = words[1:]
    while rest:
        word, *rest = rest
        if word in FLAGS and words[0] == "confirm":
            options[word] = "yes"
        elif word in names and rest and word not in options:
            options[word], *rest = rest
        elif word.startswith("--"):
            raise UsageError("usage", f"expected {words[0]} with {' '.join(names) or 'no options'}, got {word}")
        else:
            places.append(word)
    if len(places) != count and (count > 0 or len(places) < -count):
        raise UsageError("usage", f"expected {abs(count)} places after {words[0]}, got {len(places)}")
    return places, options


def _number(options: "dict[str, str]", name: str, default: "int | None") -> "Any":
    text = options.get(name)
    if text is None:
        return default
    if not text.isdigit() or len(text) > 19:
        raise UsageError("usage", f"expected a number after {name}, got {text}")
    return int(text)


def read_file(path: str, bytes_max: int) -> bytes:
    folder, _, name = path.rpartition("/")
    return port.Folder(folder or ("/" if path[:1] == "/" else ".")).small(name, bytes_max)


class State:
    """All that a device remembers of updates."""

    def __init__(self, path: str) -> None:
        self.files = port.Folder(path)
        self.settings = cbor.decode(self.files.small("settings", 4096), (), 2)
        self.root = trust.held_root(self.files.small("root", trust.DOCUMENT_BYTES_MAX))
        name = self.settings.get("backend", "")
        self.backend = port.load("ota.backends.open").restored(name, self.settings["places"]) if name else None
        self.journal, self.copy = Journal("journal", self.backend), Journal("floor")
        self.disk = Disk(self.files)
        self.disk.run(slots.load(self.journal, self.copy))
        self.beacon: trust.Beacon | None = None
        self.beacon_document, self.beacon_age_s = b"", 0
        if self.files.exists("beacon"):
            self._read_beacon()

    def _read_beacon(self) -> None:
        start, then, self.beacon_document = cbor.decode(self.files.small("beacon", 65536), (), 1)
        self.beacon = trust.held_beacon(self.beacon_document)
        now = port.uptime()
        self.beacon_age_s = now[1] - then if now[0] == start else trust.SECONDS_MAX  # since a restart nobody knows

    def judge_beacon(self, document: bytes, floor: int) -> "trust.Beacon":
        public = self.files.small("core", KEY_BYTES_MAX)
        return trust.read_beacon(public, document, self.settings["device"], floor)

    def running(self) -> int:
        name = port.environment("CORELET_SLOT")
        return SLOTS.index(name) if name in SLOTS else NONE

    def sequence(self) -> int:
        """Of what is confirmed, or came with the package."""
        package = port.environment("CORELET_PACKAGE")
        found = int(package) if package.isdigit() else 0
        active = self.journal.active
        manifest = None if active == NONE else self.held(active)
        return found if manifest is None else max(found, manifest.sequence)

    def held(self, slot: int) -> "Any":
        return self.disk.run(content.read(SLOTS[slot], self.journal.digests[slot]))

    def install(self, release: "verify.Release") -> "install.Install":
        settings = self.settings
        board = install.Board(
            settings["vendor"], settings["class"], settings["slot_bytes"], port.interpreter(), port.package
        )
        is_fresh = self.beacon is not None and self.beacon_age_s <= self.root.beacon_age_max_s
        time = self.beacon.time + self.beacon_age_s if self.beacon and is_fresh else None
        situation = install.Situation(self.running(), time, port.free_bytes(), port.power_percent())
        return install.Install(self.journal, board, situation, release)

    def read_release(self, data: bytes) -> "verify.Release":
        threshold, publics = self.root.roles[trust.RELEASE]
        return verify.read_release(data, threshold, publics)

    def admit(self, release: "verify.Release", sequence: int, approval: "bytes | None") -> None:
        device = verify.Device(self.journal.floor, sequence, self.settings["class"], self.beacon_age_s)
        proven = trust.read_approval(self.root, approval) if approval else None
        verify.admit(release, self.root, device, self.beacon, proven)


def _init(path: str, options: "dict[str, str]") -> "dict[str, Any]":
    for name in ("--root", "--vendor", "--class"):
        if name not in options:
            raise UsageError("usage", f"expected init with {name}, got none")
    root = read_file(options["--root"], trust.DOCUMENT_BYTES_MAX)
    size = _number(options, "--slot-bytes", founding.SLOT_BYTES)
    settings: dict[str, Any] = {"slot_bytes": size, "device": options.get("--device", "")}
    for name in ("vendor", "class"):
        try:
            settings[name] = bytes.fromhex(options["--" + name])
        except ValueError:
            settings[name] = b""
        if len(settings[name]) != 16:
            raise UsageError("usage", f"expected 32 hex digits after --{name}, got others")
    public = read_key(read_file(options["--core"], KEY_BYTES_MAX)) if "--core" in options else b""
    opened = port.load("ota.backends.open") if "--backend" in options else None
    prepare = opened and (lambda files, made: opened.make(options, files, made))
    version = founding.make(path, root, public, settings, prepare)
    return {"result": "made", "root": version, "slot_bytes": settings["slot_bytes"]}


def _refresh(state: State, places: "list[str]", options: "dict[str, str]") -> "tuple[dict[str, Any], int]":
    result = Sources(places).refresh(state)
    aborted = state.beacon.aborted if state.beacon else []
    if state.disk.run(install.call_off(state.journal, aborted)):
        result = "called_off"
    return _shown(state, result), 0


def _install(state: State, places: "list[str]", options: "dict[str, str]") -> "tuple[dict[str, Any], int]":
    sources = Sources(places)
    if "--release" in options:
        envelope = read_file(options["--release"], ENVELOPE_BYTES_MAX)
        release = state.read_release(envelope)
    else:
        envelope, release = sources.newest(state)
    if release.digest == state.journal.digests[1 - state.journal.target]:
        return _shown(state, "current"), 0
    if "--approval" in options:
        state.admit(release, state.sequence(), _approval(options))
    else:
        sources.admit(state, release, state.sequence())
    state.disk.sources = sources.all
    state.disk.run(state.install(release).stage(envelope, len(sources.all)))
    found = _shown(state, "staged")
    found["in_full"], found["by_delta"] = state.disk.came
    return found, 0


def _approval(options: "dict[str, str]") -> "bytes | None":
    return read_file(options["--approval"], trust.DOCUMENT_BYTES_MAX) if "--approval" in options else None


def _boot(state: State, places: "list[str]", options: "dict[str, str]") -> "tuple[dict[str, Any], int]":
    if state.backend:
        return port.load("ota.backends.open").start(state) or _shown(state, "run"), 0
    choice, state.journal = boot.boot(state.files, _number(options, "--package", None))
    found = _shown(state, "run")
    found["run"], found["why"], found["sequence"] = choice.what, choice.why, choice.sequence
    found["file"], found["offset"] = f"{state.files.path}/{choice.what}", content.PACK_OFFSET
    return found, 1 if choice.what == boot.NOTHING else 0


def _confirm(state: State, places: "list[str]", options: "dict[str, str]") -> "tuple[dict[str, Any], int]":
    healthy_s = _number(options, "--healthy-s", 0)
    least_s = int(port.environment("CORELET_HEALTHY_S") or CONFIRM_S)
    if healthy_s < least_s:
        raise LimitError("health", f"expected {least_s} healthy seconds (--healthy-s), got {healthy_s}")
    if "--core-reached" not in options and not state.root.offline_ok:
        raise LimitError("health", "expected the core to be reached (--core-reached), got a device that is offline")
    state.disk.run(install.confirm(state.journal, state.copy, state.running()))
    return _shown(state, "confirmed"), 0


def _rollback(state: State, places: "list[str]", options: "dict[str, str]") -> "tuple[dict[str, Any], int]":
    slot = state.journal.target
    if places[0] != state.journal.digests[slot].hex() or (manifest := state.held(slot)) is None:
        raise UsageError("not_here", "expected the digest of the release in the other slot (see status), got another")
    release = verify.Release(state.journal.digests[slot], manifest, {}, [])
    if len(places) > 1:
        Sources(places[1:]).admit(state, release, 0)
    else:
        state.admit(release, 0, _approval(options))
    state.disk.run(state.install(release).rollback())
    return _shown(state, "staged"), 0


CALLS = {"refresh": _refresh, "install": _install, "boot": _boot, "confirm": _confirm, "rollback": _rollback}


def _shown(state: State, result: str) -> "dict[str, Any]":
    journal, beacon = state.journal, state.beacon
    found: dict[str, Any] = {
        "result": result, "state": STATES[journal.state], "tries": journal.tries, "floor": journal.floor,
        "bad": journal.bad, "active": SLOTS[journal.active] if journal.active != NONE else None, "slots": {},
        "root": state.root.version, "beacon": None, "backend": state.backend and state.backend.shown(),
    }  # fmt: skip
    for slot in range(2):
        manifest = state.held(slot)
        if manifest is not None:
            found["slots"][SLOTS[slot]] = {"digest": journal.digests[slot], "sequence": manifest.sequence}
    if beacon is not None:
        age = None if state.beacon_age_s == trust.SECONDS_MAX else state.beacon_age_s
        is_stale = state.beacon_age_s > state.root.beacon_age_max_s
        found["beacon"] = {"time": beacon.time, "newest": beacon.newest, "age_s": age, "is_stale": is_stale}
    return found
