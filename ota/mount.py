"""A process that runs a pack: `python -m ota.mount FILE OFFSET MODULE ARGUMENTS...`, MODULE's `main()` its status.

What the pack at OFFSET of FILE has is imported from it: this process forgets its own `ota`, which stage-0 brought,
before the pack's comes. CPython finds modules by a finder, MicroPython by a file system at PLACE (ota/port). The pack
was proven before (ota/boot.py); nothing here is checked again.
"""

import sys

from ota import port
from ota.pack import PREFIX_BYTES, Pack, read_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class Store:
    """The files of one pack."""

    def __init__(self, file: "BinaryIO", offset: int) -> None:
        self.file, self.offset = file, offset
        head_bytes, _ = read_prefix(self.read(0, PREFIX_BYTES))
        self.pack = Pack(self.read(0, head_bytes))
        self.pack.forget()

    def read(self, start: int, length: int) -> bytes:
        self.file.seek(self.offset + start)
        return self.file.read(length)

    def source(self, path: str) -> bytes:
        """What a file of the pack holds."""
        found = self.pack.find(path)
        return self.read(found[0], found[1]) if found else b""


def main() -> int:
    port.begin()
    name, offset, module = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    port.mount(Store(open(name, "rb"), offset))  # noqa: SIM115 (as long as the process)
    load = port.load
    for one in [one for one in sys.modules if one == "ota" or one.startswith("ota.")]:
        del sys.modules[one]
    sys.argv[:] = [module] + sys.argv[4:]
    status: int = load(module).main()
    return status


if __name__ == "__main__":
    sys.exit(main())
