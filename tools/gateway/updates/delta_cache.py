"""Deltas between packs of this core's releases, made when one is asked for, in a process of its own at low priority.

`python -m tools.gateway.updates.delta_cache BASE TARGET FILE` is that process: the encoder takes seconds and some 60
MB, which the core's loop and memory have no room for. Whoever asks waits WAIT_S; then there is none this time, and the
device takes the whole pack, or asks again later.

Bounds: FILES_MAX and BYTES_MAX in the cache, the one that was not used for longest goes first; one is made at a time,
WAITING_MAX wait; one that is no smaller than its pack is not kept, and not tried again before the next start.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path

from tools.gateway.deltas import encode
from tools.gateway.private import write_private

FILES_MAX = 256
BYTES_MAX = 64 << 20
WAITING_MAX = 8
USELESS_MAX = 1024
WAIT_S = 10.0
MAKE_S_MAX = 300.0

LOG = logging.getLogger("corelet.updates")
TOP = Path(__file__).parents[3]


class DeltaCache:
    def __init__(self, folder: Path) -> None:
        self.made = 0
        self._folder = folder
        self._making: dict[str, asyncio.Task[None]] = {}
        self._useless: set[str] = set()
        self._one = asyncio.Semaphore(1)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob("*.new"):
            path.unlink()

    async def find(self, name: str, base: Path, target: Path) -> Path | None:
        """None: there is none (now). `name`: TARGET-BASE, hex."""
        path = self._folder / name
        if not path.exists():
            if name in self._useless or (name not in self._making and len(self._making) >= WAITING_MAX):
                return None
            if name not in self._making:
                self._making[name] = asyncio.create_task(self._make(name, base, target))
            await asyncio.wait({self._making[name]}, timeout=WAIT_S)
        if not path.exists():
            return None
        os.utime(path)
        return path

    async def _make(self, name: str, base: Path, target: Path) -> None:
        path = self._folder / name
        try:
            async with self._one:
                command = [sys.executable, "-m", __spec__.name, str(base), str(target), str(path)]
                process = await asyncio.create_subprocess_exec(*command, cwd=TOP)
                try:
                    async with asyncio.timeout(MAKE_S_MAX):
                        status = await process.wait()
                except TimeoutError:
                    status = -1
                finally:
                    if process.returncode is None:
                        process.kill()
                        await process.wait()
            if status or not _is_useful(path, target):
                LOG.info("no delta %s: status %d", name, status)
                path.unlink(missing_ok=True)
                if len(self._useless) < USELESS_MAX:
                    self._useless.add(name)
            else:
                self.made += 1
                self._trim()
        finally:
            del self._making[name]

    def _trim(self) -> None:
        found = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.iterdir())
        total = sum(size for _, size, _ in found)
        while len(found) > 1 and (len(found) > FILES_MAX or total > BYTES_MAX):
            _, size, path = found.pop(0)
            path.unlink(missing_ok=True)
            total -= size

    async def close(self) -> None:
        for task in list(self._making.values()):
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)


def _is_useful(path: Path, target: Path) -> bool:
    return path.exists() and path.stat().st_size < target.stat().st_size


def main() -> int:
    """One delta, written whole."""
    base, target, made = [Path(word) for word in sys.argv[1:4]]
    os.nice(10)
    write_private(made, encode(base.read_bytes(), target.read_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
