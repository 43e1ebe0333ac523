"""The contract of agent.port.health()."""

import sys

from agent import port

KEYS = {
    "cpu_permille",
    "memory_total_kib",
    "memory_free_kib",
    "process_kib",
    "storage_free_bytes",
    "temperature_mc",
    "net_rx_bytes",
    "net_tx_bytes",
    "uptime_s",
}


def test_sample():
    health = port.health()
    health.sample("/")
    total = 0
    for number in range(300000):
        total += number
    values = health.sample("/")
    for key in values:
        assert key in KEYS and isinstance(values[key], int) and values[key] >= 0, key
    for key in ("memory_total_kib", "memory_free_kib", "process_kib", "storage_free_bytes", "uptime_s", "net_rx_bytes"):
        assert key in values, key
    assert 0 < values["memory_free_kib"] <= values["memory_total_kib"]
    assert 500 < values["process_kib"] < 200000
    assert 0 <= values.get("cpu_permille", 0) <= 1000


def test_board_evidence():
    evidence = port.health().board_evidence()
    assert evidence["runtime"].startswith(sys.implementation.name + " ")
    assert evidence["architecture"]
    for key in evidence:
        assert evidence[key] and "\0" not in evidence[key] and "\n" not in evidence[key]


def test_nothing_is_missing_here():
    assert port.health().missing_features() == []


def test_what_is_missing_is_named():
    health = port.health()
    if port.MICROPYTHON:
        from agent.port.micropython import evidence

        keep = evidence._has
        evidence._has = lambda module, name: name != "SSLContext"
        try:
            missing = health.missing_features()
        finally:
            evidence._has = keep
        assert [one[0] for one in missing] == ["tls"] and "micropython-mbedtls" in missing[0][1]
    else:
        keep = health.NEEDS
        health.NEEDS = (("aes", "no_such_module_here", "the package pycryptodome (pip install pycryptodome)"),)
        try:
            missing = health.missing_features()
        finally:
            health.NEEDS = keep
        assert [one[0] for one in missing] == ["aes"] and "pip install pycryptodome" in missing[0][1]
    assert missing[0][1].endswith(".") and missing[0][1].count(". ") == 0
