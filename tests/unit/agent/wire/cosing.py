"""COSE messages of any shape, well made or not, for the two test files of COSE."""

from agent import port

# cose-wg/Examples: the P-256 key "11".
SCALAR = 0x57C92077664146E876760C9520D054AA93C3AFB04E306705DB6090308507B4D3
TEXT = b"This is the content."


def message(tag, protected, unprotected=None, payload=TEXT, proof=b"\0" * 32):
    codec = port.codec()
    if type(protected) is dict:
        protected = codec.encode(protected)
    return codec.encode(codec.Tag(tag, [protected, {} if unprotected is None else unprotected, payload, proof]))
