"""The JSON Schema that editors use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from batchgen.manifest.schema import json_schema


def properties(schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property anywhere in a schema."""
    if isinstance(schema, dict):
        for name, value in schema.get("properties", {}).items():
            yield name, value
        for value in schema.values():
            yield from properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value)


def test_every_key_is_explained() -> None:
    """An editor can show what every key means and an example of it."""
    found = list(properties(json_schema()))
    assert len(found) > 30
    assert [] == [name for name, value in found if not value.get("description") or not value.get("examples")]


def test_keys_of_the_contract() -> None:
    """The schema has the keys of the documented format, and allows no others."""
    schema: Any = json_schema()
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    top = "batchgen job description provider model request prompt_template limits retry max_tasks priority report prompts"
    assert set(top.split()) == set(schema["properties"])
    entry = schema["$defs"]["PromptEntry"]
    documented = {"id", "prompt", "model", "images", "vary", "exclude", "request", "tags", "references", "mask"}
    assert documented == set(entry["properties"])
    table = schema["$defs"]["TableEntry"]
    assert documented | {"table", "sheet", "where"} == set(table["properties"])
    assert ["table"] == table["required"]
    assert not schema["additionalProperties"] and not entry["additionalProperties"]
    assert ["batchgen", "prompts"] == schema["required"]


def test_is_json() -> None:
    """The schema can be printed, and names the parameters that models take."""
    text = json.dumps(json_schema())
    assert '"output_compression"' in text
