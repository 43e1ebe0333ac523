"""The command `corelet`, the same on both interpreters: `corelet ...`, `python -m agent ...`,
`micropython -m agent ...`.

What the words mean is in agent/words.py.
"""

import json
import sys

from agent import port
from agent.errors import CoreletError, UsageError

if False:
    from typing import Any


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
    head, _, text = line.rpartition(": ")
    before, mark, rest = text.partition("corelet ")
    if not head or not mark or before not in ("", "sudo "):
        return line
    state = options.get("--state", "")
    if state and "--help" not in rest and "--state" not in rest:
        from agent.screen import quoted

        rest += " --state " + quoted(state)
    return head + ": " + before + port.terminal.program() + " " + rest


def _words() -> "Any":
    """Held by nobody: a device forgets it."""
    from agent import words

    return words


def run(words: list[str], options: dict[str, str]) -> int:
    status, name, rest, function = _words().choose(words, options)
    if not function:
        return status  # type: ignore[no-any-return]
    port.heap.forget(("agent.words", "agent.usage"))
    module, _, function = function.rpartition(".")
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
        words, options = _words().parse(sys.argv[1:])
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
