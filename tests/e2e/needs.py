"""What an end-to-end test needs from the machine. Absent: the test is skipped and says why; in CI it fails.

MOSQUITTO = needs.program("mosquitto")      # inside the test or fixture, not at import time
needs.root()
segno = needs.module("segno")
"""

import importlib
import os
import shutil
import sys
from types import ModuleType

import pytest

# Beside this interpreter (micropython of the environment), and where Debian keeps daemons.
_MORE_FOLDERS = os.path.dirname(sys.executable) + ":/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str, package: str = "") -> str:
    """The path of a program; `package` is the Debian package that has it, when its name differs."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":" + _MORE_FOLDERS)
    if found is None:
        absent(f"needs the program {name}: apt install {package or name}")
    return str(found)


def root() -> None:
    """For network namespaces and foreign user ids."""
    if os.geteuid() != 0:
        absent("needs root, for network namespaces")


def module(name: str) -> ModuleType:
    """An optional Python module."""
    try:
        return importlib.import_module(name)
    except ImportError:
        absent(f"needs the Python module {name}: pip install -e '.[gateway,dev]'")
        raise


def absent(reason: str) -> None:
    """Skip with `reason`; where CI=true, fail, because there a skip would hide a hole."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason + " (a skip is a failure in CI)", pytrace=False)
    pytest.skip(reason)
