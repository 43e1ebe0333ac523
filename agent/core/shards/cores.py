"""The cores that have records here: their ids, and the small numbers that stand for them in the index."""

from agent.core.shards.index import CORES_MAX
from agent.errors import LimitError


class Cores:
    """Numbers run from 1 to CORES_MAX; 0 = none."""

    def __init__(self) -> None:
        self._names = [""] * (CORES_MAX + 1)

    def find(self, core: str) -> int:
        """The core's number, 0 when it has none."""
        for number in range(1, len(self._names)):
            if self._names[number] == core:
                return number
        return 0

    def number(self, core: str) -> int:
        """The same, given on first use. LimitError("cores")."""
        found = self.find(core) or self.find("")
        if not found:
            raise LimitError(
                "cores", f"This device keeps shards for {CORES_MAX} cores already; one has to leave first."
            )
        self._names[found] = core
        return found

    def recall(self, names: list[str]) -> None:
        """As they were numbered in an earlier process."""
        self._names = names

    def name(self, number: int) -> str:
        return self._names[number]

    def retire(self, number: int) -> None:
        """The core is being forgotten: it is not found any more, its number is not given to another one yet."""
        self._names[number] = "-"

    def release(self, number: int) -> None:
        """No record has this number any more."""
        self._names[number] = ""

    def named(self) -> list[tuple[int, str]]:
        """(number, id) of each."""
        return [(number, name) for number, name in enumerate(self._names) if len(name) > 1]
