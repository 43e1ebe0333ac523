"""Runs the command sequences of a manifest (draft-ietf-suit-manifest-37 section 6.4), without I/O.

What a condition or an action means for a component is the `world`'s: `condition(code, index, parameters)` and
`act(code, index, parameters)`, both generators of Effect; the first returns whether it holds. A condition that does not
hold ends its sequence: inside try-each the next branch is tried, from the parameters that were there before.
"""

from ota.commands import CONDITIONS, OVERRIDE_PARAMETERS, SET_COMPONENT_INDEX, TRY_EACH
from ota.errors import TrustError
from ota.trace import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ota.commands import Sequence
    from ota.manifest import Manifest
    from ota.slots import Steps


class ConditionError(TrustError):
    """TrustError("condition") for who asks at the top."""


class Execution:
    """One manifest's: `parameters` of each component, set by all that ran so far."""

    def __init__(self, manifest: "Manifest", world: "Any") -> None:
        self.parameters: list[dict[int, Any]] = [{} for _ in manifest.components]
        self._shared = manifest.shared
        self._sequences = dict(manifest.sequences)
        self._world = world
        self._selected = [0]

    def run_shared(self) -> "Steps":
        self._selected = [0]
        yield from self._run(self._shared)

    def run(self, label: int) -> "Steps":
        """One of the manifest's sequences, after the shared one, as the draft wants it; nothing where it has none."""
        if label in self._sequences:
            yield from self.run_shared()
            self._selected = [0]
            yield from self._run(self._sequences[label])

    def _run(self, commands: "Sequence") -> "Steps":
        for code, argument in commands:
            if code == SET_COMPONENT_INDEX:
                every = list(range(len(self.parameters)))
                self._selected = every if argument is True else argument if isinstance(argument, list) else [argument]
            elif code == OVERRIDE_PARAMETERS:
                for index in self._selected:
                    self.parameters[index].update(argument)
            elif code == TRY_EACH:
                yield from self._try_each(argument)
            else:
                for index in self._selected:
                    if code not in CONDITIONS:
                        yield from self._world.act(code, index, self.parameters[index])
                    elif not (yield from self._world.condition(code, index, self.parameters[index])):
                        text = f"expected a release whose condition {COMMANDS[code]} holds on this device, got another"
                        raise ConditionError("condition", text)

    def _try_each(self, branches: "list[Sequence]") -> "Steps":
        parameters, selected = [dict(one) for one in self.parameters], self._selected
        failed = None
        for branch in branches:
            try:
                return (yield from self._run(branch))
            except ConditionError as error:
                failed = error
            self.parameters, self._selected = [dict(one) for one in parameters], selected
        if failed:
            raise failed
