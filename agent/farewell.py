"""Leaving a core that first moves what is kept for it here: the owner's word and the core's. Loaded when one comes.

What must outlive a restart is the mark in the core's folder (state.set_leaving), which births tell. The commands' side
of it is leaving.py.
"""

from agent.errors import PeerError, UsageError
from agent.wire.shape import NUMBER, misfit

if False:
    from typing import Any

    from agent.device import Device

# A core's word to a device that leaves: how many shards it still has (-1: nothing was heard), how many files would be
# lost, beginnings of their ids, and 1 when nothing more can be moved.
WORD = {"left": -1, "lost": 0, "ids": "", "end": 0}


class Farewell:
    """`left`: the answer of the last leave that a core asked for."""

    def __init__(self, device: "Device") -> None:
        self.left: dict[str, Any] = {}
        self._device = device
        self._words: dict[str, dict[str, Any]] = {}

    async def depart(self, core_id: str, how: str) -> "dict[str, Any]":
        """The owner's word: "leave" when others have what is kept here, "leave-now", or how far it is ("leaving"). A
        word of the core, or what Membership.leave answers. UsageError("core", "offline")."""
        device = self._device
        if how == "leaving" and self.left.get("core") == core_id:
            return self.left
        if core_id not in device.state.core_ids():
            device.state.remove_core(core_id)  # raises, and says which cores there are
        if how == "leave-now" or (how == "leave" and not device.shards.usage()["cores"].get(core_id)):
            return await device.membership.leave(core_id)
        if how == "leave":
            self._begin(core_id)
        return self._words.get(core_id, WORD)

    def _begin(self, core_id: str) -> None:
        device = self._device
        if not device.membership.is_up(core_id):
            text = f"core {core_id} is not connected, so nobody takes over what is kept for it here; wait for it, or"
            raise UsageError("offline", text + f" lose that: corelet leave {core_id} --now")
        self._words.pop(core_id, None)
        self.left = {}
        device.state.set_leaving(core_id, True)
        device.membership.refresh()
        device.journal.info("device", "leaves core " + core_id + " when others have what is kept for it")

    def heard(self, core_id: str, word: "dict[str, Any]") -> "dict[str, Any]":
        """The core's word of the hand-over. With "end" files would be lost: it stays, until its owner says more."""
        if misfit(word, {"left": NUMBER, "lost": NUMBER, "ids": ("text", 0, 80), "end": ("int", 0, 1)}) is not None:
            raise PeerError("leaving", "expected left, lost, ids and end in a word to a device that leaves")
        self._words[core_id] = word
        if word["end"]:
            self._device.state.set_leaving(core_id, False)
            self._device.journal.warning("device", "stays with core " + core_id + ": files would be lost")
            self._device.membership.refresh()
        return {}
