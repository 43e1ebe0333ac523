"""When a release on trial is good: all probes green for a set time, and never because it was started or could report.

Without I/O: who runs the trial calls `note` every few seconds. Status "green" once, then confirm; "late": the deadline
passed without it, so end with an error and let stage-0 take the next try.
"""

DEADLINE_MS = 1_800_000
ALONE = 5  # times so long, without the core
GAP_MS_MAX = 15_000  # a loop that does not turn for so long is not alive


class Trial:
    """`needs_core`: the core must be reached, unless the root allows a device to be offline."""

    def __init__(self, now_ms: int, needs_core: bool, confirm_ms: int) -> None:
        self._needs_core, self._confirm_ms = needs_core, confirm_ms
        self._began = self._green_since = self._noted = now_ms

    def note(self, now_ms: int, core_reached: bool, is_within: bool) -> str:
        """`is_within`: memory and error rates are below their ceilings. "wait", "green" or "late"."""
        gap, self._noted = now_ms - self._noted, now_ms
        if not is_within or gap > GAP_MS_MAX or (self._needs_core and not core_reached):
            self._green_since = now_ms
        if now_ms - self._green_since >= self._confirm_ms:
            return "green"
        return "late" if now_ms - self._began >= DEADLINE_MS else "wait"


def both(now_ms: int, confirm_ms: int) -> "list[Trial]":
    """Reaching the core; and, for a root that allows it, without it, when it was long away."""
    return [Trial(now_ms, True, confirm_ms), Trial(now_ms, False, ALONE * confirm_ms)]
