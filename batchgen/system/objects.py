"""Prefixes of an object store, asked as folders are: names and bytes behind `Folder` and `File`, create-only."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from batchgen.core.types import Blob
from batchgen.system.folder import File, Folder, Free, Status

if TYPE_CHECKING:
    from batchgen.system.buckets import Bucket

Result = TypeVar("Result")
Tag = dict[str, str]
"""What tells one state of an object from another, as its store wants it."""

_LARGE_BYTES = 16 << 20
"""Above it an object goes up in parts under a name of its own, and is then moved, create-only: no store creates in parts."""
_SMALL_BYTES = 64 << 10
_PIECE_BYTES = 8 << 20
_UPLOADS = "uploads"
_PAGE = 1000
_PARTS_AT_ONCE = 2
"""Of one upload: eight go side by side, and each part is in memory."""


class ObjectFolder(Folder):
    """What lies under a prefix. Moves are a copy and a deletion; every write is durable when it returns."""

    moves_by_copy = True

    def __init__(self, bucket: Bucket, name: str) -> None:
        super().__init__(Path(name), None)
        self.bucket = bucket

    @property
    def is_missing(self) -> bool:
        """Prefixes are always there."""
        return False

    def file(self, name: str) -> ObjectFile:
        """An object, there or not."""
        return ObjectFile(self, name)

    def names(self, *, deep: bool = False) -> Generator[str, None, None]:
        """The names of all objects under it, page by page; `deep` ones have a `/`."""
        import obstore

        prefix = f"{self.path.name}/" if self.path.name else ""
        ask, after = self.bucket.outages.ask, ""
        # A listing that breaks off goes on behind the last name that came.
        while True:
            page = ask(prefix, partial(self._page, obstore, prefix, after))
            for path in page:
                name = path.removeprefix(prefix)
                if deep or "/" not in name:
                    yield name
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _page(self, obstore: Any, prefix: str, after: str) -> list[str]:  # noqa: ANN401 - a module
        listing = obstore.list(self.bucket.small, prefix or None, offset=after or None, chunk_size=_PAGE)
        return [one["path"] for one in next(iter(listing), [])]

    def confirm(self) -> None:
        """Raises `OSError` once somebody else may write here."""
        self.bucket.confirm()

    def free(self) -> Free:
        """As much as anyone asks for."""
        return Free(1 << 62, None)

    def forget_uploads(self) -> None:
        """Remove what interrupted uploads left behind."""
        uploads = self.bucket.folder(_UPLOADS)
        for name in list(uploads.names()):
            uploads.file(name).unlink()

    def sync(self) -> None:
        """Nothing to do: an object is durable when its upload is answered."""


@dataclass(frozen=True, slots=True)
class ObjectFile(File):
    """An object. Never written in place: it is created, moved, or (a sidecar) replaced whole."""

    folder: ObjectFolder

    def __str__(self) -> str:
        return f"{self.folder.bucket.url}/{self.key}"

    @property
    def key(self) -> str:
        """Its name below the bucket's prefix."""
        return f"{self.folder.path.name}/{self.name}" if self.folder.path.name else self.name

    def with_suffix(self, suffix: str) -> ObjectFile:
        """Another object under the prefix."""
        return ObjectFile(self.folder, self.stem + suffix)

    def status(self) -> Status:
        """Its size, and a mark made of its entity tag. Raises `FileNotFoundError`."""
        import obstore

        told = self._ask(lambda: obstore.head(self.folder.bucket.small, self.key))
        tag = str(told["e_tag"] or told["last_modified"].isoformat())
        mark = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:7])
        return Status(stat.S_IFREG | 0o644, told["size"], mark)

    def read(self, limit_bytes: int = -1) -> bytes:
        """Its bytes, at most so many of them."""

        def fetch() -> bytes:
            kept = bytearray()
            for piece in self._pieces():
                kept += piece
                if 0 <= limit_bytes <= len(kept):
                    return bytes(kept[:limit_bytes])
            return bytes(kept)

        return self._ask(fetch)

    def sha256(self) -> str:
        """The hash of its bytes, fetched piece by piece."""

        def fetch() -> str:
            digest = hashlib.sha256()
            for piece in self._pieces():
                digest.update(piece)
            return digest.hexdigest()

        return self._ask(fetch)

    def fetch(self, target: File, *, mode: int = 0o644) -> None:
        """Copy its bytes to a local file, durably and whole or not at all. Raises `FileNotFoundError`, `OSError`."""
        waiting = target.folder.file(f".{target.name}.new")

        def bring() -> None:
            waiting.write(b"", mode=mode, durable=False)
            with waiting.appending() as file:
                for piece in self._pieces():
                    file.write(piece)

        try:
            self._ask(bring)
            waiting.sync()
            waiting.rename(target)
        finally:
            waiting.unlink()
        target.folder.sync()

    def rewrite(self, *, mode: int) -> None:
        """Nothing to do: what was answered is durable."""

    def sync(self) -> None:
        """Nothing to do, for the same reason."""

    def unlink(self) -> None:
        """Remove it, if it is there."""
        import obstore

        try:
            self._ask(lambda: obstore.delete(self.folder.bucket.small, self.key))
        except FileNotFoundError:
            return

    def put(self, data: Blob | Path, *, replace: bool = False) -> None:
        """Create it, or replace what has its name. Raises `FileExistsError`, `OSError`."""
        size_bytes = data.stat().st_size if isinstance(data, Path) else len(data)
        content = data if isinstance(data, Path) else bytes(data)
        # Asked to create in parts, obstore sends one piece: `_upload` goes around that.
        parts = replace and size_bytes > _LARGE_BYTES
        self._ask(lambda: self._send(content, "overwrite" if replace else "create", in_parts=parts))

    def create(self, data: bytes, *, again: bool = True) -> Tag:
        """Create it. Raises `FileExistsError`, `OSError`."""
        return self._ask(lambda: self._send(data, "create"), again=again)

    def update(self, data: bytes, tag: Tag, *, again: bool = True) -> Tag:
        """Replace the state that a tag tells of. Raises `FileExistsError` when it is another by now, `OSError`."""
        return self._ask(lambda: self._send(data, tag), again=again)

    def tagged(self, *, again: bool = True) -> tuple[bytes, Tag]:
        """Its bytes with their tag. Raises `FileNotFoundError`, `OSError`."""
        import obstore

        def fetch() -> tuple[bytes, Tag]:
            told = obstore.get(self.folder.bucket.small, self.key)
            return bytes(told.bytes()), _tag(told.meta)

        return self._ask(fetch, again=again)

    def put_in_parts(self, source: File) -> None:
        """Replace it with a local file's bytes, of which only a few parts are in memory at a time."""

        def send() -> None:
            with source.reading() as data:
                self._send(data, "overwrite", in_parts=True)

        self._ask(send)

    def _send(self, data: Any, mode: Any, *, in_parts: bool = False) -> Tag:  # noqa: ANN401 - what obstore takes
        import obstore

        bucket = self.folder.bucket
        told = obstore.put(
            bucket.small if isinstance(data, bytes) and len(data) < _SMALL_BYTES else bucket.store,
            self.key,
            data,
            mode=mode,
            use_multipart=in_parts,
            chunk_size=_PIECE_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )
        return _tag(told)

    def receive(self, source: File) -> None:
        """Take over a local file or another object, which is removed once it is here.

        An image is never replaced; one that is there with the same bytes is taken for ours. A sidecar is replaced,
        since what it told of was moved away before. Raises `FileExistsError` for other bytes under an image's name.
        """
        if isinstance(source, ObjectFile):
            if source.key == self.key:
                return
            self._copy(source)
        else:
            self._upload(source)
        source.unlink()

    def upload(self) -> ObjectFile:
        """Where its bytes are on their way to it, if it is a large one."""
        return self.folder.bucket.folder(_UPLOADS).file(self.key.replace("/", "-"))

    def _upload(self, source: File) -> None:
        if source.status().size_bytes > _LARGE_BYTES:
            waiting = self.upload()
            waiting.put_in_parts(source)
            self.receive(waiting)
            return
        data = source.read()
        try:
            self.put(data)
        except FileExistsError:
            if self._is(len(data), lambda: hashlib.sha256(data).hexdigest()):
                return
            if self.suffix != ".json":
                raise
            self.put(data, replace=True)

    def _copy(self, source: ObjectFile) -> None:
        import obstore

        store = self.folder.bucket.store
        try:
            self._ask(lambda: obstore.copy(store, source.key, self.key, overwrite=False))
        except FileExistsError:
            if not self._is(source.status().size_bytes, source.sha256):
                raise

    def _is(self, size_bytes: int, sha256: Callable[[], str]) -> bool:
        return self.status().size_bytes == size_bytes and self.sha256() == sha256()

    def _pieces(self) -> Any:  # noqa: ANN401 - an iterator of buffers
        import obstore

        bucket = self.folder.bucket
        client = bucket.small if self.suffix == ".json" else bucket.store
        return obstore.get(client, self.key).stream(min_chunk_size=1 << 20)

    def _ask(self, call: Callable[[], Result], *, again: bool = True) -> Result:
        return self.folder.bucket.outages.ask(self.key, call, again=again)


def _tag(told: Any) -> Tag:  # noqa: ANN401 - of obstore
    return {key: told[key] for key in ("e_tag", "version") if told.get(key)}
