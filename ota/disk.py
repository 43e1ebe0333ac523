"""Does what the machines of slots.py, install.py and boot.py ask for: on the files of a state folder, from a source.
Bulk goes from source to slot, and from slot to hash, PIECE_BYTES at a time.

`files`: port.Folder, or in tests a simulated flash. `sources`: of ota/source.py. What goes wrong with a source is told
to the machine, which knows others. Any other error (PortError) ends it, and its journal says how to go on.
"""

import hashlib

from ota.errors import CoreletError, UsageError
from ota.pack import DELTA_PREFIX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ota.slots import Effect, Steps

PIECE_BYTES = 4096


class Disk:
    """`came`: bytes that the sources sent, in full and by delta."""

    def __init__(self, files: "Any", sources: "Any" = ()) -> None:
        self.files, self.sources = files, sources
        self.came = [0, 0]
        self._patch: Any = None

    def run(self, steps: "Steps") -> "Any":
        """All of a machine; what it returns."""
        sent = None
        while True:
            try:
                effect = steps.send(sent)
            except StopIteration as end:
                return end.value
            sent = self._do(effect)

    def _do(self, effect: "Effect") -> "Any":
        kind, name, offset, value = effect
        if kind == "replace":
            return self.files.replace(name, value)
        file = self.files.file(name)
        if kind == "read":
            return file.read(offset, value)
        if kind == "write":
            return file.write(offset, value)
        if kind == "flush":
            return file.flush()
        if kind == "hash":
            return _hash(file, offset, value)
        if kind not in ("fetch", "delta", "patch"):
            raise UsageError("effect", f"expected something that can be done here, got {kind}")
        try:
            return self._bring(kind, file, offset, value)
        except CoreletError as error:
            if error.code == "disk_full":  # of the slot: no other source helps
                raise
            return error

    def _bring(self, kind: str, file: "Any", offset: int, value: "Any") -> "Any":
        if kind == "fetch":
            which, uri, start, length = value
            for piece in self._read(0, which, uri, start, length):
                file.write(offset, piece)
                offset += len(piece)
        elif kind == "delta":
            which, uri = value
            prefix = b"".join(self._read(1, which, uri, 0, DELTA_PREFIX_BYTES))
            from ota.patch import Patch  # here: who finds no delta needs no room for it in a small heap

            self._patch = Patch(prefix, lambda start, length: self._read(1, which, uri, start, length), file, offset)
            return self._patch.delta
        else:
            self._patch.apply(file, offset, *value)
        return None

    def _read(self, way: int, which: int, uri: str, start: int, length: int) -> "Iterator[bytes]":
        for piece in self.sources[which].read(uri, start, length):
            self.came[way] += len(piece)
            yield piece


def _hash(file: "Any", offset: int, length: int) -> bytes:
    hashed = hashlib.sha256()
    while length:
        piece = file.read(offset, min(length, PIECE_BYTES))
        if not piece:  # the file ends: another digest than that of all
            break
        hashed.update(piece)
        offset += len(piece)
        length -= len(piece)
    return hashed.digest()
