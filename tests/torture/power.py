"""A loss of power: what of a run's calls is surely on the disk, rebuilt from the shim's log.

The model is POSIX at its strictest, with the one thing added that every journalling file system gives: a rename is
whole or not there. A file's bytes survive what they were at its last fsync; a name survives once its folder was
synced after the name changed. `survivors(None)` is that and nothing more, the worst disk. `survivors(random)` adds
some of what was under way: any of the writes since the last fsync, each whole or not at all, and the oldest changes
of names up to a random one, as a journal keeps them.
"""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.shim import Entry
from tests.torture.snapshot import read_files


@dataclass(eq=False)
class File:
    """A file, or a folder (`is_folder`), whatever its names are."""

    is_folder: bool = False
    synced: bytes = b""
    current: bytes = b""
    unsynced: list[Entry] = field(default_factory=list)

    def change(self, entry: Entry) -> None:
        """Note a change of its bytes."""
        self.current = changed(self.current, entry)
        self.unsynced.append(entry)

    def sync(self) -> None:
        """Force it to the disk."""
        self.synced, self.unsynced = self.current, []

    def survivor(self, chance: random.Random | None) -> bytes:
        """Its bytes after the loss."""
        data = self.synced
        for entry in self.unsynced if chance else ():
            if chance and chance.random() < 0.5:
                data = changed(data, entry)
        return data


def changed(data: bytes, entry: Entry) -> bytes:
    """A file's bytes after a call."""
    if entry.kind == "write":
        padded = data.ljust(entry.offset, b"\0")
        return padded[: entry.offset] + entry.data + padded[entry.offset + len(entry.data) :]
    if entry.kind == "truncate":
        return data[: entry.length].ljust(entry.length, b"\0")
    if entry.kind == "allocate":
        return data.ljust(entry.offset + entry.length, b"\0")
    return b""  # opened with O_TRUNC


@dataclass(frozen=True)
class Naming:
    """A change of names that is not surely on the disk: `file` left `source` ("" for a new one) for `target` ("")."""

    file: File
    source: str
    target: str

    def touches(self, folder: str) -> bool:
        """Whether a sync of this folder makes it durable."""
        return any(name and folder_of(name) == folder for name in (self.source, self.target))

    def apply(self, names: dict[str, File]) -> None:
        """Make it so."""
        if self.source and names.get(self.source) is self.file:
            del names[self.source]
        if self.target:
            names[self.target] = self.file


def folder_of(name: str) -> str:
    """The folder that holds a name; "" is the job's own."""
    return name.rpartition("/")[0]


class Disk:
    """A job's folder, from a moment at which everything in it was durable."""

    def __init__(self, folder: Path) -> None:
        self._names: dict[str, File] = {"": File(is_folder=True)}
        for path in folder.rglob("*"):
            if path.is_dir():
                self._names[path.relative_to(folder).as_posix()] = File(is_folder=True)
        for name, data in read_files(folder).items():
            self._names[name] = File(synced=data, current=data)
        self._synced_names = dict(self._names)
        self._unsynced_names: list[Naming] = []

    def apply(self, entry: Entry) -> None:
        """Take one call of the log in."""
        file = self._names.get(entry.first)
        match entry.kind:
            case "open" if file is None:
                self._name(Naming(File(), "", entry.first))
            case "open" if file is not None and entry.flags & os.O_TRUNC:
                file.change(entry)
            case "mkdir":
                self._name(Naming(File(is_folder=True), "", entry.first))
            case "rename" | "link" if file is not None:
                self._name(Naming(file, entry.first if entry.kind == "rename" else "", entry.second))
            case "unlink" if file is not None:
                self._name(Naming(file, entry.first, ""))
            case "fsync" if file is not None:
                self._sync(file, entry.first)
            case "write" | "truncate" | "allocate" if file is not None:
                file.change(entry)

    def _name(self, naming: Naming) -> None:
        naming.apply(self._names)
        self._unsynced_names.append(naming)

    def _sync(self, file: File, name: str) -> None:
        if not file.is_folder:
            file.sync()
            return
        waiting = []
        for naming in self._unsynced_names:
            if naming.touches(name):
                naming.apply(self._synced_names)
            else:
                waiting.append(naming)
        # What a later, durable rename has overtaken must not come back.
        self._unsynced_names = [naming for naming in waiting if not self._overtaken(naming)]

    def _overtaken(self, naming: Naming) -> bool:
        moved_on = self._names.get(naming.target) is not naming.file
        return bool(naming.target) and moved_on and naming.file in self._synced_names.values()

    def survivors(self, chance: random.Random | None = None) -> dict[str, bytes | None]:
        """Name -> bytes of every file that is there after the loss; None for a folder."""
        names = dict(self._synced_names)
        if chance:
            for naming in self._unsynced_names[: chance.randint(0, len(self._unsynced_names))]:
                naming.apply(names)
        return {
            name: None if file.is_folder else file.survivor(chance)
            for name, file in sorted(names.items())
            if all(parent in names for parent in _parents(name))
        }


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def write_survivors(folder: Path, survivors: dict[str, bytes | None]) -> None:
    """Make a folder what the loss left of it."""
    shutil.rmtree(folder, ignore_errors=True)  # it need not be there yet
    folder.mkdir(parents=True)
    for name, data in survivors.items():
        if data is None:
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).write_bytes(data)
