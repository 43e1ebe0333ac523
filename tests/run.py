"""Runs unit-test files on MicroPython (and CPython): `micropython -X heapsize=128k tests/run.py FILE`.

One file per process, so that each one proves that it fits the heap. Test functions start with `test_`;
coroutines are awaited, each in a loop of its own. The last line is `N passed, N failed`; exit status 1
when one failed or the file has no tests. tests/each.py runs all files this way.
"""

import sys

sys.path.insert(0, ".")


def show(error: BaseException) -> None:
    if hasattr(sys, "print_exception"):
        sys.print_exception(error)
    else:
        import traceback

        traceback.print_exception(error)


def call(test) -> None:  # type: ignore[no-untyped-def]
    import gc

    gc.collect()
    test = test()
    if hasattr(test, "send"):
        import asyncio  # only where needed: it costs 4 KiB of the heap that is tested

        asyncio.new_event_loop()
        asyncio.run(test)


def run(path: str) -> "tuple[int, int]":
    """(passed, failed) of one file; a file that cannot be imported is one failure."""
    passed = 0
    failed = 0
    try:
        module = __import__(path[:-3].replace("/", "."), None, None, ["*"])
        names = sorted([name for name in dir(module) if name.startswith("test_")])
    except Exception as error:
        print("FAILED", path, "import")
        show(error)
        return 0, 1
    for name in names:
        try:
            call(getattr(module, name))
            passed += 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failed += 1
            print("FAILED", path, name)
            show(error)
    if not names:
        print("FAILED", path, "has no test_ functions")
        failed = 1
    return passed, failed


def main() -> int:
    import gc

    if hasattr(gc, "threshold"):
        gc.threshold(8192)  # as port.terminal.begin: a program of ours never runs without it
    passed = 0
    failed = 0
    for path in sys.argv[1:]:
        counts = run(path)
        passed += counts[0]
        failed += counts[1]
    print(str(passed) + " passed, " + str(failed) + " failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
