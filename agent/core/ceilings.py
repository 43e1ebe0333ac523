"""Which back end holds which ceiling, and how strongly: the kernel, the runtime, the device itself, or nobody. No I/O.

A driver does what `next` asks for (probe the back end, apply the ceiling, look whether it is in force) and says
with `done` whether it holds. The strongest back end is asked first; the next one only where that failed or is denied.
What nobody holds is `none`; a board that requires it takes no work, and `refusal` says why.
Bounds: one step for each ceiling of a row of LEVELS.
"""

from agent import limits

# (level, back end, its ceilings); the strongest first.
LEVELS = (
    ("kernel", "setrlimit(2)", ("descriptors",)),
    ("runtime", "micropython", ("memory_kib",)),
    ("self", "self", tuple([row[0] for row in limits.ENFORCED])),
)


class Ceilings:
    """`values`: the ceilings in force. `denied`: back ends, or back end and ceiling as "cgroup2.io", that this board
    must not try. `levels`: ceiling -> level, complete once `next` gives nothing."""

    def __init__(self, values: "dict[str, int]", denied: "tuple[str, ...]") -> None:
        self.levels = dict.fromkeys(values, "none")
        self._pending: list[tuple[str, str, str, int]] = []
        for level, source, names in LEVELS:
            for name in names:
                if name in values and source not in denied and source + "." + name not in denied:
                    self._pending.append((source, level, name, values[name]))

    def next(self) -> "tuple[str, str, str, int] | None":
        """(back end, level, ceiling, value): what to hold next."""
        while self._pending:
            step = self._pending.pop(0)
            if self.levels[step[2]] == "none":
                return step
        return None

    def done(self, step: "tuple[str, str, str, int]", good: bool) -> None:
        if good:
            self.levels[step[2]] = step[1]

    def refusal(self, names: "tuple[str, ...]") -> str:
        """`names`: what must be held. "" when it is, else one sentence."""
        lacking = [name for name in names if self.levels.get(name, "none") == "none"]
        if not lacking:
            return ""
        return "no work is taken: this board requires ceilings that nothing here can hold: " + ", ".join(lacking)
