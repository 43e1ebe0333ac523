"""The real crypto and codec of this interpreter without the rest of the port.

On MicroPython `import agent.port` also loads clock, files, net and asyncio: 32 KiB that these tests do not
use and cannot spare in 128 KiB. There an empty package stands in for agent/port/__init__.py; its pure bodies
load as always. CPython takes the port as it is.
"""

import sys


def load() -> tuple:
    """(crypto, codec)."""
    if sys.implementation.name != "micropython":
        from agent import port

        return port.crypto(), port.codec()
    if "agent.port" not in sys.modules:
        import agent.core

        agent.core.__path__, kept = "agent/port", agent.core.__path__
        sys.modules["agent.port"] = agent.core
        import agent.port.micropython.cbor
        import agent.port.micropython.crypto

        agent.core.__path__ = kept
    from agent.port.micropython import cbor, crypto

    return crypto, cbor
