"""coturn's own client at full speed, 200,000 messages there and back: python -m tests.bench.relay.uclient

`turnutils_uclient -y -c -m 1 -l 160 -z 0`, against us on both interpreters and against coturn. A lost message is a word
in the table, never an exit status.
"""

import shutil
import subprocess
import sys
import time

from tests.bench.relay.servers import ACCOUNT, Coturn, MicroPython, Server
from tests.bench.report import Report, parser
from tests.e2e.relay.test_uclient import LOST, TOTAL

SERVER_CORE, LOAD_CORE = 0, 1
WORDS = "-y -c -m 1 -l 160 -z 0"
MAKERS = (("corelet", Server), ("micropython", MicroPython), ("coturn", Coturn))


def run(server: Server, program: str, count: int) -> tuple[int, int, float]:
    """(messages sent, lost, seconds). Some of the seconds it only waits."""
    command = ["taskset", "-c", str(LOAD_CORE), program, *WORDS.split(), "-n", str(count), "-p", str(server.port)]
    command += ["-u", ACCOUNT.user, "-w", ACCOUNT.password, "127.0.0.1"]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    said = done.stdout + done.stderr
    lost, totals = LOST.findall(said), TOTAL.findall(said)
    if done.returncode or not lost or not totals:
        raise SystemExit(f"{server.name}: the client failed: {said[-800:]}")
    return int(totals[-1][0]), int(lost[-1]), time.monotonic() - began


def main() -> int:
    words = parser("relay.uclient", __doc__)
    words.add_argument("--count", type=int, default=200_000, help="messages of each of its two clients")
    options = words.parse_args()
    report = Report(f"turnutils_uclient {WORDS} -n {options.count}")
    program = shutil.which("turnutils_uclient")
    for name, make in MAKERS if program else ():
        report.say(f"{name} ...")
        with make(name, SERVER_CORE) as server:
            sent, lost, seconds = run(server, str(program), options.count)
        bar, is_met = ("0 lost", lost == 0) if name == "corelet" else ("", None)
        report.row(f"uclient: {name}", f"{lost} of {sent} lost; {seconds:.0f} s", bar, is_met)
        report.figure(name, {"sent": sent, "lost": lost, "seconds": seconds})
    if not program:
        report.notes.append(
            "Not measured: turnutils_uclient is missing: apt install coturn (its service need not run)."
        )
    report.notes.append(f"Server on core {SERVER_CORE}, client on core {LOAD_CORE}.")
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
