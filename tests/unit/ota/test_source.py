"""Places and names; whole requests are in tests/e2e/test_ota_install.py."""

from ota import source
from ota.errors import PeerError, UsageError
from tests.expect import raises


def test_names_stay_inside_the_source():
    for uri in ("a", "packs/8", "full/0aF-_.bin", "a/b/c"):
        assert source.check_uri(uri) == uri
    for uri in (
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "../a",
        "a/../b",
        "a/.",
        "./a",
        "a b",
        "a\n",
        "a?b",
        "a%2e",
        "#a",
        "é",
        "a\\b",
    ):
        assert raises(PeerError, source.check_uri, uri).code == "uri", uri


def test_places():
    for place in (
        "https://host",
        "ftp://host",
        "http://",
        "http://:80",
        "http://host:x",
        "http://host:²",
        "http://host:0",
        "http://host:65536",
        "http://host:99999",
        "http://host:" + "9" * 20,
        "http://ho st",
        "http://h/\r\n",
    ):
        assert raises(UsageError, source.open_source, place).code == "source", place
    made = source.open_source("http://host:8080/a/b/")
    assert (made._host, made._port, made._path) == ("host", 8080, "/a/b")
    assert source.open_source("http://host")._path == ""


def test_a_folder():
    folder = source.open_source("tests/vectors/data/suit")
    with open("tests/vectors/data/suit/keys.json", "rb") as file:
        data = file.read()
    assert folder.small("keys.json", 100_000) == data and folder.small("nothing", 10) is None
    assert b"".join(folder.read("keys.json", 10, 100)) == data[10:110]
    assert raises(PeerError, list, folder.read("keys.json", len(data) - 5, 6)).code == "source"
