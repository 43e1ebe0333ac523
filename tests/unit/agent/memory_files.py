"""A disk in memory for tests of the state folder; the power can be cut before its n-th change."""

from agent.errors import PortError


class PowerCut(Exception):
    pass


class MemoryFiles:
    """`cut_at`: the change (0 is the next one) that no longer happens; None: power for ever."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.folders: list[str] = []
        self.private: list[str] = []
        self.changes = 0
        self.cut_at: int | None = None
        self.fault: PortError | None = None

    def _change(self) -> None:
        if self.fault is not None:
            raise self.fault
        if self.cut_at is not None and self.changes >= self.cut_at:
            raise PowerCut
        self.changes += 1

    def copy(self) -> "MemoryFiles":
        other = MemoryFiles()
        other.content = dict(self.content)
        other.folders = list(self.folders)
        return other

    def read(self, path: str, bytes_max: int) -> bytes:
        if path not in self.content:
            raise PortError("not_found", path)
        if len(self.content[path]) > bytes_max:
            raise PortError("too_big", path)
        return self.content[path]

    def write_atomic(self, path: str, data: bytes) -> None:
        self._change()
        self.content[path + ".new"] = data[: len(data) // 2]
        self._change()
        del self.content[path + ".new"]
        self.content[path] = data

    def exists(self, path: str) -> bool:
        return path in self.content or path in self.folders

    def list(self, path: str) -> "list[str]":
        inner = [name[len(path) + 1 :] for name in list(self.content) + self.folders if name.startswith(path + "/")]
        return sorted({name.split("/")[0] for name in inner})

    def make_folder(self, path: str) -> None:
        if path not in self.folders:
            self._change()
            self.folders.append(path)

    def make_private(self, path: str) -> None:
        assert path in self.folders
        if path not in self.private:
            self.private.append(path)

    def remove(self, path: str) -> None:
        if path in self.content:
            self._change()
            del self.content[path]

    def remove_tree(self, path: str) -> None:
        for name in sorted(self.content):
            if name.startswith(path + "/"):
                self.remove(name)
        for name in sorted(self.folders, reverse=True):
            if name == path or name.startswith(path + "/"):
                self._change()
                self.folders.remove(name)

    def lock(self, folder: str) -> "MemoryFiles":
        return self

    def close(self) -> None:
        return
