"""Every exception of ours.

    CoreletError
      PeerError    they broke the protocol: count, drop, maybe ban
      UsageError   we or our user did: a wrong argument, a wrong setting, a bug
      LimitError   a ceiling is reached: back-pressure, try later or elsewhere
      TrustError   a signature, MAC, version or expiry is wrong: stop and report
      PortError    the world failed (disk, network): retry with back-off

Each carries `code`, a short stable word for telemetry and tests, and `text`, one sentence
that says what was expected, what came, and what to do. Machines raise only the first four.
"""


class CoreletError(Exception):
    """`code`: stable word, a-z and underscore. `text`: a sentence for a person."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class PeerError(CoreletError):
    """The other side broke the protocol."""


class UsageError(CoreletError):
    """We, or the person at the keyboard, asked for something impossible."""


class LimitError(CoreletError):
    """A ceiling is reached. `retry_s` (0 = unknown) says when trying again may help."""

    def __init__(self, code: str, text: str, retry_s: int = 0) -> None:
        super().__init__(code, text)
        self.retry_s = retry_s


class TrustError(CoreletError):
    """Something that must be proven was not."""


class PortError(CoreletError):
    """The world failed: a disk, a socket, a missing library."""
