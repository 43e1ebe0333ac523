"""A device in memory and a release for it; small enough for a heap of 128 KiB."""

from ota import cbor, content, install, manifest, verify
from ota.disk import Disk
from ota.errors import PortError
from ota.slots import NONE, Journal
from tests.unit.ota.making import CLASS, VENDOR, envelope, image_digest, sha256
from tests.unit.ota.making import manifest as make_manifest
from tests.unit.ota.packing import build, head_of

PACK = build()
SLOT_BYTES = content.PACK_OFFSET + 4096
NEEDS = cbor.encode({"cpython": [[3, 11], [4]], "some-library": [[2, 1], [3]]})
BOARD = install.Board(VENDOR, CLASS, SLOT_BYTES, ("cpython", [3, 11, 2]), lambda name: [2, 5])
QUIET = install.Situation(NONE, 1000, None, None)
LABELS = {"vendor": 1, "class_id": 2, "image": 3, "size": 14, "floor": -1, "head": -2, "needs": -3}


class MemoryFile:
    """Sparse: the slot's empty head costs nothing."""

    def __init__(self):
        self.pieces = {}

    def read(self, offset, length):
        made = bytearray(length)
        for start in self.pieces:
            data = self.pieces[start]
            low, high = max(start, offset), min(start + len(data), offset + length)
            if low < high:
                made[low - offset : high - offset] = data[low - start : high - start]
        return bytes(made)

    def write(self, offset, data):
        self.pieces[offset] = bytes(data)

    def flush(self):
        pass


class Folder:
    def __init__(self):
        self.files = {}

    def file(self, name):
        return self.files.setdefault(name, MemoryFile())


class Source:
    def __init__(self, data=PACK):
        self.data, self.asked = data, []

    def read(self, uri, start, length):
        """It has no deltas."""
        if uri[:7] == "deltas/":
            raise PortError("not_found", "expected a delta, got none")
        self.asked.append((uri, start, length))
        yield self.data[start : start + length]


class Device:
    def __init__(self, situation=QUIET, board=BOARD):
        self.situation, self.board = situation, board
        self.folder, self.source = Folder(), Source()
        self.disk = Disk(self.folder, [self.source])
        self.journal, self.copy = Journal("journal"), Journal("floor")

    def machine(self, data):
        return install.Install(self.journal, self.board, self.situation, release(data))

    def stage(self, data):
        self.disk.run(self.machine(data).stage(data))

    def confirm(self):
        self.disk.run(self.journal.charge())
        self.disk.run(install.confirm(self.journal, self.copy, self.journal.target))


def release(data):
    read = manifest.read_envelope(data)
    return verify.Release(read.digest, manifest.read_manifest(read), {}, [])


def parameters(**changes):
    made = {
        1: VENDOR, 2: CLASS, 3: image_digest(sha256(PACK)), 14: len(PACK), -2: sha256(head_of(PACK)), -3: NEEDS,
    }  # fmt: skip
    made.update({LABELS[name]: changes[name] for name in changes})
    return {label: made[label] for label in made if made[label] is not None}


def envelope_of(sequence=7, shared=(1, 15, 2, 15), install=None, members=None, **changes):
    """Unsigned, which is not asked here. `shared`: behind the parameters. `install`: instead of fetch and match."""
    sequences = {20: cbor.encode(install or [20, {21: "packs/7"}, 21, 2, 3, 15])}
    sequences.update(members or {})
    return envelope(make_manifest(sequence, [20, parameters(**changes)] + list(shared), sequences), ())
