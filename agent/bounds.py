"""What the board and this machine allow, before the word of the owner. Of use at the start and to commands."""

from agent import port

if False:
    from typing import Any


def machine_of(named: str, folder: str) -> "tuple[dict[str, Any], str, dict[str, int]]":
    """(profile, by what it was chosen, the ceilings it has here before the owner's). `named`: the owner's word for it,
    or "". `folder`: where the state is."""
    from boards import loader, schema, sums

    evidence = port.health().board_evidence()
    profile, how = loader.choose(named, evidence)
    ceilings = {name: profile[name] for name in schema.CEILINGS}
    sizes = int(evidence.get("ram_kib", "0")), port.files.total_bytes(folder) // 1024
    return profile, how, sums.lower(profile, ceilings, sizes[0], sizes[1])
