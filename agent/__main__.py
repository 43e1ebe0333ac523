"""The command `corelet`, the same on both interpreters: `corelet ...`, `python -m agent ...`,
`micropython -m agent ...`.

COMMANDS is all there is to say of a command here; what it does is imported when it is asked for.
"""

import json
import sys

from agent import __version__, port, screen
from agent.errors import CoreletError, UsageError

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
        "--state DIR --yes --json",
        "stop working for a full core and free what it kept here",
        "leave 0123456789abcdef",
        "agent.commands.leave",
    ),
    ("reset", "--state DIR --yes --json", "forget identity, cores and shards", "reset --yes", "agent.commands.reset"),
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
        "--listen ADDR:PORT --dir DIR --quota BYTES --token-key-file FILE --flash-per-day BYTES --device ID"
        " --open-reads",
        "only a shard store, without any full core",
        "store --listen 127.0.0.1:8480 --dir shards --quota 1073741824 --token-key-file store.key",
        "agent.storing.run",
    ),
    ("boards", "--state DIR --json", "the board profiles and their ceilings", "boards", "agent.commands.boards"),
)

COMMON = "--help -h --version"


class Call:
    """One command as it was typed. `folder`: of the state; `words`: those in the place of the capitals; `options`:
    {"--json": "yes", "--name": "attic"}."""

    def __init__(self, name: str, words: list[str], options: dict[str, str]) -> None:
        self.name = name
        self.words = words
        self.options = options
        self.folder: str = options.get("--state") or port.files.state_folder("corelet")

    def again(self, more: str) -> str:
        """This command with `more` behind it, for the end of a hint."""
        return " ".join(["corelet", self.name] + self.words + [more])

    def typed(self, line: str) -> str:
        """`line` with the command at its end as it must be typed here."""
        return typed(line, self.options)


def typed(line: str, options: dict[str, str]) -> str:
    """A hint ends its line, ": corelet ..." or ": sudo corelet ..."; it names the same state folder as the command did
    that was given."""
    head, _, hint = line.rpartition(": ")
    before, mark, rest = hint.partition("corelet ")
    if not head or not mark or before not in ("", "sudo "):
        return line
    state = options.get("--state", "")
    if state and "--help" not in rest and "--state" not in rest:
        rest += " --state " + screen.quoted(state)
    return head + ": " + before + port.terminal.program() + " " + rest


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


def run(words: list[str], options: dict[str, str]) -> int:
    if "--version" in options:
        print("corelet", __version__)
        return 0
    is_help = "--help" in options or "-h" in options
    if not words:
        from agent import usage

        print("\n".join(usage.overview(COMMANDS)))
        return 0 if is_help else 2
    row = find(words)
    if is_help:
        from agent import usage

        print("\n".join(usage.explained(row, split(row[1]))))
        return 0
    name = name_of(row)
    rest, needed = words[len(name.split()) :], row[0][len(name) :].split()
    if len(rest) != len(needed):
        wanted, came = " ".join(needed) or "no further word", " ".join(rest) or "nothing"
        raise UsageError("usage", f"{name} takes {wanted}; '{came}' came; see: corelet {name} --help")
    for option in sorted(options):
        if option not in takes_value(COMMON + " " + row[1]):
            raise UsageError("usage", f"{name} has no option {option}; see: corelet {name} --help")
    module, _, function = row[4].rpartition(".")
    call = Call(name, rest, options)
    answer = getattr(__import__(module, None, None, [function]), function)(call)
    if answer is not None:
        print(json.dumps(answer[0]) if "--json" in options else "\n".join([call.typed(line) for line in answer[1]]))
    return 0


def main() -> int:
    """0 done; 1 it could not; 2 wrong words."""
    port.terminal.begin()
    options: dict[str, str] = {}
    try:
        words, options = parse(sys.argv[1:])
        return run(words, options)
    except CoreletError as error:
        print("corelet: " + typed(error.text, options), file=sys.stderr)
        return 2 if isinstance(error, UsageError) and error.code == "usage" else 1
    except MemoryError:
        print("corelet: out of memory; this needs a heap of 512 KiB (micropython -X heapsize=512k)", file=sys.stderr)
        return 1
    except OSError as error:  # what we print cannot be written: a full disk, or the reader of a pipe has left
        return port.terminal.give_up("corelet: this could not be written: " + str(error))
    except (KeyboardInterrupt, EOFError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
