"""The bandwidth ceiling of `corelet relay`, measured from outside for a minute: python -m tests.bench.relay.ceiling

Four users in each direction at once, one of them greedy. The rate is what the interface of the relay's namespace
counts, the shares are what came at the other end. Needs root. A missed bar is a word, never an exit status.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.report import Report, parser
from tests.e2e.relay.ceiling import DOWN, OPTIONS, RATE_BPS, UP, Reading, measured
from tests.e2e.relay.servers import Server
from tests.e2e.relay.wire import Wire
from tests.programs import RUNTIMES

USERS = {"greedy": 2.5, "modest": 0.15, "wanting": 0.6, "hopeful": 0.6}  # what each offers, in ceilings
WAYS = (UP, DOWN)
UNDER_MAX = 0.05
KEPT_MIN = 0.98  # of what a user sends who wants less than a fair share
PRIORITY = 1
APART_MAX = 0.03  # of the ceiling, between those who want more


def tell(report: Report, runtime: str, reading: Reading) -> None:
    rate, worst, least = (part / len(WAYS) for part in (reading.rate, reading.worst, reading.least))
    told = f"{rate:.2%} of it in {reading.seconds:.0f} s; in a second {least:.2%} to {worst:.2%}"
    is_met = 1 - UNDER_MAX <= rate <= 1 and worst <= 1
    report.row(f"{runtime}: the ceiling, both directions", told, f"{1 - UNDER_MAX:.0%} to 100%", is_met)
    for number, way in enumerate(WAYS):
        at = number * len(USERS)
        shares = dict(zip(USERS, reading.shares[at : at + len(USERS)], strict=True))
        kept = dict(zip(USERS, reading.kept[at : at + len(USERS)], strict=True))
        wanting = [share for user, share in shares.items() if user != "modest"]
        apart = max(wanting) - min(wanting)
        told = ", ".join(f"{user} {share:.1%} (of {USERS[user]:.0%})" for user, share in shares.items())
        told += f"; modest loses {1 - kept['modest']:.2%}, the others are {apart:.2%} apart"
        is_met = kept["modest"] >= KEPT_MIN and apart <= APART_MAX
        report.row(f"{runtime}: shares {way}", told, f"<= {1 - KEPT_MIN:.0%}, <= {APART_MAX:.0%}", is_met)
    report.figure(runtime, reading._asdict())


def minute(runtime: str, offers: list[tuple[str, float, str]], seconds: float) -> Reading:
    with (
        TemporaryDirectory(prefix="corelet-bench-") as folder,
        Wire() as wire,
        Server(runtime, Path(folder), own=OPTIONS, before=wire.words("home")),
    ):
        return measured(wire, offers, seconds)


def main() -> int:
    words = parser("relay.ceiling", __doc__)
    words.add_argument("--seconds", type=float, default=60.0)
    options = words.parse_args()
    report = Report(f"A ceiling of {RATE_BPS // 1_000_000} Mbit/s in each direction, {len(USERS)} users")
    offers = [(user, share, way) for way in WAYS for user, share in USERS.items()]
    if os.geteuid():
        report.notes.append("Not measured: a network namespace for the relay needs root.")
    else:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))  # inherited
        report.notes.append("The relay and its users came before all other programs (SCHED_FIFO): they need little.")
        for runtime in RUNTIMES:
            report.say(f"{runtime}, {options.seconds:.0f} s ...")
            tell(report, runtime, minute(runtime, offers, options.seconds))
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
