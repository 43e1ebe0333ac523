"""SUIT command sequences: what a device obeys, and that it obeys nothing else."""

from ota import cbor, commands
from ota.errors import CoreletError, LimitError, PeerError, TrustError
from tests.expect import raises
from tests.unit.ota.making import image_digest


def read(flat, is_shared=False, components=1):
    return commands.Reader(components).sequence(cbor.encode(flat), is_shared, 0)


def branch(*flat):
    return cbor.encode(list(flat))


def test_every_command_of_the_subset():
    for code in (1, 2, 3, 4, 5, 25, 27, 28):
        for policy in (0, 2, 5, 15):
            assert read([code, policy]) == read([code, policy], True) == [(code, policy)]
    for code in (21, 22, 23, 29):
        assert read([code, 2]) == [(code, 2)]
        assert raises(TrustError, read, [code, 2], True).code == "unsupported"
    for code in (1, 3, 21, 29):
        for policy in (16, -1, True, None, b"", [], "x"):
            assert raises(PeerError, read, [code, policy]).code == "manifest", (code, policy)


def test_every_other_command_is_refused():
    known = (1, 2, 3, 4, 5, 12, 15, 20, 21, 22, 23, 25, 27, 28, 29)
    for code in range(-30, 300):
        if code not in known:
            assert raises(TrustError, read, [code, 15]).code == "unsupported", code
    for flat in ([], [3], [3, 15, 3], ["x", 15], [True, 15], [None, 15], [b"", 15], {}, 5, None):
        assert raises(PeerError, read, flat).code == "manifest", flat
    assert raises(PeerError, commands.Reader(1).sequence, None, False, 0).code == "manifest"


def test_parameters():
    version = cbor.encode([2, [3, 11]])
    good = {
        1: bytes(16), 2: bytes(16), 3: image_digest(), 4: 1, 5: 1, 14: 1 << 32, 21: "a", 22: 0, 28: version,
        29: cbor.encode({5: 1}), -1: 7,
        -2: bytes(32), -3: cbor.encode({"cpython": [[3, 11], [4]]}),
    }  # fmt: skip
    assert read([20, good]) == [(20, good)]
    for label in list(range(-30, 0)) + list(range(1, 64)) + ["x"]:
        if label not in good:
            assert raises(TrustError, read, [20, {label: 1}]).code == "unsupported", label
    for label, values in (
        (1, (b"", bytes(15), bytes(17), "x" * 16, 1)),
        (3, (b"", 5, image_digest(b""), image_digest() + b"\0", b"\x80")),
        (4, (-1, True, b"")), (5, (-1, 256, None)), (14, (-1, "1")), (21, ("", "x" * 256, b"x")),
        (22, (1, -1, True)),
        (28, (b"", 5, cbor.encode([0, [1]]), cbor.encode([6, [1]]), cbor.encode([1, []]),
              cbor.encode([1, [1] * 6]), cbor.encode([1, ["x"]]), cbor.encode([1]), cbor.encode([True, [1]]),
              cbor.encode({}))),
        (29, (b"", cbor.encode([]), cbor.encode({}), cbor.encode({5: True}), cbor.encode({4: 1}))),
        (-1, (-1, True, b"")), (-2, (b"", bytes(31), bytes(33), 1)),
        (-3, (b"", 5, cbor.encode([]), cbor.encode({}), cbor.encode({7: [[1], [2]]}), cbor.encode({"a": [[1]]}),
              cbor.encode({-1: [[1], [2]]}), cbor.encode({0: [[1], [2]], "cpython": [[1], [2]]}),
              cbor.encode({"a": [[1], []]}), cbor.encode({"a": [1, 2]}), cbor.encode({"": [[1], [2]]}),
              cbor.encode({"a": [[1], [2], [3]]}), cbor.encode({f"a{one}": [[1], [2]] for one in range(17)}))),
    ):  # fmt: skip
        for value in values:
            error = raises(CoreletError, read, [20, {label: value}])
            assert error.code in ("manifest", "cbor", "unsupported"), (label, value)
    for argument in ({}, [], None, 5, b""):
        assert raises(PeerError, read, [20, argument]).code == "manifest", argument
    other = cbor.encode([-44, bytes(48)])
    assert raises(TrustError, read, [20, {3: other}]).code == "algorithm"


def test_component_indexes():
    for argument in (0, 2, True, [0, 2], [1]):
        assert read([12, argument], False, 3) == [(12, argument)]
    for argument in (3, -1, False, None, [], [3], [True], [0, "x"], "x", b"", {}):
        assert raises(PeerError, read, [12, argument], False, 3).code == "manifest", argument
    assert read([20, {22: 2}], False, 3)
    assert raises(PeerError, read, [20, {22: 3}], False, 3).code == "manifest"


def test_try_each():
    assert read([15, [branch(5, 5), branch(5, 5, 3, 15)]]) == [(15, [[(5, 5)], [(5, 5), (3, 15)]])]
    assert read([15, [branch(5, 5), None]]) == [(15, [[(5, 5)], []])]
    for argument in ([], [branch(5, 5)], None, 5, [None, branch(5, 5)], [branch(5, 5), branch()], [5, 5], [None, None]):
        assert raises(PeerError, read, [15, argument]).code == "manifest", argument
    assert raises(TrustError, read, [15, [branch(21, 2), None]], True).code == "unsupported"
    assert raises(TrustError, read, [15, [branch(32, b""), None]]).code == "unsupported"
    nested = [5, 5]
    for _ in range(commands.DEPTH_MAX):
        nested = [15, [cbor.encode(nested), None]]
    assert read(nested)
    assert raises(LimitError, read, [15, [cbor.encode(nested), None]]).code == "too_big"


def test_counts_are_bounded_over_the_whole_manifest():
    most = commands.COMMANDS_MAX
    assert len(read([3, 15] * most)) == most
    assert raises(LimitError, read, [3, 15] * (most + 1)).code == "too_big"
    half = branch(*([3, 15] * (most // 2)))
    assert raises(LimitError, read, [15, [half, half]]).code == "too_big"


def test_the_security_floor_is_the_highest_that_is_named():
    reader = commands.Reader(1)
    reader.sequence(branch(20, {-1: 5}, 15, [branch(20, {-1: 9}), None], 20, {-1: 7}), True, 0)
    assert reader.security_floor == 9


def test_needs_by_number():
    """Shorter, and the same to who asks: what stands at a place never changes."""
    two = [[3, 11], [4]]
    found = commands.read_needs(cbor.encode({0: two, 3: [[5, 6], [7]], "some-library": [[1], [2]]}))
    assert found == {"cpython": two, "cbor2": [[5, 6], [7]], "some-library": [[1], [2]]}
    assert commands.NAMES[:7] == ["cpython", "micropython", "paho-mqtt", "cbor2", "pycryptodome", "zeroconf", "psutil"]
