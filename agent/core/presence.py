"""The core's end of the link: which devices are there, what they last said, and commands that wait for answers. No I/O.

    machine = CoreLink(codec, entropy, allowed)
    set_unix(unix, now)                           # the core's wall clock; again whenever it may have been set
    receive(payload, (topic, is_retained), now)   -> events Up, Down, Left, Heard, Answer, Odd
    command(device, op, body, timeout_ms, now)    -> correlation; later event Answer

A device's birth and its will carry (boot, session). A will of an older session is ignored: the broker sends it when
it notices the end of a connection, which may be after the next one began. A *live* birth with lower numbers than seen
before is believed (a restored backup must not be locked out) and reported as Odd: two boards may share one identity.
So is one of the same session whose sequence number does not rise: copies of one SD card count alike.
A device that leaves for ever says so in its death ("left"); its will never does.

Sequence numbers of one session have no gaps; a gap means that something was lost, and asks for a new birth.
A command is sent again when its device comes back within the same boot: it never runs the same correlation twice.

Bounds: DEVICES_MAX devices, COMMANDS_MAX waiting commands, one rebirth in REBIRTH_GAP_MS per device.
"""

from collections import namedtuple

from agent.core import birth
from agent.core.known import Presence
from agent.core.machine import Machine
from agent.errors import LimitError, PeerError
from agent.wire import envelope

if False:
    from typing import Any, Callable

    from agent.port import contract

DEVICES_MAX = 2000
COMMANDS_MAX = 256
REBIRTH_GAP_MS = 30_000
TIME_EVERY_MS = 600_000
LEFT_PAUSE_MS = 5_000
CLOCK_STEP_MS = 2_000  # less is the rounding of `unix`
EXPIRY_SLACK_S = 2  # core time travels in whole seconds

Publish = namedtuple("Publish", ("topic", "qos", "retain"))

Up = namedtuple("Up", ("device", "boot", "session"))
Down = namedtuple("Down", ("device", "boot", "session"))
Left = namedtuple("Left", ("device",))  # it says that it belongs to this core no longer
Heard = namedtuple("Heard", ("device", "kind"))  # birth or telemetry changed
Answer = namedtuple("Answer", ("correlation", "is_ok", "body"))  # body of a failure: code, text
Odd = namedtuple("Odd", ("device", "code", "text"))


class _Wait:
    """One command that waits for its answer."""

    def __init__(self, device: str, deadline: int, message: envelope.Envelope) -> None:
        self.device = device
        self.deadline = deadline
        self.message = message


class CoreLink(Machine):
    """`allowed(device)`: does it belong to this core? What others say is refused."""

    def __init__(
        self,
        codec: "contract.Codec",
        entropy: "Callable[[int], bytes]",
        allowed: "Callable[[str], bool]",
    ) -> None:
        Machine.__init__(self)
        self.devices: dict[str, Presence] = {}
        self._codec = codec
        self._entropy = entropy
        self._allowed = allowed
        self._waits: list[_Wait] = []
        self._leaving: dict[str, int] = {}  # device -> when its word that it has left is believed
        self._offset_ms = 0
        self._sequence = 0
        self._time_at: int | None = None

    def set_unix(self, unix: int, now: int) -> None:
        """A step of the wall clock is told to the devices at the next wake."""
        offset_ms = unix * 1000 - now
        if abs(offset_ms - self._offset_ms) >= CLOCK_STEP_MS:
            self._offset_ms = offset_ms
            if self._time_at is not None:
                self._time_at = now
                self._arm()

    def connected(self, now: int) -> None:
        """Subscribed to everything that goes up; retained births and deaths follow."""
        self._time_at = now + TIME_EVERY_MS
        self._arm()

    def disconnected(self, now: int) -> None:
        """Our own connection is gone: what we know of devices is now old, and their answers are lost."""
        self._time_at = None
        self.outgoing = []
        for wait in list(self._waits):
            self._end(wait, False, _failure("core_offline", "the core lost its own connection to the broker"))
        for device in sorted(self.devices):
            presence = self.devices[device]
            presence.sequence = None
            if presence.is_up:
                self._set_down(presence)
        self._arm()

    def forget(self, device: str, now: int) -> None:
        """The device belongs to this core no longer."""
        if device in self.devices:
            for wait in [each for each in self._waits if each.device == device]:
                self._end(wait, False, _failure("forgotten", "the device was forgotten"))
            del self.devices[device]
        self._arm()

    def command(self, device: str, op: str, body: "dict[str, Any]", timeout_ms: int, now: int) -> bytes:
        """Its correlation. LimitError("offline") when the device is not connected, LimitError("busy")."""
        presence = self.devices.get(device)
        if presence is None or not presence.is_up:
            raise LimitError("offline", f"device {device} is not connected; commands are not kept for it")
        if len(self._waits) >= COMMANDS_MAX:
            raise LimitError("busy", f"{COMMANDS_MAX} commands already wait for answers")
        correlation = self._entropy(8)
        expiry = (now + self._offset_ms + timeout_ms) // 1000 + EXPIRY_SLACK_S
        fields = {"op": op, "args": body}
        wait = _Wait(device, now + timeout_ms, envelope.Envelope("cmd", 0, correlation, expiry, fields))
        self._send(device, wait.message)
        self._waits.append(wait)
        self._arm()
        return correlation

    def receive(self, data: bytes, source: object, now: int) -> None:
        """`source`: (topic, is_retained). PeerError when it is no message of a device of this core."""
        topic: str = source[0]  # type: ignore[index]
        is_retained: bool = source[1]  # type: ignore[index]
        place = envelope.parse_topic(topic)
        if place.direction != "up" or not self._allowed(place.device):
            raise PeerError("topic", f"a message of {place.device} came, which does not belong to this core")
        presence = self._presence(place.device)
        try:
            message = envelope.decode(self._codec, data)
            if message.kind != place.kind:
                raise PeerError("envelope", "envelope: its kind is not that of its topic")
            self._take(presence, message, is_retained, now)
        except PeerError:
            presence.odd += 1
            raise
        finally:
            self._arm()

    def wake(self, now: int) -> None:
        for wait in [each for each in self._waits if each.deadline <= now]:
            self._end(wait, False, _failure("timeout", "the device did not answer in time"))
        self._tell_left(now)
        if self._time_at is not None and self._time_at <= now:
            self._time_at = now + TIME_EVERY_MS
            for device in sorted(self.devices):
                if self.devices[device].is_up:
                    self._send_time(device, now)
        self._arm()

    def _presence(self, device: str) -> Presence:
        presence = self.devices.get(device)
        if presence is None:
            if len(self.devices) >= DEVICES_MAX:
                raise PeerError("devices", f"more than {DEVICES_MAX} devices; run a second core")
            presence = self.devices[device] = Presence(device)
        return presence

    def _take(self, presence: Presence, message: envelope.Envelope, is_retained: bool, now: int) -> None:
        kind = message.kind
        if kind == "death":
            self._death(presence, message.body, is_retained, now)
            return
        if kind == "birth":
            self._birth(presence, message, is_retained, now)
            return
        if is_retained or kind not in ("tele", "ack"):
            raise PeerError("kind", f"an unexpected message of kind {kind} came")
        if kind == "ack":
            self._answer(presence, message)
        telemetry = birth.parse_telemetry(message.body) if kind == "tele" else None
        if not self._is_next(presence, message.sequence, now):
            return
        presence.seen_at = now
        if telemetry is not None:
            presence.telemetry = telemetry
            self.events.append(Heard(presence.device, kind))

    def _birth(self, presence: Presence, message: envelope.Envelope, is_retained: bool, now: int) -> None:
        record = birth.parse_birth(message.body)
        born, last = (record["boot"], record["session"]), presence.sequence
        if born < presence.born:
            if is_retained:
                return  # kept by the broker from before what we already know
            text = "the device went back to an older boot or session: a restored backup, or two boards with one key"
            self._doubled(presence, text, now)
        elif born == presence.born and not is_retained and last is not None and message.sequence <= last:
            self._doubled(presence, "two boards speak with one key, as after a copied SD card", now)
        is_new = born != presence.born or not presence.is_up
        before = presence.born
        presence.born = born
        presence.birth = record
        presence.sequence = None if is_retained else message.sequence
        if is_retained and born <= presence.died:
            presence.is_up = False  # its will is kept beside it
            return
        presence.seen_at = now
        presence.is_up = True
        # Time first: a command is refused by a device that does not know it.
        self._send_time(presence.device, now)
        if is_new:
            self._resend(presence.device, before[0] == born[0])
            self.events.append(Up(presence.device, born[0], born[1]))
        self.events.append(Heard(presence.device, "birth"))

    def _doubled(self, presence: Presence, text: str, now: int) -> None:
        presence.doubled_at = now
        self.events.append(Odd(presence.device, "regressed", text))

    def _death(self, presence: Presence, body: "dict[Any, Any]", is_retained: bool, now: int) -> None:
        boot, session, has_left = birth.parse_death(body)
        presence.died = max(presence.died, (boot, session))
        if (boot, session) < presence.born:
            return
        if presence.is_up:
            self._set_down(presence)
        if has_left:
            # What the broker kept may be from before a new pairing, whose birth is kept beside it: wait for that.
            self._leaving[presence.device] = now + (LEFT_PAUSE_MS if is_retained else 0)
            self._tell_left(now)

    def _tell_left(self, now: int) -> None:
        for device in [each for each in sorted(self._leaving) if self._leaving[each] <= now]:
            del self._leaving[device]
            presence = self.devices.get(device)
            if presence is not None and presence.died >= presence.born:
                self.events.append(Left(device))

    def _set_down(self, presence: Presence) -> None:
        presence.is_up = False
        self.events.append(Down(presence.device, presence.born[0], presence.born[1]))

    def _is_next(self, presence: Presence, sequence: int, now: int) -> bool:
        """False for one that came before. A gap, or a device that we thought dead, is asked for its birth."""
        last = presence.sequence
        if last is not None and sequence <= last:
            return False
        presence.sequence = sequence
        is_odd = (last is not None and sequence != last + 1) or not presence.is_up
        if is_odd and now >= presence.rebirth_free_at:
            presence.rebirth_free_at = now + REBIRTH_GAP_MS
            self._send_time(presence.device, now)
            expiry = (now + self._offset_ms + REBIRTH_GAP_MS) // 1000
            fields = {"op": "rebirth", "args": {}}
            self._send(presence.device, envelope.Envelope("cmd", 0, self._entropy(8), expiry, fields))
        return True

    def _answer(self, presence: Presence, message: envelope.Envelope) -> None:
        is_ok, body = message.body.get("ok"), message.body.get("result")
        if (is_ok is not True and is_ok is not False) or not isinstance(body, dict):
            raise PeerError("answer", "expected ok and result in an answer")
        for wait in self._waits:
            if wait.message.correlation == message.correlation and wait.device == presence.device:
                self._end(wait, is_ok, body)
                return

    def _resend(self, device: str, is_same_boot: bool) -> None:
        for wait in [each for each in self._waits if each.device == device]:
            if is_same_boot:
                self._send(device, wait.message)
            else:
                self._end(wait, False, _failure("restarted", "the device restarted; it may or may not have run it"))

    def _end(self, wait: _Wait, is_ok: bool, body: "dict[str, Any]") -> None:
        self._waits.remove(wait)
        self.events.append(Answer(wait.message.correlation, is_ok, body))

    def _send_time(self, device: str, now: int) -> None:
        unix = (now + self._offset_ms) // 1000
        self._send(device, envelope.Envelope("time", 0, None, None, {"unix": unix}))

    def _send(self, device: str, message: envelope.Envelope) -> None:
        self._sequence = (self._sequence + 1) & envelope.SEQUENCE_MAX
        numbered = envelope.Envelope(message.kind, self._sequence, message.correlation, message.expiry, message.body)
        topic = envelope.topic(device, "dn", message.kind)
        self.outgoing.append((envelope.encode(self._codec, numbered), Publish(topic, 1, False)))

    def _arm(self) -> None:
        times = [wait.deadline for wait in self._waits]
        times += self._leaving.values()
        if self._time_at is not None:
            times.append(self._time_at)
        self.wake_at = min(times) if times else None


def _failure(code: str, text: str) -> "dict[str, Any]":
    return {"code": code, "text": text}
