"""GRUB's environment block (GNU GRUB Manual, "The GRUB environment block"): 1,024 bytes, a line of comment with the
name of the form, lines NAME=VALUE, the rest `#`. Two of them; grub.cfg, beside this, reads and charges them.

GRUB proves nothing of a block but its first line, and writes it in place. So there are two blocks, ours is the only
user of both, and `corelet_check`, the last variable, repeats what the others say: in all readers a block counts only
where they agree. (Here the rest must be `#`, too: GRUB cannot see that, but saves nothing in such a block.) All of them
stand in the first sector. A block that GRUB damages while it charges a try falls back to the other one, from before the
trial: the trial is over, and nothing else is lost.
"""

from ota.backends import Slots, is_state, letter, slot_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ota.backends import Place
    from ota.slots import Steps

BLOCK_BYTES = 1024
SIGNATURE = b"# GRUB Environment Block\n"
FIELDS = ("generation", "good", "trial", "tries")


def places(path: str) -> "list[Place]":
    """`path`: the folder of both, the one that grub.cfg names."""
    return [(path + "/corelet1.env", 0, BLOCK_BYTES), (path + "/corelet2.env", 0, BLOCK_BYTES)]


class Backend(Slots):
    NAME = "grub"

    def charge(self) -> "Steps":
        """As grub.cfg: in place."""
        if not self.tries:
            return self.good
        self.tries -= 1
        yield from self._write()
        return self.trial

    def encode(self) -> bytes:
        values = [str(self.generation), letter(self.good), letter(self.trial), str(self.tries)]
        lines = [f"corelet_{FIELDS[i]}={values[i]}\n" for i in range(4)]
        data = SIGNATURE + ("".join(lines) + "corelet_check=" + "/".join(values) + "\n").encode()
        return data + b"#" * (BLOCK_BYTES - len(data))

    def decode(self, data: bytes) -> "tuple[int, int, int, int] | None":
        end = data.rfind(b"\n") + 1
        if len(data) != BLOCK_BYTES or not data.startswith(SIGNATURE) or data[end:] != b"#" * (BLOCK_BYTES - end):
            return None
        found: dict[bytes, bytes] = {}
        for line in data.split(b"\n"):
            name, equals, value = line.partition(b"=")
            if equals and not name.startswith(b"#"):
                found[name] = value
        values = [found.get(b"corelet_" + field.encode(), b"") for field in FIELDS]
        if found.get(b"corelet_check") != b"/".join(values) or not (values[0] + values[3]).isdigit():
            return None
        state = int(values[0]), slot_of(values[1].decode()), slot_of(values[2].decode()), int(values[3])
        return state if is_state(state[1], state[2], state[3]) else None
