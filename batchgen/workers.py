"""What a worker on another machine needs to open an engine of its own: names and places, and no secret."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from batchgen.core.errors import StorageError
from batchgen.core.protocols import Engine
from batchgen.core.values import replace
from batchgen.engines.local import LocalEngine
from batchgen.job import Job
from batchgen.providers.endpoint import address_of, resolve
from batchgen.providers.settings import ProviderSettings
from batchgen.stores.arriving import Check
from batchgen.stores.sidecars import Origin
from batchgen.system.buckets import PATIENCE_S, Bucket, open_bucket


@dataclass(frozen=True, slots=True)
class Recipe:
    """`settings` name the variables of the key, which each worker finds in its own environment.

    `token` is a file of the job's folder: who sees it sees the folder that the coordinator means. `store` is the address
    of an object store for images, "" for none, and `store_options` what it needs to know, without secrets.
    """

    settings: ProviderSettings
    folder: Path
    origin: Origin
    concurrency: int
    pictures: Path
    token: str
    decode: bool = False
    partials: bool = False
    store: str = ""
    store_options: Mapping[str, str] = field(default_factory=dict)
    store_patience_s: float = PATIENCE_S


@asynccontextmanager
async def recipe_of(job: Job, host: str, base_url: str | None = None) -> AsyncIterator[Recipe]:
    """The recipe of a job, valid for the length of the block. Raises `StorageError`, `UsageError`."""
    url = base_url or address_of(job.settings, job.options.environ, base_url=job.options.base_url)
    folder = job.folder.absolute()
    token = folder / "state" / f"worker-{token_hex(8)}.new"
    try:
        token.touch(0o600)
    except OSError as error:
        raise StorageError(f"{token}: cannot be written ({error.strerror}); nothing was sent") from error
    try:
        yield Recipe(
            settings=replace(job.settings, base_url=url, base_url_env=None),
            folder=folder,
            origin=Origin(job.name, job.settings.name, host),
            concurrency=job.limits.concurrency,
            pictures=job.manifest.path.parent.absolute(),
            token=token.name,
            decode=job.options.config.verify == "decode",
            partials=job.keeps_partials,
            store=job.store or "",
            store_options=dict(job.options.config.store_options),
            store_patience_s=job.options.config.store_patience_s,
        )
    finally:
        with suppress(OSError):  # what is left is swept when the job is opened next
            token.unlink(missing_ok=True)


@asynccontextmanager
async def open_worker(recipe: Recipe) -> AsyncIterator[Engine]:
    """An engine where this is called, with the key of its environment. Raises `UsageError`, `StorageError`."""
    from batchgen.providers.http import open_provider
    from batchgen.stores.directory import open_store_at

    check: Check | None = None
    if recipe.decode:
        from batchgen.stores.decoding import decoded_media_of

        check = decoded_media_of
    endpoint = resolve(recipe.settings, os.environ)
    shared = _sees_folder(recipe)
    if not shared and not recipe.store:
        raise StorageError(
            f"{recipe.folder} is not the coordinator's folder there: share it under the same path"
        )
    opened = open_store_at(
        _bucket(recipe) if recipe.store else recipe.folder,
        recipe.folder if shared else _own_folder(recipe),
        recipe.origin,
        # Opened as if to be read where the coordinator has made it; and only that one may sweep rooms that others hold.
        readable=shared,
        sweep=False,
        check=check,
        partials=recipe.partials,
    )
    async with (
        opened as store,
        open_provider(endpoint, concurrency=recipe.concurrency, pictures=recipe.pictures) as provider,
    ):
        yield LocalEngine(provider, store)


def _sees_folder(recipe: Recipe) -> bool:
    try:
        return (recipe.folder / "state" / recipe.token).exists()
    except OSError:  # it may be there, but whoever works here may not look into it
        return False


def _bucket(recipe: Recipe) -> Bucket:
    return open_bucket(recipe.store, recipe.store_options, patience_s=recipe.store_patience_s)


def _own_folder(recipe: Recipe) -> Path:
    """Where an image waits for the object store on a machine that does not see the coordinator's folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "batchgen" / recipe.origin.job
