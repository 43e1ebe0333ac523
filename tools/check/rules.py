"""Every rule of ours and what to write instead. The walkers name rules only by these words; tests/tools/test_check.py
holds, for each, a snippet that must be found and one that must not."""

RULES = {
    # floors.py
    "floor": "import downward only (design section 2, tools/check/floors.py); take it as an argument from above",
    "floor-sibling": "import only from the own folder or the folders above it on the same floor",
    "floor-stdlib": "this floor has a short list of stdlib modules (tools/check/floors.py); take it as an argument",
    "floor-library": "libraries belong in agent/port/cpython, behind the contract",
    "type-only": 'import it under `if False:` and quote the annotation: "contract.Crypto"',
    "import-relative": "an absolute import: from agent.wire import http",
    "import-dynamic": "a plain import; only the port chooses at run time",
    "import-work": "no work when a module is imported: put it into a function",
    "unit-pytest": "tests/unit runs on MicroPython too: bare asserts and tests.expect",
    # probing.py
    "probe": "only agent/port and ota/port.py know the interpreter; ask the port's contract",
    "except-wide": "name the exceptions; only agent/service/supervisor.py catches everything",
    # syntax.py: the MicroPython subset, what the parser or compiler refuses
    "mp-match": "if/elif",
    "mp-except-star": "except",
    "mp-positional-only": "leave the / out",
    "mp-unpack": "a + b for lists and tuples; d1 | d2 for dicts",
    "mp-async-generator": "a class with __aiter__ and __anext__, or a list",
    "mp-async-comprehension": "a loop",
    "mp-with-parentheses": "nested with statements, or `with a, b:` on one line",
    "mp-fstring-adjacent": "one f-string, or + between them",
    "mp-fstring": "compute the part first, and write a plain f-string",
    "mp-unicode-name": "the \\u escape",
    "mp-slice-step": "a loop, or reversed(list); only reading list[::-1] works everywhere",
    "mp-mangled": "one underscore: names are not mangled, so a subclass would overwrite it",
    "mp-multiple-inheritance": "one base class",
    "mp-class-keyword": "a plain class",
    "mp-builtin-base": "keep the value in an attribute, or subclass a namedtuple",
    "mp-slots": "leave it out: it is ignored",
    "mp-dunder": "a method with a plain name, called by it",
    "mp-decorator": "a name or a call as the decorator",
    "mp-raise-from": "the cause in the message: the chain is lost",
    "mp-type-value": "a type of this shape only in annotations, or under `if False:`",
    # calls.py: the MicroPython subset, what is absent or answers differently
    "mp-module": "MicroPython has no such module (house rules); write it out, or ask the port",
    "mp-module-name": "use what MicroPython has of this module (tools/check/micropython.py), or ask the port",
    "mp-builtin": "a name that MicroPython has",
    "mp-exception": "except OSError as error, and compare error.errno (in the port)",
    "mp-method": "",
    "mp-keyword": "positional arguments, or leave it out",
    "mp-attribute": "keep what you need in an attribute of your own",
    "mp-bytearray": "a new bytearray, or slice assignment",
    "mp-bool-int": "also test `x is True or x is False`: isinstance(True, int) is False on MicroPython",
    "mp-pow": "pow(x, m - 2, m) for a prime m: pow(x, -1, m) is 0 on MicroPython",
    "mp-struct": "start with < or >, and letters bBhHiIqQsx",
    "mp-format": "plain {} and {0} fields",
    # sizes.py
    "size-file": "a noun is missing: split the file",
    "size-function": "split the function",
    "size-parameters": "a record for what belongs together",
    "size-device": "what ships to one board stays small: remove something first",
    "size-readme": "shorten README.md",
    # names.py
    "name-module": "name it after what it is about",
    "name-top-level": "the top level is fixed (design section 2): put it into one of its folders",
    # text.py
    "text-machine-path": "a path relative to the checkout, or a temporary folder",
    "text-registry-host": "the machine's own pip and apt configuration",
    # __main__.py
    "waiver-unused": "remove the row from tools/check/waivers.py",
    "syntax": "code that Python accepts",
}
