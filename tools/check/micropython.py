"""What MicroPython's Unix port lacks, as data (seen on 1.25 to 1.29; the research note lists the traps).

What this port lacks counts as absent, whatever another build offers. Only what an AST can see is here; a
thing that looks the same and answers differently (dict order, unstable sort) is for tests/sim to find.
"""

# What may be taken from a module. A module that is not here: the floors decide.
MODULE_NAMES = {
    "asyncio": (
        "run create_task gather wait_for wait_for_ms sleep sleep_ms Event Lock ThreadSafeFlag current_task core "
        "CancelledError TimeoutError open_connection start_server new_event_loop get_event_loop"
    ),
    "binascii": "hexlify unhexlify crc32 a2b_base64 b2a_base64",
    "collections": "namedtuple deque OrderedDict abc",
    "gc": "collect disable enable isenabled mem_alloc mem_free threshold",
    "hashlib": "sha256 sha1 md5",
    "heapq": "heappush heappop heapify",
    "io": "BytesIO StringIO IOBase open",
    "json": "dumps loads dump load",
    "os": (
        "chdir getcwd getenv ilistdir listdir mkdir putenv remove rename rmdir sep stat statvfs system "
        "unlink unsetenv urandom"
    ),
    "random": "choice getrandbits randint random randrange seed uniform",
    "re": "compile match search sub",
    "select": "poll POLLIN POLLOUT POLLERR POLLHUP",
    "socket": (
        "socket getaddrinfo inet_ntop inet_pton sockaddr AF_INET AF_INET6 AF_UNIX SOCK_DGRAM SOCK_RAW SOCK_STREAM "
        "SOL_SOCKET SO_BROADCAST SO_ERROR SO_KEEPALIVE SO_LINGER SO_REUSEADDR IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP "
        "MSG_PEEK MSG_DONTWAIT"
    ),
    "struct": "pack unpack pack_into unpack_from calcsize",
    "sys": (
        "argv atexit byteorder executable exit implementation maxsize modules path platform print_exception stderr "
        "stdin stdout version version_info"
    ),
    "time": "time sleep sleep_ms sleep_us ticks_ms ticks_us ticks_diff ticks_add gmtime localtime mktime time_ns",
}

MODULES_ABSENT = (
    "__future__ abc ast base64 bisect calendar concurrent contextlib contextvars copy csv ctypes dataclasses "
    "datetime decimal difflib enum fcntl fnmatch fractions functools getopt glob gzip hmac http importlib inspect "
    "ipaddress itertools locale logging lzma mmap multiprocessing numbers operator pathlib pickle pkgutil pprint "
    "queue resource secrets selectors shlex shutil signal socketserver sqlite3 ssl stat statistics string "
    "subprocess tempfile textwrap threading tomllib traceback types typing unicodedata unittest urllib uuid "
    "warnings weakref zipfile zlib zoneinfo"
).split()

BUILTINS_ABSENT = "aiter anext ascii breakpoint copyright credits exit format quit vars __debug__".split()

EXCEPTIONS_ABSENT = (
    "BaseExceptionGroup BlockingIOError BrokenPipeError BufferError BytesWarning ChildProcessError "
    "ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError DeprecationWarning "
    "EnvironmentError ExceptionGroup FileExistsError FileNotFoundError FloatingPointError FutureWarning IOError "
    "InterruptedError IsADirectoryError NotADirectoryError PermissionError ProcessLookupError RecursionError "
    "ReferenceError ResourceWarning RuntimeWarning SystemError TimeoutError UnboundLocalError UnicodeDecodeError "
    "UnicodeEncodeError UserWarning Warning struct.error socket.error socket.timeout json.JSONDecodeError "
    "asyncio.IncompleteReadError"
).split()

_CASES = "compare with lower() or upper()"
_FILL = "center(), a %-format, or + with a computed run of characters"
_RECORD = "a namedtuple call that names every field"
_REGEX = "search() in a loop, or a hand-written parser"
_BITS = "a loop that shifts, or a bound that is known"
_VIEW = "bytes(view)"

# Methods, whatever the object: none of ours may have these names either.
METHODS = {
    "removeprefix": "startswith() and a slice",
    "removesuffix": "endswith() and a slice",
    "zfill": "a %-format",
    "ljust": _FILL,
    "rjust": _FILL,
    "expandtabs": _FILL,
    "title": _CASES,
    "capitalize": _CASES,
    "casefold": _CASES,
    "swapcase": _CASES,
    "istitle": _CASES,
    "isalnum": "isalpha() or isdigit()",
    "isascii": "compare each code with 128",
    "isdecimal": "isdigit()",
    "isnumeric": "isdigit()",
    "isidentifier": "a loop over the characters",
    "isprintable": "compare each code with 32",
    "translate": "a loop over the characters",
    "maketrans": "a loop over the characters",
    "format_map": "format()",
    "bit_length": _BITS,
    "bit_count": _BITS,
    "is_integer": "integers only",
    "as_integer_ratio": "integers only",
    "hexdigest": "digest().hex()",
    "tobytes": _VIEW,
    "tolist": "list(view)",
    "cast": "struct.unpack_from",
    "toreadonly": _VIEW,
    "move_to_end": "pop and set again in an OrderedDict",
    "with_traceback": "raise as it is",
    "add_note": "the text of the exception",
    "_replace": _RECORD,
    "_asdict": _RECORD,
    "_make": "a call with *values",
    "fullmatch": _REGEX,
    "findall": _REGEX,
    "finditer": _REGEX,
    "readuntil": "a bounded read() and a find()",
    "recv_into": "readinto()",
    "sendmsg": "send()",
    "recvmsg": "recv()",
    "__subclasses__": "a table",
}

# Keyword arguments that are refused, by the last part of what is called.
KEYWORDS = {
    "split": "sep maxsplit",
    "rsplit": "sep maxsplit",
    "splitlines": "keepends",
    "decode": "encoding errors",
    "encode": "encoding errors",
    "from_bytes": "bytes byteorder signed",
    "to_bytes": "length byteorder",
    "hex": "sep bytes_per_sep",
    "print": "flush",
    "sum": "start",
    "zip": "strict",
    "open": "encoding errors newline buffering closefd opener",
    "deque": "maxlen iterable",
    "namedtuple": "defaults rename module",
    "dumps": "indent sort_keys ensure_ascii default cls skipkeys allow_nan",
    "dump": "indent sort_keys ensure_ascii default cls skipkeys allow_nan",
    "loads": "object_hook parse_float parse_int object_pairs_hook cls",
    "create_task": "name context",
    "run": "debug loop_factory",
    "int": "base",
    "sha256": "usedforsecurity string data",
    "sha1": "usedforsecurity string data",
    "mkdir": "mode parents exist_ok",
    "replace": "count",
}

ATTRIBUTES = (
    "__annotations__ __bases__ __cause__ __context__ __defaults__ __doc__ __mro__ __self__ __traceback__ __code__ "
    "_fields strerror nbytes itemsize"
).split()

# Special methods that are never called.
DUNDERS = (
    "__del__ __init_subclass__ __getattribute__ __index__ __bytes__ __format__ __await__ __class_getitem__ __missing__ "
    "__prepare__ __instancecheck__ __subclasscheck__ __reduce__ __sizeof__ __set_name__ __length_hint__"
).split()

BASES = "int float complex str bytes bytearray tuple memoryview bool".split()

BYTEARRAY_METHODS = "pop insert clear copy remove reverse".split()
DEQUE_METHODS = "clear rotate remove insert copy reverse count".split()

STRUCT_CALLS = "pack unpack pack_into unpack_from calcsize".split()
STRUCT_REFUSED = "?= nNpPc"
