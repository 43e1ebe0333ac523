"""Files in memory, and what a back end keeps in them."""

FILE_BYTES = 5120


class Memory:
    """`files`: by name. `writes`: how many there were."""

    def __init__(self):
        self.files = {}
        self.writes = 0

    def run(self, steps):
        """Like a driver; the value that the machine returns."""
        sent = None
        while True:
            try:
                effect = steps.send(sent)
            except StopIteration as end:
                return end.value
            file = self.files.setdefault(effect.file, bytearray(FILE_BYTES))
            sent = None
            if effect.kind == "read":
                sent = bytes(file[effect.offset : effect.offset + effect.value])
            elif effect.kind == "write":
                self.writes += 1
                file[effect.offset : effect.offset + len(effect.value)] = effect.value


def state_of(backend):
    return backend.good, backend.trial, backend.tries
