"""Asking a provider for its models anew: what it says is kept, and compared with what was known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.changes import ModelNews, compare
from batchgen.catalogue.listing import Listing, doubtful
from batchgen.core.errors import UsageError
from batchgen.core.naming import printable
from batchgen.job import Options, kept_listing
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.job import DEFAULT_PROVIDER
from batchgen.providers.endpoint import Endpoint, host_of, is_embedded, resolve
from batchgen.providers.kept import keep, kept_path
from batchgen.providers.settings import ProviderSettings
from batchgen.rooms import embedded_endpoint
from batchgen.system.clock import moment_text


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A list that was read and kept in `file`; `earlier` is the one before it, None for the first of its host."""

    listing: Listing
    earlier: Listing | None
    news: list[ModelNews]
    notices: list[str]
    file: Path
    images: int


async def refresh_models(options: Options) -> Refreshed:
    """Read the list of the provider that the options name, else of the default one.

    Raises `UsageError`, `ListingError`, `StorageError`; the earlier list stays then.
    """
    # Imported here, since the network is slow to import.
    from batchgen.providers.listing import fetch_models

    settings = _settings(options)
    host = host_of(settings, options.environ, base_url=options.base_url)
    earlier = kept_listing(settings, options)
    async with _endpoint(settings, options) as endpoint:
        answered = await fetch_models(endpoint, settings)
    now = options.clock()
    listing = Listing(settings.name, host, moment_text(now), answered.models, answered.whole)
    await to_thread.run_sync(keep, options.folder, listing)
    catalogue = Catalogue.builtin().with_entries(options.config.catalogue)
    return Refreshed(
        listing,
        earlier,
        compare(catalogue, earlier, listing, now.date()),
        [*answered.notices, *_notices(catalogue, listing)],
        kept_path(options.folder, settings.name),
        len(listing.images(catalogue.models)),
    )


def _settings(options: Options) -> ProviderSettings:
    known, name = options.config.providers, options.provider or DEFAULT_PROVIDER
    if name not in known:
        raise UsageError(f'there is no provider "{printable(name)}" ({did_you_mean(name, known)})')
    return known[name]


@asynccontextmanager
async def _endpoint(settings: ProviderSettings, options: Options) -> AsyncIterator[Endpoint]:
    if is_embedded(settings, options.base_url):
        async with embedded_endpoint(settings) as endpoint:
            yield endpoint
    else:
        keyless = settings.dialect.prices is not None
        yield resolve(settings, options.environ, base_url=options.base_url, keyless=keyless)


def _notices(catalogue: Catalogue, listing: Listing) -> Iterator[str]:
    if not listing.whole:
        yield "the list was longer than it may be, or was cut: what it leaves out may be there all the same"
    for name, listed in listing.models.items():
        model = catalogue.find(name)
        if model is not None and doubtful(model.pricing, listed.price):
            yield f"the listed price of {name} is under a tenth of its maker's and is not used"
