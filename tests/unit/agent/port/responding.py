"""The mDNS responder of one device and a neighbour that speaks to it, for its three test files."""

# First, because compiling it takes the most room.
from agent.port.micropython.responder import Responder

# isort: split
from agent.port.micropython import dns
from agent.port.micropython.neighbours import Link
from agent.port.options import Service

HOME = b"\xc0\xa8\x01\x07"
PEER = ("eth0/4", b"\xc0\xa8\x01\x14", 5353)
KIND = dns.pack_name(["_corelet", "_tcp", "local"])
ATTIC = dns.pack_name(["Attic", "_corelet", "_tcp", "local"])
HOST = dns.pack_name(["box", "local"])
THEIR_SRV = b"\x00\x00\x00\x00\x00\x50" + dns.pack_name(["other", "local"])


def responder(
    instance: str = "Attic", txt: "list[tuple[str, str]] | None" = None, subtypes: "list[str] | None" = None
) -> Responder:
    service = Service("_corelet._tcp", instance, "box", 7411, [], txt or [], subtypes or [])
    machine = Responder(service, lambda limit: 0)
    machine.set_links([Link("eth0/4", [HOME], [(HOME, 24)])], 0)
    return machine


def run(machine: Responder, until: int) -> "list[tuple[int, dns.Message, tuple[str, bytes | None, int]]]":
    """(time, message, destination) of all that is sent up to `until`."""
    sent = []
    while machine.wake_at is not None and machine.wake_at <= until:
        now = machine.wake_at
        machine.wake(now)
        sent.extend([(now, dns.decode(data), to) for data, to in machine.drain_outgoing()])
    return sent


def announced(machine: "Responder | None" = None) -> Responder:
    machine = machine or responder()
    run(machine, 10000)
    return machine


def say(machine: Responder, now: int, records: "list[dns.Record]", source: "tuple[str, bytes, int]" = PEER) -> None:
    machine.receive(dns.encode(dns.Message(0, dns.RESPONSE, [], records, [], [])), source, now)


def srv(name: bytes = ATTIC, ttl: int = 120) -> dns.Record:
    return dns.Record(name, dns.SRV, dns.IN, True, ttl, THEIR_SRV)
