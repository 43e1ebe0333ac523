"""Does what the machines of slots.py, install.py and boot.py ask for: on the files of a state folder, from a source.
Bulk goes from source to slot, and from slot to hash, PIECE_BYTES at a time.

`files`: port.Folder, or in tests a simulated flash. `source`: of ota/source.py. PortError from both; an error ends the
machine, whose journal says how to go on.
"""

import hashlib

from ota.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ota.slots import Effect, Steps

PIECE_BYTES = 4096


class Disk:
    def __init__(self, files: "Any", source: "Any" = None) -> None:
        self.files = files
        self.source = source

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
        if kind != "fetch" or self.source is None:
            raise UsageError("effect", f"expected something that can be done here, got {kind}")
        for piece in self.source.read(*value):
            file.write(offset, piece)
            offset += len(piece)
        return None


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
