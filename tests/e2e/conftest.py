"""Files that wait longest begin first: xdist's workers take whole files, and none shall wait for one at the end."""

import pytest

LONG = ("test_handover.py", "test_reach_device.py", "test_reach.py", "test_leaving.py", "test_stage0.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)  # stable: tests of one file stay together, in their order
