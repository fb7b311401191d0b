"""`batchgen models`: which model is for what, what it takes, what it costs."""

from __future__ import annotations

import json
from typing import Any

import click

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.describe import describe, describe_all, render, render_all
from batchgen.cli.options import common_options, config_of
from batchgen.core.errors import UsageError
from batchgen.system.clock import utc_now


@click.command("models")
@click.argument("model", required=False)
@common_options
def command(model: str | None, **values: Any) -> None:
    """Show the catalogue; with a model, its parameters, rules and prices."""
    catalogue = Catalogue.builtin().with_entries(config_of(values).catalogue)
    today = utc_now().date()
    if model is None:
        described = describe_all(catalogue, today)
        text = "\n".join(map(json.dumps, described)) if values["as_json"] else render_all(described)
    else:
        found = catalogue.find(model)
        if found is None:
            nearest = catalogue.nearest(model)
            hint = f"did you mean {nearest}?" if nearest else "`batchgen models` lists them"
            raise UsageError(f'the catalogue has no model "{model}" ({hint})')
        one = describe(catalogue, found, today)
        text = json.dumps(one) if values["as_json"] else render(one)
    click.echo(text)
