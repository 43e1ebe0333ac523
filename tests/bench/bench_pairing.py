"""Pairing as a person feels it: from the code's last letter (Enter) to "connected", for both kinds of device.

Each round is a stranger's: the device is reset and the core has forgotten it. Measured around the command, so the
start of its interpreter counts, as it does for the person.
"""

import statistics
import sys
import time

from tests.bench.bed import Bed, alone
from tests.bench.report import Report, parser

BAR_S = 10.0


def one_round(bed: Bed, name: str) -> float:
    """Seconds; afterwards the device is a stranger again, with a fresh code on its screen."""
    code = bed.fresh_code(name, 0)
    started = time.monotonic()
    answer = bed.say_core("pair", code)
    taken = time.monotonic() - started
    seen = bed.codes(name)
    bed.say_core("forget", answer["device"])
    bed.say_device(name, "reset", "--yes")
    bed.fresh_code(name, seen)
    return taken


def main() -> int:
    arguments = parser("bench_pairing", __doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    alone("tests.bench.bench_pairing")
    report = Report(f"Pairing, from code entry to connected ({options.rounds} rounds, median, min to max)")
    with Bed(report) as bed:
        bed.begin()
        for name, kind in bed.kinds.items():
            taken = []
            for number in range(options.rounds):
                taken.append(one_round(bed, name))
                report.say(f"{kind}, round {number + 1}: {taken[-1]:.1f} s")
            report.spread(kind, taken, "s", f"< {BAR_S:.0f} s", statistics.median(taken) < BAR_S)
        report.figure("broker", bed.say_core("status")["broker"])
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
