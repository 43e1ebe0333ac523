"""Which orders are taken; what follows them is in tests/e2e/test_follow.py."""

import json

from ota import follow
from ota.errors import PeerError
from tests.expect import raises

DIGEST = "0123456789abcdef" * 4
INSTALL: dict = {"number": 1, "do": "install", "source": "http://192.0.2.1:8080/u/ffee"}
ROLLBACK: dict = {"number": 2, "do": "rollback", "source": "http://host", "digest": DIGEST}
CONFIRM: dict = {"number": 3, "do": "confirm", "healthy_s": 120, "core_reached": True}


def read(order):
    return follow.read_order(json.dumps(order).encode())


def test_orders():
    for order in (INSTALL, ROLLBACK, CONFIRM, dict(CONFIRM, core_reached=False), dict(INSTALL, number=(1 << 53) - 1)):
        assert read(order) == order
        assert follow.read_order(json.dumps(order).encode() + b"\n") == order


def test_orders_of_another_shape():
    for order in (
        {}, [], 5, None, [INSTALL], {"number": 1}, {"do": "install"}, dict(INSTALL, do="confirm"),
        dict(INSTALL, do="format"), dict(INSTALL, do=None), dict(INSTALL, digest=DIGEST), dict(INSTALL, more=1),
        dict(INSTALL, number=0), dict(INSTALL, number=-1), dict(INSTALL, number=1 << 53), dict(INSTALL, number=True),
        dict(INSTALL, number="1"), dict(INSTALL, number=1.0), dict(INSTALL, number={"a": 1}),
        dict(INSTALL, source=""), dict(INSTALL, source="/etc"), dict(INSTALL, source="https://host"),
        dict(INSTALL, source="http://ho st"), dict(INSTALL, source="http://h\r\nost"), dict(INSTALL, source=5),
        dict(INSTALL, source="http://h\u00e9"), dict(INSTALL, source="http://" + "h" * 506),
        dict(ROLLBACK, digest=DIGEST[1:]), dict(ROLLBACK, digest=DIGEST.upper()), dict(ROLLBACK, digest=None),
        dict(CONFIRM, healthy_s=0), dict(CONFIRM, healthy_s="120"), dict(CONFIRM, core_reached=1),
        dict(CONFIRM, core_reached=None),
    ):  # fmt: skip
        assert raises(PeerError, read, order).code == "order", order


def test_what_is_no_object():
    for data in (
        b"", b"{", b"}", b"nonsense", b"\xff\xfe", b"{" * 1000, b"[" * 1000, b'{"number": 1', b"{}{}", b"\0" * 1024,
        json.dumps(INSTALL).encode() + b" " * 1024,
    ):  # fmt: skip
        assert raises(PeerError, follow.read_order, data).code == "order", data
