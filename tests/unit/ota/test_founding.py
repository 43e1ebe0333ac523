"""Who a board is in a release; a state that is made is in tests/e2e/test_ota_install.py."""

from ota.founding import DOMAINS, VENDOR, settings_of, uuid5


def test_version_5():
    """RFC 9562 appendix A.4."""
    assert uuid5(DOMAINS, "www.example.com").hex() == "2ed6657de927568b95e12665a8aea6a2"


def test_settings():
    made = settings_of("generic-linux", VENDOR, "ffee")
    assert made["class"] == uuid5(made["vendor"], "generic-linux") != made["vendor"] == uuid5(DOMAINS, VENDOR)
    assert made["device"] == "ffee"
