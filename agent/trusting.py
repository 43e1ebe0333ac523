"""`corelet trust`: the owner says whose releases this device takes, and which of its cores may order them. Once: newer
roots come with the releases, signed by the ones before.
"""

from agent import commands, port
from agent.errors import PortError, UsageError
from agent.state import State
from agent.wire import x509
from ota import founding, trust

if False:
    from typing import Any

    from agent.__main__ import Call
    from agent.commands import Said


def run(call: "Call") -> "Said":
    """UsageError("core", "state_there"), TrustError and PeerError of the root document, PortError."""
    core_id = call.options.get("--core", "")
    state = State(port.files, port.codec(), call.folder)
    cores = state.core_ids() if port.files.exists(call.folder + "/cores") else []
    if core_id not in cores:
        known = ", ".join(cores) or "none yet; pair it first"
        text = f"--core names the core that may update this device: one that it belongs to ({known}), not '{core_id}'"
        raise UsageError("core", text)
    record: Any = state.core(core_id)
    device, board = _who(call, state)
    settings = founding.settings_of(board, call.options.get("--vendor", founding.VENDOR), device)
    root = port.files.read(call.words[0], trust.DOCUMENT_BYTES_MAX)
    folder = call.folder + "/ota"
    version = founding.make(folder, root, x509.read_certificate(record["ca"]).public, settings)
    answer = {"root": version, "core": core_id, "board": board, "device": device, "folder": folder}
    lines = [f"Root {version} is trusted: releases that it names keys for are taken, for board {board}."]
    return answer, lines + [f"Core {core_id} may order them."]  # noqa: RUF005 (MicroPython has no [*a])


def _who(call: "Call", state: State) -> tuple[str, str]:
    """(device id, board): the running device knows; else what it would find out."""
    try:
        answer = commands.ask(call, {"do": "status"})
        return answer["device"], answer["board"]
    except PortError as error:
        if error.code != "not_running":
            raise
    from boards import loader

    profile = loader.choose(state.read_settings()["board"], port.health().board_evidence(), 0)[0]
    return state.identity(port.crypto).device_id, str(profile["id"])
