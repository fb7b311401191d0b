"""`batchgen schema`: the JSON Schemas that let an editor complete and check a manifest and a configuration."""

from __future__ import annotations

import json
from pathlib import Path

import click

from batchgen.catalogue.catalogue import Catalogue
from batchgen.config.file import load_config
from batchgen.config.schema import config_schema
from batchgen.manifest.editing import json_schema


@click.command("schema")
@click.option("--config", "of_config", is_flag=True, help="Of batchgen.yaml instead.")
def command(*, of_config: bool) -> None:
    """Print the JSON Schema of a manifest (2020-12), with the models and providers of the nearest batchgen.yaml."""
    click.echo(json.dumps(config_schema() if of_config else manifest_schema(Path()), indent=2))


def manifest_schema(start: Path) -> dict[str, object]:
    """The schema of a manifest beside the configuration found from `start` upwards. Raises as `load_config` does."""
    config = load_config(None, start)
    return json_schema(Catalogue.builtin().with_entries(config.catalogue), config.providers)
