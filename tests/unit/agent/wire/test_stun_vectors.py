"""The published messages of RFC 5769 and RFC 8489 appendix B, read and written again."""

import json

from agent import port
from agent.wire import stun

VECTORS = "tests/vectors/data/stun.json"


def vectors():
    with open(VECTORS) as file:
        return json.loads(file.read())["vectors"]


def key_of(crypto, vector):
    password = vector["password"].encode()
    if "hash" not in vector:
        return password
    text = bytes.fromhex(vector["username"]) + b":" + bytes.fromhex(vector["realm"]) + b":" + password
    return crypto.md5(text) if vector["hash"] == "md5" else crypto.sha256(text)


def values(vector):
    return [(kind, bytes.fromhex(value)) for kind, value in vector["attributes"]]


def test_there_are_five():
    assert [vector["name"][:8] for vector in vectors()] == ["RFC 5769"] * 4 + ["RFC 8489"]


def test_reading():
    crypto = port.crypto()
    for vector in vectors():
        data = bytes.fromhex(vector["bytes"])
        for given in (data, memoryview(data)):
            message = stun.decode(given)
            assert (message.method, message.kind) == (vector["method"], vector["kind"]), vector["name"]
            assert message.transaction.hex() == vector["transaction"]
            assert message.attributes == values(vector), vector["name"]
            assert message.unknown() == vector["unknown"]
            key = key_of(crypto, vector)
            assert stun.is_intact(crypto, given, message, key), vector["name"]
            assert not stun.is_intact(crypto, given, message, key + b"x")
            if vector["address"]:
                ip, number = vector["address"]
                value = message.get(stun.XOR_MAPPED_ADDRESS)
                assert stun.read_xor_address(value, message.transaction) == (bytes.fromhex(ip), number)
                assert stun.xor_address((bytes.fromhex(ip), number), message.transaction) == value


def test_writing_gives_the_same_bytes():
    """Where the RFC pads with spaces, all but padding and what covers it; with its padding in place, the MAC too."""
    crypto = port.crypto()
    for vector in vectors():
        data = bytes.fromhex(vector["bytes"])
        hmac = crypto.hmac_sha256 if vector.get("hash") == "sha256" else crypto.hmac_sha1
        transaction = bytes.fromhex(vector["transaction"])
        proof = (padded_like(vector, hmac), key_of(crypto, vector))
        made = stun.encode(
            vector["method"], vector["kind"], transaction, values(vector), proof, vector["has_fingerprint"]
        )
        gap = padding_at(vector)
        end = len(data) - 4 if vector["has_fingerprint"] and vector["padding"] != "00" else len(data)
        for at in range(end):
            assert made[at] == data[at] or at in gap and made[at] == 0, (vector["name"], at)
        if vector["has_fingerprint"]:  # the fingerprint of the RFC's own bytes
            assert stun.decode(data).attributes == stun.decode(made).attributes
        else:
            assert made == data, vector["name"]


def padding_at(vector):
    """Offsets of padding bytes."""
    at, found = 20, []
    for _, value in vector["attributes"]:
        at += 4 + len(value) // 2
        while at % 4:
            found.append(at)
            at += 1
    return found


def padded_like(vector, hmac):
    """hmac over the text with the RFC's padding instead of zeros."""

    def call(key, text):
        changed = bytearray(text)
        for at in padding_at(vector):
            changed[at] = int(vector["padding"], 16)
        return hmac(key, bytes(changed))

    return call
