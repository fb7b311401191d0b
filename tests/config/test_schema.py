"""The JSON Schema of a configuration: every key explained, as strict as batchgen where it can be, never stricter."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from batchgen.catalogue.dialects import DIALECTS
from batchgen.config.file import load_config
from batchgen.config.schema import config_schema
from batchgen.core.errors import ProblemsError
from batchgen.manifest.document import read_document
from batchgen.manifest.scalars import plain_value
from batchgen.manifest.starter import CONFIG
from tests.manifest.test_schema import properties

SCHEMA = config_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
GATEWAY = "base_url: https://images.example.com/v1, key_env: GATEWAY_KEY"


def written(folder: Path, text: str) -> Path:
    """A configuration that only its owner may write."""
    path = folder / "batchgen.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def faults(path: Path) -> list[str]:
    """What an editor underlines in a file."""
    root = read_document(path).root
    return [] if root is None else [error.message for error in VALIDATOR.iter_errors(plain_value(root))]


def test_it_is_a_schema_that_explains_every_key() -> None:
    """It keeps its own metaschema; every key has a description and an example, every dialect is offered."""
    Draft202012Validator.check_schema(SCHEMA)
    found = list(properties(SCHEMA))
    assert len(found) > 60
    assert [] == [name for name, value in found if not value.get("description") or not value.get("examples")]
    assert list(DIALECTS) == SCHEMA["$defs"]["ProviderShape"]["properties"]["dialect"]["anyOf"][0]["enum"]


@pytest.mark.parametrize(
    "text",
    [
        CONFIG,
        "providers: {cometapi: {images_per_minute: 120, concurrency: 32, deadline: 600s}}",
        f"providers: {{gateway: {{{GATEWAY}, dialect: openai, models: {{'a, b': {{images_per_minute: 5}}}}}}}}",
        f"providers: {{gateway: {{{GATEWAY}, dialect: {{like: openai, rename: {{size: image_size}}, edit: null}}}}}}",
        "catalogue: {my-model: {family: gpt-image-2, price_usd: 0.04, for: posters}}",
        "catalogue: {new: {parameters: {mood: {values: [calm, wild], default: calm}, seed: {minimum: 0}}, edits: null}}",
        'catalogue: {old: {family: dall-e-3, retires: "2027-01-31", edits: {references: 4}, parameters: {style: null, y: {flag: true}}}}',
        "defaults: {concurrency: 8}\noutput: elsewhere\nverify: decode\nreport: {thumbnails: true}\n",
    ],
)
def test_what_is_right_is_not_refused(tmp_path: Path, text: str) -> None:
    """What batchgen takes is underlined by no editor."""
    path = written(tmp_path, text)
    assert path == load_config(path, tmp_path).path
    assert [] == faults(path)


@pytest.mark.parametrize(
    "text",
    [
        "provider: {}",
        "providers: {cometapi: {images_per_minutes: 5}}",
        "providers: {cometapi: {images_per_minute: 0}}",
        "providers: {cometapi: {deadline: soon}}",
        "providers: {gateway: {base_url: https://images.example.com/v1}}",
        f"providers: {{gateway: {{{GATEWAY}, dialect: openia}}}}",
        f"providers: {{gateway: {{{GATEWAY}, dialect: {{renam: {{}}}}}}}}",
        "catalogue: {my-model: {price: 5}}",
        "catalogue: {my-model: {price_usd: free}}",
        "catalogue: {my-model: {edits: {references: 17}}}",
        "verify: hash",
        "engine: cluster",
        "defaults: {concurrency: 0}",
        "report: {thumbnail: true}",
    ],
)
def test_common_mistakes_are_refused(tmp_path: Path, text: str) -> None:
    """What batchgen refuses is underlined while it is written."""
    path = written(tmp_path, text)
    with pytest.raises(ProblemsError):
        load_config(path, tmp_path)
    assert [] != faults(path)
