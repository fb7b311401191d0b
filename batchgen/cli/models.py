"""`batchgen models`: which model is for what, what it takes, what it costs, and what is news of it."""

from __future__ import annotations

import json
from typing import Any

import anyio
import click

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.describe import describe, describe_all, render, render_all
from batchgen.catalogue.listing import Listing
from batchgen.cli.options import common_options, options_of
from batchgen.core.errors import UsageError
from batchgen.core.naming import printable
from batchgen.job import Options, kept_listing
from batchgen.manifest.guess import did_you_mean
from batchgen.refresh import refresh_models
from batchgen.reports.models import listing_json, news_json, render_news


@click.command("models")
@click.argument("model", required=False)
@click.option("--refresh", is_flag=True, help="Ask the provider for its models and prices, and keep them.")
@common_options
def command(model: str | None, *, refresh: bool, **values: Any) -> None:
    """Show the catalogue; with a model, its parameters, rules and prices. With --refresh, what is new at a provider."""
    options = options_of(values)
    if refresh and model is not None:
        raise click.UsageError("--refresh is about all models of a provider: leave out MODEL")
    if refresh:
        _refresh(options, as_json=values["as_json"])
    else:
        _show(model, options, as_json=values["as_json"])


def _refresh(options: Options, *, as_json: bool) -> None:
    found = anyio.run(refresh_models, options)
    since = found.earlier.day if found.earlier is not None else None
    about: dict[str, Any] = {"images": found.images, "since": since, "file": found.file}
    if not as_json:
        click.echo(render_news(found.listing, found.news, found.notices, **about))
        return
    for one in found.news:
        click.echo(json.dumps(news_json(found.listing, one)))
    click.echo(json.dumps(listing_json(found.listing, found.news, found.notices, **about)))


def _show(model: str | None, options: Options, *, as_json: bool) -> None:
    catalogue = Catalogue.builtin().with_entries(options.config.catalogue)
    today, listings = options.clock().date(), _listings(options)
    if model is None:
        described = describe_all(catalogue, today, listings)
        click.echo("\n".join(map(json.dumps, described)) if as_json else render_all(described))
        return
    found = catalogue.find(model)
    if found is None:
        listed = ", ".join(listing.provider for listing in listings if model in listing.models)
        nearest = catalogue.nearest(model)
        hint = f"did you mean {nearest}?" if nearest else "`batchgen models` lists them"
        hint = f"{listed} lists it; it is sent unchecked" if listed else hint
        raise UsageError(f'the catalogue has no model "{model}" ({hint})')
    one = describe(catalogue, found, today, listings)
    click.echo(json.dumps(one) if as_json else render(one))


def _listings(options: Options) -> list[Listing]:
    """What is kept of the provider that is named, else of all."""
    providers = options.config.providers
    if options.provider is not None and options.provider not in providers:
        wanted = printable(options.provider)
        raise UsageError(f'there is no provider "{wanted}" ({did_you_mean(options.provider, providers)})')
    names = providers if options.provider is None else [options.provider]
    kept = [kept_listing(providers[name], options) for name in names]
    return [listing for listing in kept if listing is not None]
