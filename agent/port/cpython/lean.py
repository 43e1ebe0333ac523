"""paho-mqtt without dnspython: where that is installed paho loads it for DNS SRV, which we never use, and an idle
device would pay 4 MB for it.
"""

import sys
from typing import Any

OPTIONAL = "dns"

_loaded: dict[str, Any] = {name: sys.modules[name] for name in (OPTIONAL,) if name in sys.modules}
sys.modules[OPTIONAL] = None  # type: ignore[assignment]
try:
    from paho.mqtt import client as paho
finally:
    del sys.modules[OPTIONAL]
    sys.modules.update(_loaded)

__all__ = ["paho"]
