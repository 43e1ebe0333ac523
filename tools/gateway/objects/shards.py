"""The core's side of a device's shard listener: PUT, GET, HEAD and DELETE /shards/<sha256>, with tokens and receipts.

It moves one shard to or from one device and believes nothing: a PUT or DELETE counts only with a receipt that fits what
was asked, bytes that do not hash to the shard's name are an error, and an answer longer than expected is cut off.
It does not choose devices (placement, download) and does not remember anything durable (registry).

Bounds: REQUESTS_PER_DEVICE_MAX at a time per device, TRIES_MAX for a busy one, each attempt within its time-out. A
device that could not be reached is left alone for SUSPENDED_S: one dead device delays a long put once, not each stripe.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import httpx

from agent.errors import CoreletError, LimitError, PeerError, PortError, TrustError
from agent.wire import answers, audit, full_core, token
from tools.gateway.addresses import parsed, plain, usable_port
from tools.gateway.links import heads
from tools.gateway.links.dialled import SUFFIX, Dialled
from tools.gateway.objects.scores import Scores

if TYPE_CHECKING:
    from agent.port import contract

REQUESTS_PER_DEVICE_MAX = 4
TRIES_MAX = 4
CONNECT_TIMEOUT_S = 2.0
GET_TIMEOUT_S = 30.0
PUT_TIMEOUT_S = 30.0
BUSY_WAIT_S_MAX = 5
SUSPENDED_S = 10.0
TOKEN_LIFE_S = 30  # made when its request leaves; a device must remember each id for so long
ANSWER_BYTES_MAX = 4096
PIECE_BYTES = 131072
KEEP_UNTIL_DELETED = 0
RETRY_DIGITS_MAX = 4
DENIALS = ("not_found", "corrupt")  # codes that say that the shard is not there
UNEXPECTED = (
    httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError,
    ValueError, ArithmeticError, LookupError, TypeError, ExceptionGroup,
)  # fmt: skip


class Target(NamedTuple):
    """A paired device as the link last described it. `boot` is its boot number: tokens hold for one boot only."""

    device: str
    name: str
    addresses: tuple[str, ...]
    port: int
    boot: int
    slots: tuple[int, ...]
    free_bytes: int
    link_secret: bytes
    is_up: bool
    is_trusted: bool = True  # False: its audits went badly
    is_leaving: bool = False  # its owner takes it away, once others have what it keeps

    @property
    def is_emptied(self) -> bool:
        """What it keeps goes elsewhere."""
        return self.is_leaving or not self.is_trusted

    def takes(self, slot: int) -> bool:
        """Whether it has room for a shard of this class."""
        return slot in self.slots and self.free_bytes >= slot

    @property
    def is_host(self) -> bool:
        """Objects are coded for it."""
        return self.is_up and not self.is_emptied


@dataclass
class _Peer:
    """What is remembered of one device while the core runs."""

    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REQUESTS_PER_DEVICE_MAX))
    in_flight: int = 0
    suspended_until: float = 0.0
    address: str = ""  # the one that worked last


class _Order(NamedTuple):
    """What is asked of a device; `size` is the shard's."""

    operation: str
    name: bytes
    size: int
    data: bytes = b""
    room: int = ANSWER_BYTES_MAX  # bytes of an answer that is good

    @property
    def path(self) -> str:
        return "/audit" if self.operation == "audit" else f"/shards/{self.name.hex()}"


class _Answer(NamedTuple):
    status: int
    body: bytes
    retry_s: int


class ShardClient:
    """One for the whole core; close it at the end."""

    def __init__(
        self, core_id: str, codec: "contract.Codec", crypto: "contract.Crypto", unix_time: Callable[[], int]
    ) -> None:
        self._core_id = core_id
        self._codec = codec
        self._crypto = crypto
        self._unix_time = unix_time
        self._peers: dict[str, _Peer] = {}
        self.scores = Scores()
        self.retries = 0  # requests that a busy device was asked again
        self.dialled: Dialled | None = None  # connections of devices that cannot be reached
        limits = {"max_connections": None, "max_keepalive_connections": 64, "keepalive_expiry": 5.0}
        self._http = heads.client(heads.Network(), **limits)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def cost(self, device: str) -> float:
        """Expected seconds until a read from it would be answered; more while it is suspended."""
        waiting = self._peer(device).in_flight + 1
        return self.scores.expected_s(device) * waiting + (1000 if self.is_suspended(device) else 0)

    def is_suspended(self, device: str) -> bool:
        """It could not be reached a moment ago."""
        return time.monotonic() < self._peer(device).suspended_until

    def welcome(self, device: str) -> None:
        """The link says that it is back."""
        self._peer(device).suspended_until = 0.0

    def drop(self, device: str) -> None:
        """It was forgotten."""
        self._peers.pop(device, None)
        self.scores.drop(device)

    async def put(self, target: Target, name: bytes, data: bytes) -> None:
        """Return when the device has promised to keep it and proven so. Raises CoreletError."""
        with _contained(target):
            await self._receipted(target, _Order("put", name, len(data), data), ("stored", "present"))

    async def delete(self, target: Target, name: bytes, size: int) -> None:
        """Return when the device has proven that it freed it. PeerError("not_found") is what somebody there says."""
        with _contained(target):
            await self._receipted(target, _Order("delete", name, size), ("deleted",))

    async def get(self, target: Target, name: bytes, size: int) -> bytes:
        """The shard, checked against its name. PeerError: DENIALS, which nobody has signed."""
        started = time.monotonic()
        try:
            with _contained(target):
                answer, _ = await self._ask(target, _Order("get", name, size))
        except asyncio.CancelledError:  # another device was faster
            self.scores.given_up(time.monotonic() - started)
            raise
        if len(answer.body) != size or hashlib.sha256(answer.body).digest() != name:
            self.scores.lied(target.device)
            raise PeerError("corrupt", f"{target.name} sent bytes that are not the shard asked for")
        self.scores.took(time.monotonic() - started)
        return answer.body

    async def challenge(self, target: Target, challenge: audit.Challenge) -> bytes:
        """The records of its answer (agent/wire/answers.py reads them). Whatever is not signed for this very challenge
        proves nothing, and is an error."""
        question = answers.encode_challenge(self._codec, challenge)
        length = audit.records_bytes(challenge, target.device)
        name = hashlib.sha256(question).digest()
        with _contained(target):
            order = _Order("audit", name, len(question), question, length + token.RECEIPT_BYTES_MAX)
            answer, token_id = await self._ask(target, order)
            receipt = full_core.decode_receipt(self._codec, self._crypto, target.link_secret, answer.body[length:])
        records = answer.body[:length]
        asked = answers.Asked(target.device, token_id)
        answers.check_receipt(asked, hashlib.sha256(question + records).digest(), length, receipt)
        return records

    async def has(self, target: Target, name: bytes, size: int) -> bool:
        """Whether the device says that it has it; only a GET proves it."""
        try:
            with _contained(target):
                await self._ask(target, _Order("head", name, size))
        except PeerError as error:
            if error.code in DENIALS:
                return False
            raise
        return True

    async def _receipted(self, target: Target, order: _Order, results: tuple[str, ...]) -> None:
        answer, token_id = await self._ask(target, order)
        receipt = full_core.decode_receipt(self._codec, self._crypto, target.link_secret, answer.body)
        said = (receipt.device, receipt.token_id, receipt.operation, receipt.shard)
        # A promise must name the size; what is deleted need not have had the one we asked for.
        is_sized = order.operation == "delete" or receipt.size == order.size
        asked = (target.device, token_id, order.operation, order.name)
        if said != asked or not is_sized or receipt.result not in results:
            raise TrustError("receipt", f"{target.name} answered with a receipt for something else than was asked")

    async def _ask(self, target: Target, order: _Order) -> tuple[_Answer, bytes]:
        """One operation with a fresh token for each try; waits for a busy device a few times."""
        peer = self._peer(target.device)
        if self.is_suspended(target.device):
            raise PortError("unreachable", f"{target.name} could not be reached a moment ago")
        peer.in_flight += 1
        try:
            async with peer.gate:
                for tries in range(1, TRIES_MAX + 1):
                    token_id = token.token_id(target.boot, self._crypto.entropy(token.TOKEN_ID_BYTES))
                    headers = {"authorization": "Bearer " + self._token(target, token_id, order)}
                    answer = await self._exchange(target, order, headers)
                    if answer.status in (200, 201):
                        return answer, token_id
                    error = _refusal(target, answer)
                    if error.code not in ("busy", "token_used") or tries == TRIES_MAX:
                        raise error
                    self.retries += 1
                    await asyncio.sleep(min(BUSY_WAIT_S_MAX, answer.retry_s or 1) if error.code == "busy" else 0)
                raise AssertionError("the loop above always ends in a result")
        finally:
            peer.in_flight -= 1

    def _token(self, target: Target, token_id: bytes, order: _Order) -> str:
        claims = token.Claims(
            core=self._core_id,
            device=target.device,
            expiry=self._unix_time() + TOKEN_LIFE_S,
            token_id=token_id,
            operation=order.operation,
            shard=order.name,
            size=order.size,
            keep_until=KEEP_UNTIL_DELETED,
        )
        return full_core.encode_token(self._codec, self._crypto, target.link_secret, claims)

    async def _exchange(self, target: Target, order: _Order, headers: dict[str, str]) -> _Answer:
        """Try the address that worked last, then the others. A refused connection costs nothing; a time-out ends it."""
        peer = self._peer(target.device)
        addresses = sorted(plain(target.addresses), key=lambda address: address != peer.address)
        client = self._http
        if self.dialled is not None and self.dialled.has(target.device):
            addresses, client = [target.device + SUFFIX], self.dialled.client(target.device)
        problem = "it has announced no address"
        for address in addresses:
            started = time.monotonic()
            try:
                async with asyncio.timeout(GET_TIMEOUT_S if order.operation == "get" else PUT_TIMEOUT_S):
                    answer = await self._send(client, _url(address, target.port, order.path), order, headers)
            except TimeoutError:
                problem = "it did not answer in time"
                break
            except httpx.ConnectError:
                problem = f"nothing answers at {address} port {target.port}"
            except httpx.ConnectTimeout:
                problem = f"no answer from {address} port {target.port}"
            except httpx.HTTPError as error:
                problem = f"the connection broke ({type(error).__name__})"
            except asyncio.CancelledError:
                if order.operation == "get":
                    self.scores.late(target.device, time.monotonic() - started)
                raise
            else:
                peer.address = address
                if order.operation == "get" and answer.status == 200:
                    self.scores.answered(target.device, time.monotonic() - started)
                return answer
        peer.suspended_until = time.monotonic() + SUSPENDED_S
        raise PortError("unreachable", f"{target.name} cannot be reached: {problem}")

    async def _send(self, client: httpx.AsyncClient, url: httpx.URL, order: _Order, headers: dict[str, str]) -> _Answer:
        timeout = httpx.Timeout(GET_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        headers = headers | {"accept-encoding": "identity"}
        method = "POST" if order.operation == "audit" else order.operation.upper()
        content = None
        if order.operation in ("put", "audit"):
            content, headers = _pieces(order.data), headers | {"content-length": str(len(order.data))}
        async with client.stream(method, url, headers=headers, content=content, timeout=timeout) as response:
            if "transfer-encoding" in response.headers:  # chunks of a byte each would take the loop for seconds
                raise httpx.RemoteProtocolError("the answer does not say how long it is")
            good_room = order.size if order.operation == "get" else order.room
            room = good_room if response.status_code == 200 else ANSWER_BYTES_MAX
            if response.status_code == 200:
                response.extensions["network_stream"].allow(room)
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > room:
                    raise httpx.RemoteProtocolError("the answer is longer than what was asked for")
            return _Answer(response.status_code, bytes(body), _seconds(response.headers.get("retry-after", "")))

    def _peer(self, device: str) -> _Peer:
        return self._peers.setdefault(device, _Peer())


@contextmanager
def _contained(target: Target) -> Iterator[None]:
    """Whatever a device's answer or birth can make a library raise is that device's failure and nobody else's."""
    try:
        yield
    except UNEXPECTED as error:
        text = f"{target.name} sent something that cannot be used ({type(error).__name__})"
        raise PeerError("answer", text) from error


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    """What one send hands to the socket; all at once would be copied to wait there."""
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def _seconds(text: str) -> int:
    """Of a Retry-After header; 0 when it is a date, nonsense or endless."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= RETRY_DIGITS_MAX else 0


def _url(address: str, port: int, path: str) -> httpx.URL:
    """Built of parts that were checked: nothing in an address can become another part."""
    if not address.endswith(SUFFIX) and (parsed(address) is None or not usable_port(port)):
        raise ValueError("it has announced no usable address")
    return httpx.URL(scheme="http", host=address, port=port, path=path)


REFUSALS: dict[int, tuple[type[CoreletError], str, str]] = {
    401: (TrustError, "token", "does not accept this core's token"),
    403: (TrustError, "token", "says the token is for something else"),
    404: (PeerError, "not_found", "does not have this shard"),
    409: (PeerError, "token_used", "has seen this token before"),
    410: (PeerError, "corrupt", "found the shard damaged and set it aside"),
    413: (LimitError, "too_big", "has no slot of this size"),
    422: (PeerError, "transfer", "received other bytes than were sent"),
    503: (LimitError, "busy", "is busy"),
    507: (LimitError, "quota", "has no room left within its owner's limit"),
}


def _refusal(target: Target, answer: _Answer) -> CoreletError:
    """The device's refusal as an error of ours; its own words are kept short and printable."""
    kind, code, words = REFUSALS.get(answer.status, (PeerError, "status", f"answered with status {answer.status}"))
    reason = answer.body[:160].decode("utf-8", "replace").split("\n")[0]
    reason = "".join(sign for sign in reason if sign.isprintable())
    return kind(code, f"{target.name} {words}" + (f" ({reason})" if reason else ""))
