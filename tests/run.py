"""Runs unit-test files on MicroPython (and CPython): `micropython -X heapsize=128k tests/run.py FILE`.

One file per process, so that each one proves that it fits the heap. Test functions start with `test_`;
coroutines are awaited. Exit status 1 when one fails.
"""

import sys

sys.path.insert(0, ".")


def run(path: str) -> int:
    import asyncio
    import gc

    module = path[:-3].replace("/", ".")
    names = __import__(module, None, None, ["*"])
    failed = 0
    for name in sorted(dir(names)):
        if not name.startswith("test_"):
            continue
        gc.collect()
        try:
            result = getattr(names, name)()
            if hasattr(result, "send"):
                asyncio.run(result)
        except BaseException as error:
            failed += 1
            print("FAILED", path, name)
            if hasattr(sys, "print_exception"):
                sys.print_exception(error)
            else:
                import traceback

                traceback.print_exc()
    return failed


if __name__ == "__main__":
    sys.exit(1 if sum([run(path) for path in sys.argv[1:]]) else 0)
