from agent import settings
from agent.errors import UsageError
from tests.expect import raises


def test_round_trip_is_identical_and_ordered():
    values = settings.defaults()
    values["name"] = "attic"
    values["ceilings"] = {"relay_bps": 5}
    text = settings.encode(values)
    assert settings.parse(text) == values
    assert text.index(b"name") < text.index(b"board") < text.index(b"ceilings")


def test_wrong_files_are_refused_with_key_and_allowed_values():
    cases = (
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "one JSON object"),
        (b'{"colour": 1}', "there is no 'colour'"),
        (b'{"control_port": 70000}', "0..65535"),
        (b'{"control_port": "7411"}', "control_port"),
        (b'{"control_port": true}', "control_port"),
        (b'{"name": "' + b"x" * 33 + b'"}', "0..32 characters"),
        (b'{"name": "a\\u001b[31m"}', "control characters"),
        (b'{"listen": "127.0.0.1"}', "list of IP addresses"),
        (b'{"listen": ["example.org"]}', "list of IP addresses"),
        (b'{"relay": "maybe"}', "one of auto, on, off"),
        (b'{"relay_allow": ["example.org/8"]}', "list of IP networks"),
        (b'{"ceilings": {"speed": 1}}', "no ceiling 'speed'"),
        (b'{"ceilings": {"cpu_permille": 5000}}', "10..1000 permille"),
        (b'{"ceilings": []}', "object of numbers"),
    )
    for text, expected in cases:
        error = raises(UsageError, settings.parse, text)
        assert error.code == "settings" and expected in error.text, (text, error.text)


def test_defaults_are_fresh():
    settings.defaults()["ceilings"]["relay_bps"] = 1
    assert settings.defaults()["ceilings"] == {}
