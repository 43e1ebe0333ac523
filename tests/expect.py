"""Two words for tests that run on both interpreters."""


def raises(error: type, call, *args, **kwargs):  # type: ignore[no-untyped-def]
    """Call must raise `error`; returns the exception, so that its `code` can be checked."""
    try:
        call(*args, **kwargs)
    except error as caught:
        return caught
    raise AssertionError("expected " + error.__name__)


async def araises(error: type, awaitable):  # type: ignore[no-untyped-def]
    """Awaiting must raise `error`; returns the exception."""
    try:
        await awaitable
    except error as caught:
        return caught
    raise AssertionError("expected " + error.__name__)
