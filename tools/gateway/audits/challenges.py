"""One question to one device about some of its shards, and what its answer proves of each. No rows are changed here.

READ is not a challenge but a GET: for a shard that was stored before there were proofs, it makes one. WHOLE takes one
shard, because its nonce is that shard's salt.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from agent.wire import answers
from agent.wire.audit import CORRUPT, HAS, LEAF, LOST, NONCE_BYTES, WHOLE, Challenge
from tools.gateway.objects.shards import ShardClient, Target
from tools.gateway.registry.audit_rows import AuditRows
from tools.gateway.registry.tables import Placed, Proof

READ = 0
WORDS = {LOST: "lost", CORRUPT: "corrupt"}


class Question(NamedTuple):
    """`nonce`: the salt of a WHOLE; asked again it is the same, so a device that waits gains nothing."""

    kind: int
    nonce: bytes
    shards: tuple[Placed, ...]

    @property
    def challenge(self) -> Challenge:
        subject = b"".join(shard.name + shard.size.to_bytes(4, "big") for shard in self.shards)
        return Challenge(self.kind, self.nonce, subject)

    def kept(self) -> list[Any]:
        """What `again` needs, as JSON takes it."""
        return [self.kind, self.nonce.hex(), [[each.object, each.stripe, each.number] for each in self.shards]]


def prove(shards: Sequence[bytes]) -> list[Proof]:
    """What has to be remembered of each to judge answers later; takes about 2.5 ms for each MiB of them."""
    salts = [os.urandom(NONCE_BYTES) for _ in shards]
    return [Proof(answers.root_of(data), salt, _salted(salt, data)) for data, salt in zip(shards, salts, strict=True)]


def _salted(salt: bytes, data: bytes) -> bytes:
    digest = hashlib.sha256(salt)
    digest.update(data)
    return digest.digest()


def ask_fresh(rows: AuditRows, shards: Sequence[Placed], is_whole: bool) -> Question | None:
    """`is_whole`: every byte of the first one, if its salt is not spent. Without a proof of the first one it is read.
    None without shards."""
    if not shards:
        return None
    proof = rows.proof(shards[0])
    if proof is None and len(shards) == 1:
        return Question(READ, b"", (shards[0],))
    if is_whole and proof is not None and proof.salt:
        return Question(WHOLE, proof.salt, (shards[0],))
    return Question(LEAF, os.urandom(NONCE_BYTES), tuple(shards))


def ask_again(rows: AuditRows, device: str, kept: list[Any]) -> Question | None:
    """The same as before, about those of its shards that are still there; None when there are none."""
    kind, nonce, places = kept
    shards = [
        shard for place in places for shard in rows.placed(*place) if (shard.device, shard.state) == (device, "kept")
    ]
    return Question(kind, bytes.fromhex(nonce), tuple(shards)) if shards else None


async def put(client: ShardClient, rows: AuditRows, target: Target, question: Question) -> list[tuple[Placed, str]]:
    """(shard, "ok", "lost" or "corrupt") of each whose answer proves something. CoreletError: nothing is proven."""
    if question.kind == READ:
        shard = question.shards[0]
        rows.add_proofs([shard], prove([await client.get(target, shard.name, shard.size)]))
        return [(shard, "ok")]
    challenge = question.challenge
    records = await client.challenge(target, challenge)
    found = answers.read_entries(challenge, target.device, records)
    judged = []
    for shard, (result, said) in zip(question.shards, found, strict=True):
        proof = rows.proof(shard)
        if result != HAS:
            judged.append((shard, WORDS[result]))
        elif proof is not None and (question.kind == LEAF or proof.salt == question.nonce):
            is_true = said == (proof.root if question.kind == LEAF else proof.salted)
            judged.append((shard, "ok" if is_true else "corrupt"))
        if question.kind == WHOLE:
            rows.spend_salt(shard)
    return judged
