"""The local control channel: the CLI talks to the running device through a Unix socket in its state folder.

The folder is 0700 and the socket 0600, so whoever may connect owns the device; there is nothing to guess and nothing
listens on the network. One request for each connection, a flat JSON object on one line: {"do": "leave", "core": ID};
one answer, the same way: {"answer": {...}} or {"error": sentence}.
Bounds: PLACES connections, of which the one that has kept us waiting longest makes room for the next;
REQUEST_BYTES_MAX, ANSWER_BYTES_MAX; LINE_MS for a request to come or an answer to go.
"""

import asyncio
import json

from agent.errors import CoreletError, PeerError, PortError, UsageError
from agent.port import net

if False:
    from typing import Any

    from agent.port import contract

SOCKET = "control.sock"
LEAVE = ("leave", "leaving", "leave-now")  # these name a core; agent/farewell.py
PLACES = 8
REQUEST_BYTES_MAX = 1024
ANSWER_BYTES_MAX = 32768
READ_BYTES = 1024
LINE_MS = 5000
ANSWER_MS = 30000
ACCEPT_PAUSE_S = 1
NOBODY = ("refused", "not_found", "unreachable", "io")  # codes of a connect when no device listens


class ControlService:
    """`device`: status(), log_lines(), open_window(), leave(core, how), limit(key, value), finish(), reset(): see
    agent/device.py."""

    def __init__(self, device: object, listener: "contract.Listener") -> None:
        self._device = device
        self._listener = listener
        self._waiting: list[contract.Conn] = []  # those whose client we wait for, the oldest first
        self._count = 0

    async def serve(self) -> None:
        """Until cancelled or until the listener closes."""
        try:
            while True:
                conn = None
                try:
                    conn = await self._listener.accept()
                    if self._count >= PLACES:
                        (self._waiting.pop(0) if self._waiting else conn).close()
                    net.spawn(self._admit(conn))
                except PortError as error:
                    if error.code != "busy":
                        raise
                    await asyncio.sleep(ACCEPT_PAUSE_S)  # out of descriptors: some will be closed
                except MemoryError:  # a full heap costs the newcomer its connection, never the listener its life
                    if conn is not None:
                        conn.close()
                await asyncio.sleep(0)
        finally:
            self._listener.close()
            for conn in self._waiting:
                conn.close()

    async def _admit(self, conn: "contract.Conn") -> None:
        self._count += 1
        try:
            self._waiting.append(conn)
            line = await net.wait_for(_read_line(conn, REQUEST_BYTES_MAX), LINE_MS)
            self._leave(conn)
            answer = json.dumps(await self._answer(line)).encode() + b"\n"
            self._waiting.append(conn)
            await net.wait_for(conn.write(answer), LINE_MS)
        except CoreletError:  # the client went away, stalled or sent no line: its connection ends, nothing else
            return
        finally:
            conn.close()
            self._count -= 1
            self._leave(conn)

    def _leave(self, conn: "contract.Conn") -> None:
        """In place: there may be no room for another list."""
        if conn in self._waiting:
            self._waiting.remove(conn)

    async def _answer(self, line: bytes) -> "dict[str, Any]":
        try:
            if line.count(b"{") != 1 or b"[" in line:  # nesting would cost more memory than its bytes
                raise PeerError("control", "one flat JSON object on one line was expected")
            return {"answer": await self._act(_object(line))}
        except CoreletError as error:
            return {"error": error.text}

    async def _act(self, request: "dict[str, Any]") -> "dict[str, Any]":
        device: Any = self._device
        do, core_id = request.get("do"), request.get("core")
        is_leave = do in LEAVE and set(request) == {"do", "core"}
        key, value = request.get("key"), request.get("value")
        if do == "limit" and len(request) == 3 and isinstance(key, str) and type(value) is int:
            return device.limit(key, value)  # type: ignore[no-any-return]
        if set(request) != {"do"} and not is_leave:
            raise UsageError("control", "a request has the key 'do' and what that takes, nothing else")
        if do == "status":
            return device.status()  # type: ignore[no-any-return]
        if do == "logs":
            return {"lines": device.log_lines()}
        if do == "pair-window":
            return await device.open_window()  # type: ignore[no-any-return]
        if is_leave and isinstance(core_id, str):
            return await device.leave(core_id, do)  # type: ignore[no-any-return]
        if do == "stop":
            return await device.finish()  # type: ignore[no-any-return]
        if do == "reset":
            return await device.reset()  # type: ignore[no-any-return]
        raise UsageError("control", "the running device does not know this command; is it of another version?")


def _object(line: bytes) -> "dict[str, Any]":
    """Raises PeerError("control") for what is not one JSON object in UTF-8."""
    try:
        found = json.loads(line.decode())
    except (ValueError, RuntimeError):  # RuntimeError: nested deeper than the stack
        found = None
    if not isinstance(found, dict):
        raise PeerError("control", "one flat JSON object on one line was expected")
    return found


async def _read_line(conn: "contract.Conn", bytes_max: int) -> bytes:
    """One line without its end. PeerError("control") when it is longer or not ended."""
    pieces, length = [], 0
    while length <= bytes_max:
        piece = await conn.read(READ_BYTES)
        end = piece.find(b"\n")
        pieces.append(piece if end < 0 else piece[:end])
        if end >= 0 or not piece:
            break
        length += len(piece)
    if end < 0:
        raise PeerError("control", f"a line of at most {bytes_max} bytes was expected")
    return b"".join(pieces)


async def ask(net: "contract.Net", folder: str, request: "dict[str, Any]") -> "dict[str, Any]":
    """The running device's answer. PortError("not_running") when none runs on `folder`; UsageError("device") with the
    device's own sentence when it refused."""
    try:
        conn = await net.connect_local(folder + "/" + SOCKET, LINE_MS)
    except PortError as error:
        if error.code in NOBODY:
            raise PortError("not_running", f"no device runs on {folder}; start it with: corelet up")
        raise
    try:
        await net.wait_for(conn.write(json.dumps(request).encode() + b"\n"), LINE_MS)
        answer = _object(await net.wait_for(_read_line(conn, ANSWER_BYTES_MAX), ANSWER_MS))
    except PeerError:
        answer = {}
    finally:
        conn.close()
    if isinstance(answer.get("error"), str):
        raise UsageError("device", answer["error"])
    if not isinstance(answer.get("answer"), dict):
        raise PeerError("control", f"no device answers on {folder}/{SOCKET}; is another program on its socket?")
    return answer["answer"]  # type: ignore[no-any-return]
