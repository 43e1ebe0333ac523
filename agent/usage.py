"""What `corelet --help` says: of all commands, of one. A row is one of COMMANDS in agent/words.py. No I/O."""

from agent import port, screen

if False:
    from agent.words import Row

ABOUT = "Corelet: this machine as a device core. It keeps encrypted shards and relays calls, within limits you set."
MEANINGS = (
    ("CORE", "CORE         a core's id, 16 hex digits; `status` shows them"),
    ("KEY", "KEY VALUE    a ceiling that `limits` shows; a whole number, or: board"),
    ("--state", "--state DIR  where its state lives (default: the system's place)"),
    ("--json", "--json       the answer as one JSON object, for scripts"),
    ("--now", "--now        at once: files that have no other copy are lost"),
    ("--yes", "--yes        do not ask"),
    ("--core", "--core       the one of its cores that may order updates"),
    ("--vendor", "--vendor     the domain that its releases are built for, if not corelet's"),
    ("--name", "--name       what others see it called"),
    ("--board", "--board      its profile, if what was found is not right; see `boards`"),
    ("ADDRESS", "--listen     use only this address of this machine"),
    ("--data-port", "--port, --data-port, --relay-port  of pairing, shards, relay; 0: any free one"),
    ("ADDR:PORT", "--listen     where clients come to, with commas; 0.0.0.0 and [::]: all of them"),
    ("--relay-ip", "--relay-ip   what peers see, else those of --listen; behind 1:1 NAT PUBLIC/OWN"),
    ("--secret-file", "--secret-file, --user-file  mode 0600: TURN REST secrets; lines NAME:PASSWORD"),
    ("--user", "--user       for tests only: everybody on this machine can read it"),
    ("--allow-peers", "--allow-peers  private networks, refused otherwise, that may be reached"),
    ("--tcp-ports", "--tcp-ports  peers may be reached over TCP there, as 443,8000-8100"),
    ("--tls-cert", "--tls-cert, --tls-key  PEM files: clients may come over TLS too"),
    ("--rate", "--rate       bit/s that leave in each direction; 0: no ceiling"),
    ("--unproven", "--unproven   answers a second to strangers of one /24 or /56"),
    ("--dir", "--dir        where the slab files are; they never take more than --quota bytes"),
    ("--token-key-file", "--token-key-file  mode 0600, 16 bytes or more; see: corelet-core token --help"),
    ("--flash-per-day", "--flash-per-day  bytes that may be written to the disk in a day; 0: any number"),
    ("--bandwidth", "--bandwidth  bytes/s that it sends and receives together"),
    ("--layout", "--layout     slabs; on UBIFS and JFFS2 log, which writes nothing in place"),
    ("--device", "--device     16 hex digits: of several stores with one key, this one"),
    ("--open-reads", "--open-reads  GET and HEAD without a token, for everybody"),
    ("--stats", "--stats      the counters as JSON at the end, and whenever SIGUSR1 asks"),
)


def overview(commands: "tuple[Row, ...]") -> list[str]:
    program = port.terminal.program()
    lines = screen.wrapped(ABOUT.split(), "")
    lines += ["", f"usage: {program} COMMAND [--state DIR] [OPTIONS]", ""]
    lines += ["  " + f"{row[0]:<16}" + row[2] for row in commands]
    lines += ["", "  " + MEANINGS[2][1], "  --version    which Corelet this is", ""]
    return lines + [f"What a command takes: {program} COMMAND --help", f"Example: {program} {commands[0][3]}"]


def explained(row: "Row", options: list[str]) -> list[str]:
    """One command: usage, what it does, an example. `options`: those of the row, one by one."""
    program = port.terminal.program()
    names = [word for option in [row[0]] + options for word in option.split()]
    lines = screen.wrapped([f"usage: {program} {row[0]}"] + ["[" + option + "]" for option in options], "       ")
    lines += ["", row[2][0].upper() + row[2][1:] + ".", ""]
    lines += ["  " + text for option, text in MEANINGS if option in names]
    return lines + ["", f"Example: {program} {row[3]}"]
