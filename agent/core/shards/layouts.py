"""The two bodies of the store: "slabs" that are written in place, or a "log" where the file system never does that."""

if False:
    from agent.core.shards.store import Store


def store_of(layout: str) -> "type[Store]":
    """The class; the other one's modules are not loaded."""
    if layout == "log":
        from agent.core.shards.log_store import LogStore

        return LogStore
    from agent.core.shards.store import Store

    return Store
