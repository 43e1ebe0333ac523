"""What a person reads."""

from agent import answers, screen

CEILINGS = {"memory_kib": 65536, "shard_bytes": 4 << 30, "connections": 8}
OFF = {"on": False, "why": "there is no core to work for yet", "port": 0, "offers": [], "proofs": []}
WINDOW = {"open": True, "seconds_left": 899, "code": "K7QX-3M9D-4TPH"}
STATUS = {
    "version": "0.1.0",
    "runtime": "micropython 1.29.0",
    "name": "attic",
    "device": "0123456789abcdef",
    "board": "generic-linux",
    "board_summary": "Any Linux machine",
    "recognised_by": "its owner named it",
    "folder": "/var/lib/corelet",
    "addresses": ["192.0.2.7", "2001:db8::7"],
    "control_port": 7411,
    "ceilings": CEILINGS,
    "missing": [["tls", "install the package micropython-mbedtls"]],
    "window": WINDOW,
    "cores": [],
    "shards": {
        "shards": 3,
        "used": 196608,
        "quota": 4 << 30,
        "read_only": False,
        "trash": 0,
        "cache": 0,
        "flash_day": 0,
        "flash_left": 0,
        "moved": 5 << 20,
    },
    "relay": OFF,
    "health": {"process_kib": 30720},
}


def changed(**named):
    return dict(STATUS, **named)


def test_lines_are_wrapped_between_pieces():
    lines = screen.wrapped(["word"] * 40, "  ")
    assert " ".join(lines).split() == ["word"] * 40 and 70 < max([len(line) for line in lines]) <= 80
    assert lines[0].startswith("word") and lines[1].startswith("  word")
    assert screen.wrapped(["a", "b" * 90, "c"], "") == ["a", "b" * 90, "c"]


def test_the_head_says_who_what_where_and_how_much():
    text = "\n".join(screen.device_lines(STATUS))
    for part in (
        "Corelet 0.1.0 on micropython 1.29.0",
        "name      attic",
        "generic-linux (Any Linux machine)",
        "4.0 GiB of shards, 8 connections",
        "192.0.2.7:7411, [2001:db8::7]:7411",
        "/var/lib/corelet",
        "off       tls: install the package micropython-mbedtls",
    ):
        assert part in text, (part, text)


def test_an_open_window_says_what_to_type():
    lines = screen.window_lines(WINDOW)
    assert "  setup code  K7QX-3M9D-4TPH" in lines
    assert lines[-1] == "waiting for a full core (14:59 left); there: corelet-core pair K7QX-3M9D-4TPH"
    drawn = screen.window_lines(dict(WINDOW, picture=["##", "# "], seconds_left=5))
    assert "##" in drawn and "(0:05 left)" in drawn[-1]


def test_a_closed_window_says_how_to_open_it():
    assert screen.window_lines({"open": False, "seconds_left": 0, "code": ""}) == [
        "The pairing window is closed; open it with: corelet pair-window"
    ]


def test_status_without_cores_shows_the_window():
    text = "\n".join(answers.status(STATUS))
    assert "3 kept, 192.0 KiB of 4.0 GiB used" in text and "30.0 MiB used by this device" in text
    assert "no more are taken" not in text
    assert "cores     none yet" in text and "waiting for a full core" in text
    assert "deleted" not in text and "flash" not in text
    busy = dict(STATUS["shards"], trash=65536, cache=131072, flash_day=8 << 30, flash_left=1 << 30)
    text = " ".join("\n".join(answers.status(changed(shards=busy))).split())
    assert "192.0 KiB of 4.0 GiB used, 64.0 KiB deleted lately, 128.0 KiB cached" in text
    assert "flash 1.0 GiB of 8.0 GiB may be written for shards now" in text
    worn = dict(STATUS["shards"], read_only=True)
    text = " ".join("\n".join(answers.status(changed(shards=worn))).split())
    assert "used; no more are taken until it starts again: the disk is read-only or failed" in text


def away(why):
    closed = {"open": False, "seconds_left": 0, "code": ""}
    cores = [
        {"core": "a" * 16, "name": "home", "connected": True, "why": "", "leaving": False},
        {"core": "b" * 16, "name": "club", "connected": False, "why": why, "leaving": True},
    ]
    return changed(cores=cores, window=closed, health={})


def test_status_says_why_a_core_is_away():
    text = "\n".join(answers.status(away("192.0.2.9 port 8883 refused the connection.")))
    assert "a" * 16 + " home, connected" in text
    assert "b" * 16 + " club, not connected: 192.0.2.9 port 8883 refused the connection." in " ".join(text.split())
    assert "window" not in text and "memory    " not in text


def test_lines_fit_80_columns():
    many = away("The certificate of 192.0.2.9 port 8883 is not the one that this core had when it was paired.")
    many.update({"addresses": [f"2001:db8:0:1:2:3:4:{number}" for number in range(6)]})
    many.update({"missing": [["tls", "install the package micropython-mbedtls " * 4]]})
    lines = answers.status(many) + answers.status(changed(window=WINDOW)) + answers.reset({"restarted": True})
    lines += answers.reset({"restarted": False}) + answers.left(
        {"core": "c" * 16, "device": "d" * 16, "freed": 5 << 30, "told": False}
    )
    assert [line for line in lines if len(line) > 80] == []
    heads = [line for line in answers.status(STATUS)[1:] if line[:2] == "  " and line[2:3] != " "]
    heads = [line for line in heads if "setup code" not in line]
    assert [line for line in heads if line[11:12] != " " or line[12:13] == " "] == [], heads


def test_the_relay_is_one_sentence():
    assert "relay     off: there is no core to work for yet" in "\n".join(answers.status(STATUS))
    offers = [["192.0.2.7", 3478, 3478, "lan"]]
    relay = {"on": True, "why": "", "port": 3478, "offers": offers, "proofs": [], "allocations": 2, "reach": ""}
    relay["total"] = [2, 10, 1000, 5, 536]
    text = " ".join("\n".join(answers.status(changed(relay=relay))).split())
    assert "port 3478, 2 allocations now, 15 packets (1.5 KiB) so far; only for this network" in text, text
    relay["reach"] = "no router answers"
    assert "only for this network: no router answers" in " ".join(
        "\n".join(answers.status(changed(relay=relay))).split()
    )
    relay["offers"] = offers + [["2001:db8::7", 3478, 3478, "wan"]]
    text = " ".join("\n".join(answers.status(changed(relay=relay))).split())
    assert "no core has reached it from outside yet" in text
    relay["proofs"] = [["2001:db8::7", 3478, "udp"]]
    assert "a core has reached it from outside" in " ".join("\n".join(answers.status(changed(relay=relay))).split())


def test_updates_are_one_sentence():
    def said(update):
        return " ".join("\n".join(answers.status(changed(update=update))).split())

    assert "updates off: it was not started by stage-0" in said(None)
    update = {"slot": "package", "state": "idle", "sequence": 7, "digest": "", "result": None, "core": ""}
    assert "updates release 7 of the package; no core may order another" in said(update)
    update.update({"slot": "b", "state": "trial", "core": "c1"})
    update["result"] = {"do": "install", "result": "failed", "text": "no route"}
    expected = "release 7 of slot b, on trial; core c1 may order others; last order: install, failed: no route"
    assert expected in said(update)


def test_short_answers():
    answer = {"core": "c", "device": "d" * 16, "freed": 131072, "told": True}
    assert answers.left(answer) == ["Left core c; 128.0 KiB that it kept here are free again.", "The core was told."]
    text = " ".join(answers.left(dict(answer, told=False)))
    assert "could not be reached: it will see this device as down until" in text
    assert text.endswith("corelet-core forget " + "d" * 16)
    assert "corelet up" in answers.reset({"restarted": False})[0]
    assert "corelet up" not in " ".join(answers.reset({"restarted": True}))
    board = {"id": "x", "summary": "A board", "ceilings": CEILINGS}
    assert answers.boards({"boards": [board]})[0] == "x: A board"
