"""Which file systems a ledger can be trusted to."""

from __future__ import annotations

import re
from pathlib import Path

NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "gfs2",
        "ocfs2",
        "beegfs",
    }
)
"""SQLite's journal needs memory that all its users share, so one host, and locks that mean what they say
(sqlite.org/wal.html)."""
NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|s3fs|rclone|gcsfuse|goofys|mount-s3|blobfuse2?|davfs2?|glusterfs|ceph.*|nfs.*)"
)

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def unfit(folder: Path) -> str:
    """Why a job's folder must not lie where it does, with what to do; "" when it may, or nobody can tell.

    Raises `OSError` only where the folder itself cannot be resolved.
    """
    try:
        mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""  # not Linux: nothing is known
    kind = kind_of(folder.resolve(), mounts)
    if kind in NETWORK or NETWORK_FUSE.fullmatch(kind):
        return (
            f"it lies on a network file system ({kind}), where the ledger's locks and its journal cannot be relied on; "
            "choose a folder on a local disk with --output, and copy the images from there"
        )
    return ""


def kind_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that a path lies on, "" when the table (proc(5), mountinfo) does not say."""
    kind, depth = "", -1
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not source:
            continue
        point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        # Of two mounts at one place, the later one is on top.
        if (path == point or point in path.parents) and len(point.parts) >= depth:
            kind, depth = source.split(" ")[0], len(point.parts)
    return kind
