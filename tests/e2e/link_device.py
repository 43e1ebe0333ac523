"""A device that is nothing but its link, as a process of its own on either interpreter.

    <python> tests/e2e/link_device.py FOLDER BOOT HOST PORT [HOST PORT …]

FOLDER holds device (its id), core (the core's id), ca.der, cert.der, key.der. Prints one line for each thing that
happens; commands: echo, fail, slow; QUIT on stdin says goodbye (CPython only).
"""

import sys

sys.path.insert(0, ".")


def read(name: str) -> bytes:
    with open(sys.argv[1] + "/" + name, "rb") as file:
        return file.read()


class Journal:
    def info(self, source: str, text: str) -> None:
        print("INFO", text)

    def warning(self, source: str, text: str) -> None:
        print("WARNING", text)

    error = warning


class Hooks:
    def birth(self) -> dict:
        return {"fw": "0.0.0", "board": "generic-linux", "name": "test", "quota": 1}

    def telemetry(self) -> dict:
        return {"uptime_s": 1}

    def bound(self) -> None:
        print("BOUND")

    async def command(self, op: str, body: dict) -> dict:
        import asyncio

        from agent.errors import UsageError

        print("COMMAND", op)
        if op == "echo":
            return body
        if op == "slow":
            await asyncio.sleep(30)
        raise UsageError("no_such", "there is no command " + op)


async def main() -> None:
    from agent.service import link

    brokers = [[sys.argv[at], int(sys.argv[at + 1])] for at in range(3, len(sys.argv), 2)]
    record = {"core": read("core").decode(), "ca": read("ca.der"), "cert": read("cert.der"), "brokers": brokers}
    identity = link.Identity(read("device").decode(), read("key.der"), int(sys.argv[2]))
    service = link.LinkService(record, identity, Hooks(), Journal())
    print("START")
    await service.run()


if __name__ == "__main__":
    from agent import port

    port.net.run(main())
