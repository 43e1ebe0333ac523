"""The real crypto and codec of this interpreter without the rest of the port.

On MicroPython `import agent.port` also loads clock, files, net and asyncio: 32 KiB that these tests do not
use and cannot spare in 128 KiB. There an empty package stands in for agent/port/__init__.py; its pure bodies
load as always. CPython takes the port as it is.

Import this first: compiling P-256 needs more room than anything after it.
"""

import gc
import sys

if sys.implementation.name == "micropython":
    gc.threshold(4096)  # collect while modules load: else they lie scattered between garbage and nothing large fits


def load() -> tuple:
    """(crypto, codec)."""
    if sys.implementation.name != "micropython":
        from agent import port

        return port.crypto(), port.codec()
    if "agent.port" not in sys.modules:
        import agent.core

        agent.core.__path__, kept = "agent/port", agent.core.__path__
        sys.modules["agent.port"] = agent.core
        import agent.port.micropython.ccm
        import agent.port.micropython.crypto
        import agent.port.micropython.ladder

        agent.core.__path__ = kept
    from agent.port.micropython import crypto
    from ota import cbor

    return crypto, cbor


crypto, codec = load()
