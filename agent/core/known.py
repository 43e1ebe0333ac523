"""What a core knows of one device, as its link has told it. A record; agent/core/presence.py writes it."""

if False:
    from typing import Any


class Presence:
    """Times are `now` values; None is never. `odd`: messages that were refused. `birth` and `telemetry`: empty before
    the first one; they hold what core/birth.py lets through, so every value has the type that it should."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.is_up = False
        self.birth: dict[str, Any] = {}
        self.telemetry: dict[str, Any] = {}
        self.seen_at: int | None = None  # the last live message
        self.odd = 0
        self.born = (0, 0)  # (boot, session) of the birth
        self.died = (0, 0)  # of the last will
        self.sequence: int | None = None  # of the last live message; None: take any
        self.rebirth_free_at = 0
        self.doubled_at: int | None = None  # the last sign that two boards speak with its key
