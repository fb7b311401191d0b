"""Prefixes of an object store, asked as folders are: names and bytes behind `Folder` and `File`, create-only."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from batchgen.core.errors import UsageError
from batchgen.core.types import Blob
from batchgen.system.folder import File, Folder, Free, Status

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Result = TypeVar("Result")

SCHEMES = ("s3", "gs", "az")
PATIENCE_S = 100.0
"""How long one step is tried again while a store does not answer; what is paid for lies on the local disk meanwhile."""
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0
_ANSWER_S = 120
"""One request: a part of 8 MiB over a slow line."""
_CONNECT_S = 5
_LARGE_BYTES = 16 << 20
"""Above it an object goes up in parts under a name of its own, and is then moved, create-only: no store creates in parts."""
_PIECE_BYTES = 8 << 20
_PAGE = 1000
_PARTS_AT_ONCE = 2
"""Of one upload: eight go side by side, and each part is in memory."""
_REFUSES = ": the store refuses (check the credentials in the environment and their rights)"


def is_url(place: str) -> bool:
    """Whether a place is an object store's and no folder."""
    return "://" in place


def url_fault(place: str) -> str | None:
    """What is wrong with the address of a store; its text is not repeated, since it may hold a key."""
    parts = urlsplit(place)
    if parts.scheme not in SCHEMES or not parts.netloc:
        return "is no folder and no store that is known (write a folder, or s3://BUCKET/PREFIX, gs://... or az://...)"
    if "@" in parts.netloc:
        return "must not hold a user or a key (keys come from the environment)"
    if "?" in place or "#" in place:
        return "must not have a query or fragment (end it after the prefix)"
    if {".", ".."} & set(parts.path.split("/")) or "//" in parts.path or "\\" in parts.path:
        return "must have a plain prefix (write s3://BUCKET/PREFIX)"
    return None


@dataclass(slots=True)
class _Outage:
    """What all calls to a store share while it is away: one patience, not one after another."""

    since: float | None = None
    refused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix of a store, by its address. It holds no key: those are read from the environment when it is opened."""

    url: str
    store: ObjectStore = field(repr=False)
    patience_s: float = PATIENCE_S
    _outage: _Outage = field(default_factory=_Outage, repr=False, compare=False)

    def folder(self, name: str) -> ObjectFolder:
        """What lies under a further prefix."""
        return ObjectFolder(self, name)

    def file(self, name: str) -> ObjectFile:
        """An object right under the prefix."""
        return ObjectFile(ObjectFolder(self, ""), name)

    def check_writable(self) -> None:
        """Find a store that refuses or lacks the bucket before anything is paid for. Raises `OSError`."""
        probe = self.file(".writable")
        probe.put(b"", replace=True)
        probe.unlink()

    def ask(self, what: str, call: Callable[[], Result]) -> Result:
        """One call, again with pauses while the store is away; once it was given up on, others do not wait for it anew.

        Raises `OSError`; no foreign text is passed on: what a store's client says quotes addresses and headers, which
        may be signed.
        """
        from obstore import exceptions

        pause_s = _FIRST_PAUSE_S
        while True:
            if time.monotonic() < self._outage.refused_until:
                raise OSError(
                    f"{self.url}/{what}: the store does not answer (it was tried for {self.patience_s:g} s)"
                )
            try:
                began = time.monotonic()
                result = call()
            except (exceptions.BaseError, OSError) as error:
                if answer := _answer_in(error):
                    kind, told = answer
                    if kind is not OSError:
                        self._answered()
                    raise kind(f"{self.url}/{what}{told}") from None
                if self._gives_up(began, pause_s):
                    raise OSError(
                        f"{self.url}/{what}: the store does not answer ({type(error).__name__}, tried for {self.patience_s:g} s)"
                    ) from None
            else:
                self._answered()
                return result
            time.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    def _answered(self) -> None:
        self._outage.since, self._outage.refused_until = None, 0.0

    def _gives_up(self, began: float, pause_s: float) -> bool:
        """Whether the outage has lasted too long to try again after a pause."""
        now = time.monotonic()
        self._outage.since = began if self._outage.since is None else self._outage.since
        if now + pause_s <= self._outage.since + self.patience_s:
            return False
        self._outage.since, self._outage.refused_until = None, now + self.patience_s
        return True


def _answer_in(error: Exception) -> tuple[type[OSError], str] | None:
    """What an error says that does not pass by waiting; None where the store may only be away."""
    from obstore import exceptions

    # Of a listing the client tells a refusal, or a bucket that is not there, in no class, only in words.
    words = str(error) if isinstance(error, exceptions.GenericError) else ""
    match error:
        case FileNotFoundError():
            return FileNotFoundError, " is not there"
        case exceptions.AlreadyExistsError():
            return FileExistsError, " is there already"
        case exceptions.PreconditionError():
            return FileExistsError, " was changed by another writer"
        case exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return PermissionError, _REFUSES
        case exceptions.NotSupportedError() | exceptions.InvalidPathError():
            return OSError, f": the store cannot do this ({type(error).__name__})"
    if "403 Forbidden" in words or "401 Unauthorized" in words:
        return PermissionError, _REFUSES
    if "404 Not Found" in words or "NoSuchBucket" in words:
        return OSError, ": there is no such bucket (check the address, or make the bucket)"
    return None


def open_bucket(
    url: str, options: Mapping[str, str] | None = None, *, patience_s: float = PATIENCE_S
) -> Bucket:
    """A prefix by its address; `options` are the store's own, without secrets (endpoint, region).

    Raises `UsageError` without the extra, and for an address or options that are wrong.
    """
    if wrong := url_fault(url):
        raise UsageError(f"the output {wrong}")
    try:
        from obstore import exceptions
        from obstore.store import from_url
    except ImportError:
        raise UsageError(
            f'the output {url} needs the extra "objects": install it with `pip install "batchgen[objects]"`'
        ) from None
    config: Any = {key: value for key, value in (options or {}).items() if key != "allow_http"}
    if url.startswith("s3:"):
        config.setdefault("copy_if_not_exists", "multipart")
    client: Any = {
        "timeout": timedelta(seconds=_ANSWER_S),
        "connect_timeout": timedelta(seconds=_CONNECT_S),
    }
    # With options of its own, the client no longer asks the environment for this one.
    allow_http = (options or {}).get("allow_http") or os.environ.get("AWS_ALLOW_HTTP", "")
    client["allow_http"] = allow_http.lower() in {"true", "1"}
    retry: Any = {"max_retries": 1, "retry_timeout": timedelta(seconds=10)}
    try:
        return Bucket(
            url.rstrip("/"), from_url(url, config=config, client_options=client, retry_config=retry), patience_s
        )
    except (exceptions.BaseError, ValueError) as error:
        raise UsageError(
            f"the output {url} cannot be opened ({type(error).__name__}): check its address, `objects` in the "
            "configuration, and the credentials in the environment"
        ) from None


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

    def names(self) -> Generator[str, None, None]:
        """The names of all objects under it, page by page."""
        import obstore

        prefix = f"{self.path.name}/" if self.path.name else ""
        ask, after = self.bucket.ask, ""
        # A listing that breaks off goes on behind the last name that came.
        while True:
            page = ask(prefix, partial(self._page, obstore, prefix, after))
            for path in page:
                name = path.removeprefix(prefix)
                if "/" not in name:
                    yield name
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _page(self, obstore: Any, prefix: str, after: str) -> list[str]:  # noqa: ANN401 - a module
        listing = obstore.list(self.bucket.store, prefix or None, offset=after or None, chunk_size=_PAGE)
        return [one["path"] for one in next(iter(listing), [])]

    def free(self) -> Free:
        """As much as anyone asks for."""
        return Free(1 << 62, None)

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

        told = self._ask(lambda: obstore.head(self.folder.bucket.store, self.key))
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

    def rewrite(self, *, mode: int) -> None:
        """Nothing to do: what was answered is durable."""

    def sync(self) -> None:
        """Nothing to do, for the same reason."""

    def unlink(self) -> None:
        """Remove it, if it is there."""
        import obstore

        try:
            self._ask(lambda: obstore.delete(self.folder.bucket.store, self.key))
        except FileNotFoundError:
            return

    def put(self, data: Blob | Path, *, replace: bool = False) -> None:
        """Create it, or replace what has its name. Raises `FileExistsError`, `OSError`."""
        size_bytes = data.stat().st_size if isinstance(data, Path) else len(data)
        content = data if isinstance(data, Path) else bytes(data)
        # Asked to create in parts, obstore sends one piece: `_upload` goes around that.
        parts = replace and size_bytes > _LARGE_BYTES
        self._ask(lambda: self._send(content, "overwrite" if replace else "create", in_parts=parts))

    def put_in_parts(self, source: File) -> None:
        """Replace it with a local file's bytes, of which only a few parts are in memory at a time."""

        def send() -> None:
            with source.reading() as data:
                self._send(data, "overwrite", in_parts=True)

        self._ask(send)

    def _send(self, data: Any, mode: Any, *, in_parts: bool) -> None:  # noqa: ANN401 - what obstore takes
        import obstore

        obstore.put(
            self.folder.bucket.store,
            self.key,
            data,
            mode=mode,
            use_multipart=in_parts,
            chunk_size=_PIECE_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )

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

    def _upload(self, source: File) -> None:
        if source.status().size_bytes > _LARGE_BYTES:
            waiting = self.folder.bucket.file(f".{self.name}.upload")
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

        return obstore.get(self.folder.bucket.store, self.key).stream(min_chunk_size=1 << 20)

    def _ask(self, call: Callable[[], Result]) -> Result:
        return self.folder.bucket.ask(self.key, call)
