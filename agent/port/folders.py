"""The name of a state folder's lock, which both interpreters agree on and nobody else can guess.

An abstract Unix socket has no owner: whoever knows its name can hold it, and inodes are for everybody to see. So random
bytes go into it, kept in the folder (lock/name, mode 0600). They are published once, by the rename of a folder, which
never replaces one that holds something: of several first starts one is first, and all use its bytes.
"""

import hashlib
import os

from agent.errors import PortError
from agent.port import faults

if False:
    from agent.port import contract

SECRET_BYTES = 32
SECRET_BYTES_MAX = 64


def lock_name(files: "contract.Files", folder: str, device: int, inode: int) -> bytes:
    """Made at the first start. The inode makes a copy of the folder another one."""
    home = folder + "/lock"
    path = home + "/name"
    if not files.exists(path):
        aside = home + "." + os.urandom(8).hex()
        try:
            files.make_folder(aside)
            files.write_atomic(aside + "/name", os.urandom(SECRET_BYTES))
            files.rename(aside, home)
        except PortError:
            files.remove_tree(aside)
            if not files.exists(path):
                raise
    files.make_private(home)
    secret = files.read(path, SECRET_BYTES_MAX)
    return b"corelet-" + hashlib.sha256(secret + faults.lock_name(device, inode)).digest()[:16].hex().encode()


def is_open(path: str, user: int) -> bool:
    """Whether others than `user` may look into it. PortError("denied") when it is another's, or when others, who can
    enter the folder above, may have put there what it holds: a key or a core of theirs would become ours."""
    info = os.stat(path)
    if info[4] != user:
        raise PortError("denied", f"{path} belongs to user {info[4]}. Start as that user, or choose another --state.")
    if info[0] & 0o022 and os.stat(path + "/..")[0] & 0o011 and os.listdir(path):
        raise PortError("denied", f"Others can write in {path}, which has files. If all is yours: chmod -R go-w {path}")
    return info[0] & 0o077 != 0
