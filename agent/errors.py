"""Every exception of ours: the tree of ota/errors.py, which stands there because stage-0 has no `agent`."""

from ota.errors import *  # noqa: F403 (one statement for all: a heap of 128 KiB feels six)
