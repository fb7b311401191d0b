"""`batchgen schema`: the JSON Schema that lets an editor complete and check a manifest."""

from __future__ import annotations

import json

import click

from batchgen.manifest.schema import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a manifest (2020-12)."""
    click.echo(json.dumps(json_schema(), indent=2))
