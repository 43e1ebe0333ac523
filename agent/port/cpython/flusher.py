"""fdatasync off the loop, in the one worker thread that is made at the first flush."""

import os

if False:
    from concurrent.futures import Executor

_worker: "list[Executor]" = []


async def sync(fd: int) -> None:
    """OSError when it fails."""
    import asyncio  # here, so that tools without a loop do not pay for it

    if not _worker:
        from concurrent.futures import ThreadPoolExecutor

        _worker.append(ThreadPoolExecutor(1, "flush"))
    try:
        own = os.dup(fd)  # so that a close() meanwhile cannot hand the number to another file
    except OSError:  # none is left: then the loop waits
        os.fdatasync(fd)
        return
    await asyncio.get_running_loop().run_in_executor(_worker[0], _sync_and_close, own)


def _sync_and_close(fd: int) -> None:
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)
