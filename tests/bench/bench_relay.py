"""All that is measured of the relay, part after part, and at the end every bar beside its figure.

A part alone: python -m tests.bench.relay --help, and so on with what PARTS names.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.bed import ROOT
from tests.bench.report import Report, parser

# name -> the words after python -m
PARTS = {
    "saturated": "tests.bench.relay",
    "micropython": "tests.bench.relay --micropython",
    "uclient": "tests.bench.relay.uclient",
    "streams": "tests.bench.relay.streams",
    "device": "tests.bench.relay.device --runtime cpython",
    "device-micropython": "tests.bench.relay.device --runtime micropython",
    "ceiling": "tests.bench.relay.ceiling",
}


def main() -> int:
    words = parser("bench_relay", __doc__)
    words.add_argument("--part", action="append", choices=tuple(PARTS), help="only this; may be repeated")
    options = words.parse_args()
    report = Report("The relay: every bar")
    failed = []
    with TemporaryDirectory(prefix="corelet-bench-") as folder:
        for name in options.part or PARTS:
            file = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", *PARTS[name].split(), "--json", str(file)]
            if subprocess.run(command, cwd=ROOT, check=False).returncode:
                failed.append(name)
                report.row(name, "it failed, see above")
                continue
            found = json.loads(file.read_text())
            report.figure(name, found)
            for row in found["rows"]:
                if row["bar"]:
                    report.row(row["what"], row["measured"], row["bar"], row["verdict"] == "met")
    report.close(options.json)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
