"""What a device tells its cores of its own rot: the shards that are quarantined now. Bounds: KEPT_MAX, TOLD_MAX."""

if False:
    from agent.core.shards.store import Store
    from agent.core.shards.ticket import Report

KEPT_MAX = 64
TOLD_MAX = 16  # at once, as agent/core/birth.py lets through


class Confessions:
    def __init__(self, store: "Store") -> None:
        self._store = store
        self._reports: list[Report] = []

    def note(self, report: "Report") -> None:
        """Whatever the store reports; what concerns no shard is left out."""
        if report.core and report.shard and len(self._reports) < KEPT_MAX:
            self._reports.append(report)

    def names(self, core: str) -> list[str]:
        """In hex, of shards of that core; only the first 5 bytes of one whose header is gone."""
        self._reports = [each for each in self._reports if self._store.is_quarantined(each.core, each.shard)]
        return [each.shard.hex() for each in self._reports if each.core == core][:TOLD_MAX]
