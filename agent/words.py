"""The words a person types: a row of COMMANDS is all there is to say of a command; what it does is imported when it
is asked for. A device forgets this module then.
"""

from agent import __version__
from agent.errors import UsageError

if False:
    Row = tuple[str, str, str, str, str]

# A row: words, options, help line, example, function.
# Words: the name in small letters, one word or two, then one word in capitals for each that must follow.
# Options: those beyond --help; one that takes a value is followed by its name in capitals.
# The function takes a Call. It gives (answer, lines): the object for --json and the same for a person, or None when it
# has said everything itself; it raises CoreletError with one sentence.
COMMANDS = (
    (
        "up",
        "--state DIR --name NAME --board BOARD --listen ADDRESS --port N --data-port N --relay-port N",
        "start; shows the setup code that a full core pairs with",
        "up --name attic --listen 192.168.1.20",
        "agent.app.up",
    ),
    ("status", "--state DIR --json", "what it is doing now", "status --json", "agent.commands.status"),
    (
        "pair-window",
        "--state DIR --json",
        "open a pairing window with a fresh code (15 minutes)",
        "pair-window",
        "agent.commands.pair_window",
    ),
    (
        "leave CORE",
        "--state DIR --now --yes --json",
        "stop working for a full core once others have what it keeps",
        "leave 0123456789abcdef",
        "agent.commands.leave",
    ),
    ("stop", "--state DIR --json", "end the running device in order", "stop", "agent.commands.stop"),
    ("limits", "--state DIR --json", "the ceilings, and whose they are", "limits", "agent.ceilings.show"),
    (
        "limits set KEY VALUE",
        "--state DIR --json",
        "lower a ceiling of yours, up to the board's",
        "limits set shard_bytes 1073741824",
        "agent.ceilings.set_one",
    ),
    ("reset", "--state DIR --yes --json", "forget identity, cores and shards", "reset --yes", "agent.commands.reset"),
    (
        "trust FILE",
        "--core CORE --vendor DOMAIN --state DIR --json",
        "trust this root document's releases when that core orders",
        "trust root-1 --core 0123456789abcdef",
        "agent.trusting.run",
    ),
    ("logs", "--state DIR --json", "the last lines it wrote", "logs", "agent.commands.logs"),
    (
        "relay",
        "--listen ADDR:PORT --relay-ip IP --secret-file FILE --user-file FILE --user NAME:PASSWORD --realm R"
        " --allow-peers CIDR --ports FIRST-LAST --rate BPS --allocations N --user-allocations N --unproven N"
        " --tcp-ports PORTS --tls-cert FILE --tls-key FILE --stats",
        "only a TURN server, without any full core",
        "relay --listen 192.0.2.1:3478 --secret-file turn.secret",
        "agent.relaying.run",
    ),
    (
        "store",
        "--listen ADDR:PORT --dir DIR --quota BYTES --token-key-file FILE --flash-per-day BYTES"
        " --bandwidth BYTES_PER_S --layout LAYOUT --device ID --open-reads",
        "only a shard store, without any full core",
        "store --listen 127.0.0.1:8480 --dir shards --quota 1073741824 --token-key-file store.key",
        "agent.storing.run",
    ),
    ("boards", "--state DIR --json", "the board profiles and their ceilings", "boards", "agent.commands.boards"),
)

COMMON = "--help -h --version"


def split(options: str) -> list[str]:
    """A row's options one by one: ["--name NAME", "--json"]."""
    found: list[str] = []
    for word in options.split():
        if word.startswith("-"):
            found.append(word)
        else:
            found[-1] += " " + word
    return found


def takes_value(options: str) -> dict[str, bool]:
    return {option.split()[0]: " " in option for option in split(options)}


def parse(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """(words, options). Raises UsageError("usage")."""
    known = takes_value(COMMON)
    for row in COMMANDS:
        known.update(takes_value(row[1]))
    words: list[str] = []
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        item = rest.pop(0)
        name, mark, value = item.partition("=")
        if mark and known.get(name):  # --name=attic
            item, rest = name, [value] + rest
        if not item.startswith("-"):
            words.append(item)
        elif item not in known:
            raise UsageError("usage", f"there is no option {item}; see: corelet --help")
        elif not known[item]:
            options[item] = "yes"
        elif not rest or not rest[0]:  # an empty one is a shell variable that was not set
            raise UsageError("usage", f"{item} needs a value; see: corelet --help")
        else:
            options[item] = rest.pop(0)
    return words, options


def find(words: list[str]) -> "Row":
    """The row that the words begin with, the longest one. Raises UsageError("usage")."""
    found = None
    for row in COMMANDS:
        name = name_of(row).split()
        if words[: len(name)] == name and (found is None or len(name) > len(name_of(found).split())):
            found = row
    if found is None:
        names = ", ".join([name_of(row) for row in COMMANDS])
        raise UsageError("usage", f"there is no command '{' '.join(words)}'; there are: {names}")
    return found


def name_of(row: "Row") -> str:
    return " ".join([word for word in row[0].split() if word == word.lower()])


def choose(words: list[str], options: dict[str, str]) -> "tuple[int, str, list[str], str]":
    """(exit status, name, further words, function); what --help and --version ask for is printed, and the function is
    "" then. Raises UsageError("usage")."""
    if "--version" in options:
        print("corelet", __version__)
        return 0, "", [], ""
    is_help = "--help" in options or "-h" in options
    if not words:
        from agent import usage

        print("\n".join(usage.overview(COMMANDS)))
        return 0 if is_help else 2, "", [], ""
    row = find(words)
    if is_help:
        from agent import usage

        print("\n".join(usage.explained(row, split(row[1]))))
        return 0, "", [], ""
    name = name_of(row)
    rest, needed = words[len(name.split()) :], row[0][len(name) :].split()
    if len(rest) != len(needed):
        wanted, came = " ".join(needed) or "no further word", " ".join(rest) or "nothing"
        raise UsageError("usage", f"{name} takes {wanted}; '{came}' came; see: corelet {name} --help")
    for option in sorted(options):
        if option not in takes_value(COMMON + " " + row[1]):
            raise UsageError("usage", f"{name} has no option {option}; see: corelet {name} --help")
    return 0, name, rest, row[4]
