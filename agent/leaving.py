"""Two parts of leaving a core that only a command needs: to watch a hand-over; to leave while no device runs."""

import asyncio

from agent import limits, port, start
from agent.errors import PortError, UsageError
from agent.service import control, shards

if False:
    from typing import Any

    from agent.__main__ import Call
    from agent.device import Device

SILENCE_S, STILL_S = 30, 300  # before the core's first word, and without progress


async def watch(call: "Call", core_id: str) -> "dict[str, Any]":
    """What `leave` answers, once the core has moved all. That goes on without us, and when the device starts again.
    UsageError("lost"): the device stays. PortError("timeout")."""
    most, still, before = 0, 0, None
    while True:
        word = await control.ask(port.net, call.folder, {"do": "leaving", "core": core_id})
        if "freed" in word:
            return word
        if word["end"]:
            text = f"{limits.counted(word['lost'], 'files')} would be lost ({word['ids']}): no other device can take"
            text += " what is kept of them here; pair one with the core first, or lose them: "
            raise UsageError("lost", text + call.again("--now"))
        still = still + 1 if word == before else 0
        if still >= (SILENCE_S if word["left"] < 0 else STILL_S):
            text = "the core does not go on moving what is kept here, though it still may; to lose it: "
            raise PortError("timeout", text + call.again("--now"))
        if word != before and "--json" not in call.options:
            most = max(most, word["left"])
            done = f"{most - word['left']} of {most} shards are with others"
            print(done if most else "The core moves what is here ...")
        before = word
        await asyncio.sleep(1)


async def alone(device: "Device", core_id: str, is_now: bool) -> "dict[str, Any]":
    """For a device that does not run: prepared, not started. UsageError("core", "offline")."""
    if core_id not in device.state.core_ids():
        device.state.remove_core(core_id)  # raises, and says which cores there are
    store = start.make_shards(device, shards.Cores(_nobody, _nobody))
    await store.open()
    try:
        if not is_now and store.usage()["cores"].get(core_id):
            text = "nobody takes over what is kept here while the device does not run; start it first, or lose that: "
            raise UsageError("offline", text + f"corelet leave {core_id} --now")
        freed = await store.forget_core(core_id)
    finally:
        await store.close()
    device.state.remove_core(core_id)
    device.journal.info("device", "left core " + core_id)
    return {"core": core_id, "device": device.identity.device_id, "freed": freed, "told": False}


def _nobody(_core_id: str) -> None:
    """No core is served by a device that does not run."""
