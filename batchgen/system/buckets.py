"""A prefix of an object store, opened: whom to ask there, how patiently, and what lies under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchgen.system.addresses import open_client
from batchgen.system.objects import ObjectFile, ObjectFolder
from batchgen.system.outages import Outages, Tell

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PATIENCE_S = 100.0
"""How long one outage of a store is waited out at most; what is paid for lies on the local disk meanwhile.

Less than keeping an image may take: a run that waited longer for its store would end all the same.
"""
SMALL_ANSWER_S = 15.0
"""One request that carries next to nothing: a store that hangs is found by these."""
_ANSWER_S = 120.0
"""One request with an image, or with a part of 8 MiB over a slow line."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix of a store, by its address. It holds no key: those are read from the environment when it is opened.

    `small` is asked for what carries next to nothing, and fails sooner. `confirm` raises `OSError` once somebody else
    may write here.
    """

    url: str
    store: ObjectStore = field(repr=False)
    small: ObjectStore = field(repr=False)
    outages: Outages = field(repr=False)
    confirm: Callable[[], None] = field(default=lambda: None, repr=False)

    def folder(self, name: str) -> ObjectFolder:
        """What lies under a further prefix."""
        return ObjectFolder(self, name)

    def file(self, name: str) -> ObjectFile:
        """An object right under the prefix."""
        return ObjectFile(ObjectFolder(self, ""), name)

    def check_there(self) -> None:
        """Find that the bucket is not there, which some stores would make when they are written to. Raises `OSError`."""
        next(self.folder("").names(deep=True), None)

    def check_writable(self) -> None:
        """Find a store that refuses or lacks the bucket before anything is paid for. Raises `OSError`."""
        probe = self.file(".writable")
        probe.put(b"", replace=True)
        probe.unlink()


def open_bucket(
    url: str,
    options: Mapping[str, str] | None = None,
    *,
    patience_s: float = PATIENCE_S,
    small_answer_s: float = SMALL_ANSWER_S,
    tell: Tell | None = None,
) -> Bucket:
    """A prefix by its address; `options` are the store's own, without secrets (endpoint, region).

    `tell` hears of outages. Raises `UsageError` without the extra, and for an address or options that are wrong.
    """
    options = options or {}
    return Bucket(
        url.rstrip("/"),
        open_client(url, options, answer_s=_ANSWER_S, retries=1),
        open_client(url, options, answer_s=small_answer_s, retries=0),
        Outages(url.rstrip("/"), patience_s, tell),
    )
