"""The right to write under a prefix of an object store, which one machine has at a time: an object that it renews.

Nobody's clock is compared: whoever finds it watches it, and takes it over once it has not changed for a while.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import Any

from batchgen.system.objects import ObjectFile, Tag

RENEW_S = 5.0
LEASE_S = 60.0
"""One that has not changed for so long was left by a machine that is gone."""
SURE_S = 30.0
"""Who has not renewed it for so long asks before writing anything: well before another may take it over."""


class LeaseLostError(OSError):
    """Another machine has it now."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has it, as told by an object that others could have written, too. `tag` changes whenever it is renewed."""

    tag: Tag
    place: str = ""
    run: str = ""
    host: str = "another machine"
    since: str = ""


@dataclass(slots=True)
class Lease:
    """`place` names the local folder that it is held from: what a crash left there is taken over at once.

    All methods raise `OSError` when the store refuses or stays away.
    """

    file: ObjectFile
    place: str
    since: str
    run: str = field(default_factory=lambda: token_hex(8))
    _tag: Tag = field(default_factory=dict)
    _renewed: float = 0.0
    _lost: bool = False
    _beats: int = 0
    _lock: Lock = field(default_factory=Lock)

    def take(self) -> Holder | None:
        """Take it if it is free, or was left by this place; else who has it."""
        with suppress(FileExistsError):
            self._hold(self.file.create(self._content()))
            return None
        try:
            holder = self.holder()
        except FileNotFoundError:
            return self.take()
        if holder.run == self.run:  # created, although the answer was lost
            self._hold(holder.tag)
            return None
        return None if holder.place == self.place and self.take_over(holder) else holder

    def holder(self, *, again: bool = True) -> Holder:
        """Who has it. Raises `FileNotFoundError`."""
        content, tag = self.file.tagged(again=again)
        try:
            told: Any = json.loads(content)
            return Holder(tag, *(str(told.get(name, "")) for name in ("place", "run", "host", "since")))
        except (ValueError, AttributeError):
            return Holder(tag)

    def take_over(self, holder: Holder) -> bool:
        """Take it from one who is gone; False when it was renewed, or taken by another, meanwhile."""
        try:
            self._hold(self.file.update(self._content(), holder.tag))
        except FileExistsError:
            return False
        return True

    def renew(self, *, again: bool) -> None:
        """Tell others that this one is alive; `again` and again while the store is away. Raises `LeaseLostError`."""
        with self._lock:
            if self._lost:
                raise self._error()
            try:
                tag = self.file.update(self._content(), self._tag, again=again)
            except (FileExistsError, FileNotFoundError):
                tag = self._tag_of_ours(again=again)
            self._hold(tag)

    def confirm(self) -> None:
        """To be called before anything is written. Raises `LeaseLostError`."""
        if self._lost or time.monotonic() - self._renewed > SURE_S:
            self.renew(again=True)

    def release(self) -> None:
        """Let others have it; where the store was given up on, they find out for themselves."""
        if self.file.folder.bucket.outages.given_up:
            return
        with suppress(LeaseLostError):
            self.renew(again=False)
            self.file.unlink()

    def _tag_of_ours(self, *, again: bool) -> Tag:
        """Of a renewal whose answer was lost; of one that was removed by hand, a new one's."""
        try:
            holder = self.holder(again=again)
        except FileNotFoundError:
            return self.file.create(self._content(), again=again)
        if holder.run == self.run:
            return holder.tag
        self._lost = True
        raise self._error()

    def _error(self) -> LeaseLostError:
        return LeaseLostError(
            f"{self.file}: another machine took the job over, since this one was out of reach"
        )

    def _hold(self, tag: Tag) -> None:
        self._tag, self._renewed = tag, time.monotonic()

    def _content(self) -> bytes:
        self._beats += 1
        told = {"place": self.place, "run": self.run, "host": socket.gethostname(), "since": self.since}
        return json.dumps(told | {"pid": os.getpid(), "renewed": self._beats}).encode()


@contextmanager
def kept(lease: Lease, lost: Callable[[str], None]) -> Iterator[None]:
    """Renew it on a thread for the length of the block; `lost` hears, on that thread, when another has it."""
    over = Event()

    def keep() -> None:
        while not over.wait(RENEW_S):
            try:
                lease.renew(again=False)
            except LeaseLostError as error:
                lost(str(error))
                return
            except OSError:
                continue  # the store's outage is told by who asks it; whoever writes meanwhile confirms first

    thread = Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
