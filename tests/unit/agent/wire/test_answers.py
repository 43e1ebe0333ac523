"""Answers to challenges: what the device signed comes out, and nothing else does."""

from agent import port
from agent.errors import PeerError, TrustError
from agent.wire import answers, audit, merkle, token
from tests.expect import raises

SECRET = bytes(range(32))
DEVICE = "ffeeddccbbaa0099"
NONCE = bytes(range(16))
DATA = bytes(range(256)) * 20  # five leaves
TOKEN_ID = b"\0\5abcdef"


def entry(data):
    return port.crypto().sha256(data) + len(data).to_bytes(4, "big")


def challenge(kind=audit.LEAF, subject=None):
    return audit.Challenge(kind, NONCE, entry(DATA) + entry(b"") if subject is None else subject)


def proof_of(kind, data):
    """The record of a device that has it."""
    index = audit.leaf_index(NONCE, port.crypto().sha256(data), DEVICE, len(data))
    if kind == audit.WHOLE:
        return b"\x01" + port.crypto().sha256(NONCE + data)
    tree = merkle.Tree(index)
    for start in range(0, max(1, len(data)), 1024):
        tree.add(data[start : start + 1024])
    tree.root()
    return b"\x01" + data[index * 1024 : index * 1024 + 1024] + b"".join(tree.path)


def checked(asked, records, **changes):
    """With a receipt that fits, unless `changes` say otherwise."""
    digest = port.crypto().sha256(b"challenge" + records)
    fields = {"device": DEVICE, "token_id": TOKEN_ID, "operation": "audit", "size": len(records), "result": "audited"}
    fields.update({"shard": digest})
    fields.update(changes)
    receipt = token.Receipt(
        fields["device"], 7, fields["token_id"], fields["operation"], fields["shard"], fields["size"], fields["result"]
    )
    answers.check_receipt(answers.Asked(DEVICE, TOKEN_ID), digest, audit.records_bytes(asked, DEVICE), receipt)


def test_an_honest_answer():
    for kind in (audit.LEAF, audit.WHOLE):
        asked = challenge(kind)
        records = proof_of(kind, DATA) + proof_of(kind, b"")
        assert len(records) == audit.records_bytes(asked, DEVICE)
        checked(asked, records)
        wanted = [answers.root_of(DATA), answers.root_of(b"")]
        if kind == audit.WHOLE:
            wanted = [port.crypto().sha256(NONCE + DATA), port.crypto().sha256(NONCE)]
        assert answers.read_entries(asked, DEVICE, records) == [(audit.HAS, proof) for proof in wanted]


def test_what_one_shard_costs():
    """In the slots of small boards; the receipt comes once for all of them."""
    for size, nodes in ((65408, 6), (1048448, 10)):
        asked = challenge(audit.LEAF, bytes(32) + size.to_bytes(4, "big"))
        assert audit.records_bytes(asked, DEVICE) == 1 + 1024 + nodes * 32


def test_what_is_missing_is_zeros():
    asked = challenge()
    lengths = [audit.entry_record_bytes(asked, DEVICE, *audit.entry(asked, each)) for each in (0, 1)]
    records = b"\x02" + bytes(lengths[0] - 1) + b"\x03" + bytes(lengths[1] - 1)
    assert answers.read_entries(asked, DEVICE, records) == [(audit.LOST, b""), (audit.CORRUPT, b"")]
    for bad in (b"\x02" + bytes(lengths[0] - 2) + b"x", bytes(lengths[0]), b"\x04" + bytes(lengths[0] - 1)):
        assert raises(PeerError, answers.read_entries, asked, DEVICE, bad + records[lengths[0] :]).code == "audit"


def test_a_wrong_leaf_leads_elsewhere():
    asked = challenge(audit.LEAF, entry(DATA))
    records = bytearray(proof_of(audit.LEAF, DATA))
    for at in range(1, len(records), 50):
        records[at] ^= 1
        found = answers.read_entries(asked, DEVICE, bytes(records))
        assert found[0][0] == audit.HAS and found[0][1] != answers.root_of(DATA)
        records[at] ^= 1


def test_receipts_that_prove_nothing():
    asked = challenge()
    records = proof_of(audit.LEAF, DATA) + proof_of(audit.LEAF, b"")
    checked(asked, records)
    for name, value in (
        ("device", "0" * 16), ("token_id", bytes(8)), ("operation", "put"), ("result", "stored"), ("size", 1),
        ("shard", bytes(32)),
    ):  # fmt: skip
        assert raises(TrustError, checked, asked, records, **{name: value}).code == "receipt", name
    assert raises(TrustError, checked, asked, records + b"x").code == "receipt"


def test_inventories():
    rows = [(number, number * 7) for number in range(16)]
    records = b"".join([count.to_bytes(4, "big") + keys.to_bytes(5, "big") for count, keys in rows])
    assert len(records) == audit.records_bytes(challenge(audit.DIGEST, b""), DEVICE)
    assert answers.read_digest(records) == rows
    asked = challenge(audit.LIST, bytes(5))
    page = (300).to_bytes(4, "big") + b"\0\2" + b"abcdefghij"
    page += bytes(audit.records_bytes(asked, DEVICE) - len(page))
    assert answers.read_page(page) == (300, [b"abcde", b"fghij"])
    for bad in (page[:-1] + b"x", page[:4] + b"\xff\xff" + page[6:]):
        assert raises(PeerError, answers.read_page, bad).code == "audit"
