"""The device's end of the link: when to connect, what to say, which commands to run. No I/O.

    machine = DeviceLink(codec, entropy, device, boot, brokers)
    start(now) -> event Connect ... connected(now) -> event BirthWanted ... birth(body, now)
    receive(payload, topic, now) -> event Command ... answer(correlation, True, body, now)
    disconnected(now) -> a pause with full jitter -> event Connect

`outgoing` holds (payload, Publish). A connection is a *session*: a new number within this *boot* (the persisted
count of starts). Birth and will carry both, so that a will that arrives late cannot kill the session after it.

Sessions are clean: the broker keeps nothing for an absent device, so nothing grows there and nothing old is
delivered; who gives a command learns at once that the device is away (core/presence.py).

Time: the core's clock, as an offset to `now`, from dn/time. Our own wall clock is used for nothing here, so a
board that boots in 1970 or 2000 connects and works for ever. A late dn/time makes us late, never early.

Not here: MQTT and TLS (agent/port), what commands do (service hooks). Source: research note, edge.md 2 and 3.
Bounds: COMMANDS_RUNNING_MAX, ANSWER_BYTES_MAX, ANSWERS_KEPT_MAX answers of ANSWER_KEPT_BYTES_MAX, BIRTH_GAP_MS.
"""

from collections import namedtuple

from agent.core.backoff import Backoff
from agent.core.machine import Machine
from agent.errors import PeerError, UsageError
from agent.wire import envelope
from agent.wire.shape import misfit

if False:
    from typing import Any, Callable

    from agent.port import contract

STABLE_MS = 300_000  # a session this long ends the memory of earlier failures, a shorter one does not
TELEMETRY_MS = 60_000
BIRTH_GAP_MS = 5_000
COMMANDS_RUNNING_MAX = 4
COMMAND_RUN_MS_MAX = 600_000
ANSWERS_KEPT_MAX = 16
ANSWER_KEPT_BYTES_MAX = 1024
ANSWER_BYTES_MAX = 3072
OP_CHARS_MAX = 16
TIME = {"unix": ("int", 0, envelope.EXPIRY_MAX)}
COMMAND = {"op": ("text", 1, OP_CHARS_MAX), "args": ("map", 0, envelope.ENVELOPE_BYTES_MAX)}

OFF = 0
WAITING = 1
CONNECTING = 2
UP = 3

Publish = namedtuple("Publish", ("topic", "qos", "retain"))

Connect = namedtuple("Connect", ("broker", "will_topic", "will_payload"))  # broker: one of `brokers`
BirthWanted = namedtuple("BirthWanted", ("why",))  # answer with birth(body, now)
TelemetryWanted = namedtuple("TelemetryWanted", ("session",))  # answer with telemetry(body, now)
Command = namedtuple("Command", ("op", "body", "correlation"))  # answer with answer(correlation, is_ok, body, now)


class _Job:
    """One command: running while `answer` is None."""

    def __init__(self, correlation: bytes, deadline: int) -> None:
        self.correlation = correlation
        self.deadline = deadline
        self.answer: dict[str, Any] | None = None


class DeviceLink(Machine):
    """`state`: OFF, WAITING, CONNECTING or UP. `session`: number of the current or last connection."""

    def __init__(
        self, codec: "contract.Codec", entropy: "Callable[[int], bytes]", device: str, boot: int, brokers: "list[Any]"
    ) -> None:
        Machine.__init__(self)
        if not brokers:
            raise UsageError("link", "the core named no broker; pair the device again")
        self.state = OFF
        self.session = 0
        self.boot = boot
        self._codec = codec
        self._device = device
        self._brokers = brokers
        self._backoff = Backoff(entropy)
        self._sequence = 0
        self._retry_at: int | None = None
        self._stable_at: int | None = None
        self._telemetry_at: int | None = None
        self._birth_at: int | None = None
        self._birth_free_at = 0
        self._jobs: list[_Job] = []
        self._offset_ms: int | None = None

    def core_time(self, now: int) -> int | None:
        """Unix seconds of the core's clock; None until the first dn/time since boot."""
        return None if self._offset_ms is None else (now + self._offset_ms) // 1000

    def start(self, now: int) -> None:
        """Connect at once; the pauses are for failures."""
        self.state = WAITING
        self._retry_at = now
        self.wake(now)

    def connected(self, now: int) -> None:
        """The broker accepted the connection and the subscription to dn."""
        self.state = UP
        self._sequence = 0
        self._stable_at = now + STABLE_MS
        self._telemetry_at = now + TELEMETRY_MS
        self._want_birth("connected", now)
        self._arm()

    def disconnected(self, now: int) -> None:
        """The connection failed or ended; harmless to call twice."""
        if self.state not in (CONNECTING, UP):
            return
        self.state = WAITING
        self._stable_at = self._telemetry_at = self._birth_at = None
        self._retry_at = now + self._backoff.pause_ms()
        self.outgoing = []
        self._arm()

    def stop(self, now: int, is_leaving: bool = False) -> None:
        """Say goodbye (the will is not sent after an orderly end) and stay off. `is_leaving`: the device belongs to
        this core no longer; no will ever says so, because a will is spoken for who is only away."""
        if self.state == UP:
            body = {"boot": self.boot, "session": self.session}
            if is_leaving:
                body["left"] = True
            self._send("death", None, body, True)
        self.state = OFF
        self._retry_at = self._stable_at = self._telemetry_at = self._birth_at = None
        self._arm()

    def refresh(self, now: int) -> None:
        """What the birth says has changed."""
        self._want_birth("changed", now)
        self._arm()

    def birth(self, body: "dict[str, Any]", now: int) -> None:
        """Publish the birth; `boot` and `session` are added. UsageError("envelope") when it is too big."""
        if self.state == UP:
            full = dict(body)
            full["boot"] = self.boot
            full["session"] = self.session
            self._send("birth", None, full, True)

    def telemetry(self, body: "dict[str, Any]", now: int) -> None:
        if self.state == UP:
            self._send("tele", None, body, False)

    def answer(self, correlation: bytes, is_ok: bool, body: "dict[str, Any]", now: int) -> None:
        """The one answer to a command; a second one is ignored."""
        for job in self._jobs:
            if job.correlation == correlation and job.answer is None:
                self._finish(job, {"ok": is_ok, "result": body})
        self._arm()

    def receive(self, data: bytes, source: object, now: int) -> None:
        """`source`: the topic. PeerError when the message is none that a core sends to this device."""
        place = envelope.parse_topic(str(source))
        if place.device != self._device or place.direction != "dn":
            raise PeerError("topic", "a message on another's topic came: the broker's access list is wrong")
        message = envelope.decode(self._codec, data)
        if message.kind != place.kind:
            raise PeerError("envelope", "envelope: its kind is not that of its topic")
        if message.kind == "time":
            self._set_time(message.body, now)
        elif message.kind == "cmd":
            self._command(message, now)
        else:
            raise PeerError("kind", "expected dn/cmd or dn/time, came dn/" + message.kind)
        self._arm()

    def wake(self, now: int) -> None:
        if self.state == WAITING and _is_due(self._retry_at, now):
            self._connect()
        if _is_due(self._stable_at, now):
            self._stable_at = None
            self._backoff.reset()
        if _is_due(self._telemetry_at, now):
            self._telemetry_at = now + TELEMETRY_MS
            self.events.append(TelemetryWanted(self.session))
        if _is_due(self._birth_at, now):
            self._want_birth("asked", now)
        for job in self._jobs:
            if job.answer is None and job.deadline <= now:
                self._finish(job, _refusal("timeout", "the command took too long"))
        self._arm()

    def _connect(self) -> None:
        self.state = CONNECTING
        self._retry_at = None
        self.session += 1
        will = {"boot": self.boot, "session": self.session}
        payload = envelope.encode(self._codec, envelope.Envelope("death", 0, None, None, will))
        broker = self._brokers[(self.session - 1) % len(self._brokers)]
        self.events.append(Connect(broker, envelope.topic(self._device, "up", "death"), payload))

    def _want_birth(self, why: str, now: int) -> None:
        """Now, or when BIRTH_GAP_MS have passed since the last: a core cannot make us shout."""
        if self.state != UP:
            return
        if why != "connected" and now < self._birth_free_at:
            self._birth_at = self._birth_free_at
            return
        self._birth_at = None
        self._birth_free_at = now + BIRTH_GAP_MS
        self.events.append(BirthWanted(why))

    def _set_time(self, body: "dict[str, Any]", now: int) -> None:
        if misfit(body, TIME) is not None:
            raise PeerError("time", "expected unix seconds in dn/time")
        self._offset_ms = body["unix"] * 1000 - now

    def _command(self, message: envelope.Envelope, now: int) -> None:
        correlation = message.correlation
        if correlation is None or message.expiry is None:
            raise PeerError("command", "expected a correlation and an expiry in a command")
        if misfit(message.body, COMMAND) is not None:
            raise PeerError("command", "expected op and args in a command")
        op, body = message.body["op"], message.body["args"]
        for job in self._jobs:
            if job.correlation == correlation:
                # Delivered twice: never run it twice; repeat the answer, if there is one.
                if job.answer is not None:
                    self._send_answer(job)
                return
        job = self._new_job(correlation, now)
        unix = self.core_time(now)
        if unix is None:
            self._finish(job, _refusal("no_time", "this device does not know the core's time yet"))
        elif unix > message.expiry:
            self._finish(job, _refusal("expired", "the command came after its expiry"))
        elif op == "ping":
            self._finish(job, {"ok": True, "result": {}})
        elif op == "rebirth":
            self._want_birth("asked", now)
            self._finish(job, {"ok": True, "result": {}})
        elif len([each for each in self._jobs if each.answer is None]) > COMMANDS_RUNNING_MAX:
            self._finish(job, _refusal("busy", "this device already runs as many commands as it can"))
        else:
            self.events.append(Command(op, body, correlation))

    def _new_job(self, correlation: bytes, now: int) -> _Job:
        for old in self._jobs:
            if len(self._jobs) >= ANSWERS_KEPT_MAX and old.answer is not None:
                self._jobs.remove(old)
                break
        job = _Job(correlation, now + COMMAND_RUN_MS_MAX)
        self._jobs.append(job)
        return job

    def _finish(self, job: _Job, answer: "dict[str, Any]") -> None:
        try:
            size = len(self._codec.encode(answer))
        except UsageError as error:
            answer, size = _refusal("answer", error.text), 0
        if size > ANSWER_BYTES_MAX:
            answer, size = _refusal("too_big", f"the answer has {size} bytes, {ANSWER_BYTES_MAX} are allowed"), 0
        job.answer = answer
        self._send_answer(job)
        if size > ANSWER_KEPT_BYTES_MAX:
            job.answer = _refusal("answered", "the answer was sent once and was too big to keep")

    def _send_answer(self, job: _Job) -> None:
        """Without a session the answer waits for the core to ask again."""
        if self.state == UP and job.answer is not None:
            self._send("ack", job.correlation, job.answer, False)

    def _send(self, kind: str, correlation: bytes | None, body: "dict[str, Any]", is_retained: bool) -> None:
        message = envelope.Envelope(kind, self._sequence, correlation, None, body)
        payload = envelope.encode(self._codec, message)
        self._sequence += 1
        self.outgoing.append((payload, Publish(envelope.topic(self._device, "up", kind), 1, is_retained)))

    def _arm(self) -> None:
        running = [job.deadline for job in self._jobs if job.answer is None]
        times = [self._retry_at, self._stable_at, self._telemetry_at, self._birth_at] + running
        due = [time for time in times if time is not None]
        self.wake_at = min(due) if due else None


def _is_due(when: int | None, now: int) -> bool:
    return when is not None and when <= now


def _refusal(code: str, text: str) -> "dict[str, Any]":
    return {"ok": False, "result": {"code": code, "text": text}}
