"""Signed envelopes and documents for tests of both interpreters, made with nothing but ota: MicroPython's heap of
128 KiB has no room for the port beside it. Test keys; nonces are a hash, never do so with a real one."""

import hashlib

from ota import cbor, p256
from ota.commands import SHA256

KEYS = (11, 22, 33, 44)  # private scalars
IMAGE = bytes(range(32))
VENDOR, CLASS = b"v" * 16, b"c" * 16
INFINITY = (0, 1, 0)


def point(scalar):
    total = INFINITY
    step = (p256.GX, p256.GY, 1)
    while scalar:
        if scalar & 1:
            total = p256.add(total, step)
        step = p256.double(step)
        scalar >>= 1
    return total


def public(scalar):
    x, y, z = point(scalar)
    shift = p256.inverse(z, p256.P)
    return p256.encode(x * shift * shift % p256.P, y * shift * shift * shift % p256.P)


def proof(scalar, message):
    digest = hashlib.sha256(message).digest()
    nonce = int.from_bytes(hashlib.sha256(digest + scalar.to_bytes(32, "big")).digest(), "big") >> 1
    r = int.from_bytes(public(nonce)[1:33], "big") % p256.N
    s = p256.inverse(nonce, p256.N) * (int.from_bytes(digest, "big") + r * scalar) % p256.N
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signature(scalar, payload, aad=b"", header=None, unprotected=None):
    protected = cbor.encode(header or {1: -9})
    made = proof(scalar, cbor.encode(["Signature1", protected, aad, payload]))
    return cbor.encode(cbor.Tag(18, [protected, unprotected or {}, None, made]))


def document(value, kind, scalars):
    payload = value if isinstance(value, bytes) else cbor.encode(value)
    return cbor.encode([payload] + [signature(scalar, payload, kind) for scalar in scalars])


def digest_of(member):
    return hashlib.sha256(cbor.encode(member)).digest()


def image_digest(data=IMAGE):
    return cbor.encode([SHA256, data])


def shared(parameters=None):
    return [20, parameters or {1: VENDOR, 2: CLASS, 3: image_digest(), 14: 4096}, 1, 15, 2, 15]


def manifest(sequence=7, commands=None, members=None, components=None):
    """`commands`: the shared sequence. `members`: label -> value, None leaves one out."""
    common = {2: components or [[b"\0"]], 4: cbor.encode(commands or shared())}
    made = {
        1: 1, 2: sequence, 3: cbor.encode(common), 7: cbor.encode([3, 15]),
        20: cbor.encode([20, {21: "full/1"}, 21, 2, 3, 15]),
    }  # fmt: skip
    made.update(members or {})
    return cbor.encode({label: made[label] for label in made if made[label] is not None})


def envelope(content=None, scalars=KEYS[:2], members=None, signatures=None):
    """`content`: the manifest's bytes. `members`: more of the envelope. `signatures`: instead of good ones."""
    content = content or manifest()
    signed = cbor.encode([SHA256, digest_of(content)])
    made = [signature(scalar, signed) for scalar in scalars] if signatures is None else signatures
    wrapped = {2: cbor.encode([signed] + made), 3: content}
    wrapped.update(members or {})
    return cbor.encode(cbor.Tag(107, wrapped))


def sha256(data):
    return hashlib.sha256(data).digest()
