"""Which disk, or which other machine, a path leads to.

Only the kernel's list of mounts is read: a look at the path itself would hang as long
as the server of a share is away.
"""

import os.path
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
NETWORK = re.compile(
    r"nfs4?|cifs|smb3|smbfs|ncpfs|afs|ceph|lustre|gpfs|ocfs2|beegfs|9p|davfs"
    r"|fuse\.(sshfs|glusterfs|davfs2?|rclone|s3fs|s3ql|goofys|gcsfuse|blobfuse2?|juicefs|cephfs)"
)


@dataclass(frozen=True)
class Mount:
    """One line of the list: where it is mounted, the number of its device, its file
    system."""

    point: str
    device: str
    kind: str

    @property
    def is_network(self) -> bool:
        return bool(NETWORK.fullmatch(self.kind))


def parse_mounts(text: str) -> list[Mount]:
    """Given the content of ``mountinfo``, return its mounts, in their order."""
    found = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        if separator:
            fields = before.split()
            found.append(Mount(_unescape(fields[4]), fields[2], after.split()[0]))
    return found


def current_mounts() -> list[Mount]:
    """Return the mounts of this process; none where the kernel does not tell."""
    try:
        return parse_mounts(MOUNTINFO.read_text())
    except OSError:
        return []


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount that an absolute ``path`` lies in, which need not exist."""
    path = os.path.normpath(path)
    above = [
        m
        for m in mounts
        if path == m.point or path.startswith(m.point.rstrip("/") + "/")
    ]
    # of two at the same place, the later one covers the other
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def _unescape(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)
