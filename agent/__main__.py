"""The command `corelet`, the same on both interpreters: `corelet ...`, `python -m agent ...`,
`micropython -m agent ...`."""

import json
import sys

from agent import port, screen
from agent.errors import CoreletError, UsageError

USAGE = """Corelet: this machine as a device core. It keeps encrypted shards within limits you set.

  corelet up [--name NAME] [--board BOARD] [--listen ADDRESS] [--port N] [--data-port N]
                         start; prints the setup code a full core pairs with
  corelet status         what it is doing now
  corelet pair-window    open a pairing window with a fresh code (15 minutes)
  corelet leave CORE     stop working for a full core and free what it kept here
  corelet reset          forget identity, cores and shards
  corelet logs           the last lines it wrote
  corelet boards         the board profiles and their ceilings

  --state DIR            where its state lives (default: the system's place)
  --json                 for scripts (status, logs, pair-window, leave, boards)

Example: corelet up --name attic --listen 192.168.1.20
"""

VALUES = ("--state", "--name", "--board", "--listen", "--port", "--data-port")
FLAGS = ("--json", "--yes", "--help", "-h")
COMMANDS = ("up", "status", "pair-window", "leave", "reset", "logs", "boards")


def parse(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """(words, options). Raises UsageError("usage")."""
    words: list[str] = []
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        item = rest.pop(0)
        if item in FLAGS:
            options[item] = "yes"
        elif item in VALUES:
            if not rest or not rest[0]:  # an empty one is a shell variable that was not set
                raise UsageError("usage", f"{item} needs a value; see: corelet --help")
            options[item] = rest.pop(0)
        elif item.startswith("-"):
            raise UsageError("usage", f"there is no option {item}; see: corelet --help")
        else:
            words.append(item)
    return words, options


def run(words: list[str], options: dict[str, str]) -> int:
    if "--help" in options or "-h" in options or not words:
        print(USAGE)
        return 0 if words or options else 2
    command = words[0]
    if command not in COMMANDS:
        raise UsageError("usage", f"there is no command '{command}'; there are: {', '.join(COMMANDS)}")
    if len(words) != (2 if command == "leave" else 1):
        needs = "one core's id (see: corelet status)" if command == "leave" else "no further words"
        raise UsageError("usage", f"{command} takes {needs}, not '{' '.join(words[1:])}'; see: corelet --help")
    from agent import app

    if command == "boards":
        _print(app.boards(), options, screen.boards)
        return 0
    folder = app.folder(options)
    if command == "up":
        return app.up(folder, options)
    if command == "reset" and not _sure(folder, options):
        return 1
    target = words[1] if command == "leave" else ""
    _print(app.ask(folder, command, target), options, screen.BY_COMMAND[command])
    return 0


def _sure(folder: str, options: dict[str, str]) -> bool:
    """Asks a person at a terminal; a script has no terminal and means it."""
    if "--yes" in options or not port.terminal.is_terminal():
        return True
    print(f"This forgets the identity, the cores and the shards in {folder}.")
    return input("Type yes to go on: ").strip() == "yes"


def _print(answer: dict[str, object], options: dict[str, str], show: object) -> None:
    if "--json" in options:
        print(json.dumps(answer))
        return
    for line in show(answer):  # type: ignore[operator]
        print(line)


def main() -> int:
    """0 done; 1 it could not; 2 wrong words."""
    port.terminal.begin()
    try:
        return run(*parse(sys.argv[1:]))
    except UsageError as error:
        print("corelet: " + error.text, file=sys.stderr)
        return 2 if error.code == "usage" else 1
    except CoreletError as error:
        print("corelet: " + error.text, file=sys.stderr)
        return 1
    except MemoryError:
        print("corelet: out of memory; this needs a heap of 512 KiB (micropython -X heapsize=512k)", file=sys.stderr)
        return 1
    except OSError as error:  # what we print cannot be written: a full disk, or the reader of a pipe has left
        return port.terminal.give_up("corelet: this could not be written: " + str(error))
    except (KeyboardInterrupt, EOFError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
