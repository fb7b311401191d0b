"""The official document with its overlay, as checks of what is sent and said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, relevance

HERE = Path(__file__).parent
SHOWN = 200
"""The most characters of a value or a rule that a complaint repeats: images are long."""

Schema = dict[str, Any]


class Document:
    """The schemas of the document by their names, closed: what they do not name is not there.

    That is stricter than the document, which lets anything pass beside what it names; so nothing that nobody has
    described can be sent or said.
    """

    def __init__(self, document: Schema, overlay: list[Schema]) -> None:
        self._paths: Schema = document["paths"]
        self.schemas: Schema = document["components"]["schemas"]
        for delta in overlay:
            self._change(delta)
        self._closed: Schema = _read_as_meant(self.schemas)
        self._validators: dict[str, Draft202012Validator] = {}

    def faults(self, schema: str, value: object) -> list[str]:
        """What is wrong with a value, each with its path and the schema's words."""
        errors = self._validator(schema).iter_errors(value)
        return [
            f"{schema}{_told(_deepest(error))}" for error in sorted(errors, key=lambda error: error.json_path)
        ]

    def request_schema(self, path: str, content_type: str) -> str | None:
        """The schema of what is posted to a path; None where the document knows no such request."""
        body = self._paths.get(path, {}).get("post", {}).get("requestBody", {})
        return _referred(body.get("content", {}).get(content_type))

    def answer_schema(self, method: str, path: str, content_type: str) -> str | None:
        """The schema of a good answer; None where the document knows no such answer."""
        for template, methods in self._paths.items():
            if _fits(template, path) and method.lower() in methods:
                content = methods[method.lower()]["responses"]["200"]["content"]
                return _referred(content.get(content_type))
        return None

    def events(self, schema: str) -> dict[str, str]:
        """The schemas of a stream's events by their `type`."""
        members = [_referred({"schema": member}) or "" for member in self.schemas[schema]["anyOf"]]
        return {self.schemas[member]["properties"]["type"]["enum"][0]: member for member in members}

    def properties(self, schema: str) -> Schema:
        """The schema of each property."""
        found: Schema = self.schemas[schema]["properties"]
        return {name: self._followed(one) for name, one in found.items()}

    def _followed(self, schema: Schema) -> Schema:
        name = _referred({"schema": schema})
        return schema if name is None else self._followed(self.schemas[name])

    def _validator(self, schema: str) -> Draft202012Validator:
        if schema not in self._validators:
            root = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": self._closed}}
            self._validators[schema] = Draft202012Validator(root, format_checker=FORMATS)
        return self._validators[schema]

    def _change(self, delta: Schema) -> None:
        assert {"why", "source"} < set(delta), f"a delta without its reason: {delta}"
        places = [delta["at"]] if isinstance(delta["at"], str) else delta["at"]
        for place in places:
            name, _, member = place.partition(".")
            schema: Schema = self.schemas[name]
            if member:
                schema = schema["properties"][member]
            before = repr(schema)
            for rule in set(delta) - {"at", "why", "source"}:
                _CHANGES[rule](schema, delta[rule])
            assert before != repr(schema), f"the document itself says by now what the overlay has at {place}"


def _add_values(schema: Schema, values: list[str]) -> None:
    words = _choices(schema)
    words += [value for value in values if value not in words]


def _take_any_value(schema: Schema, _yes: bool) -> None:
    for branch in (schema, *schema.get("anyOf", ())):
        branch.pop("enum", None)


def _add_properties(schema: Schema, properties: Schema) -> None:
    schema["properties"] = {**properties, **schema["properties"]}


def _add_patterns(schema: Schema, patterns: Schema) -> None:
    schema["patternProperties"] = {**patterns, **schema.get("patternProperties", {})}


_CHANGES: Mapping[str, Callable[[Schema, Any], None]] = {
    "values": _add_values,
    "any_value": _take_any_value,
    "properties": _add_properties,
    "patterns": _add_patterns,
}


def _choices(schema: Schema) -> list[str]:
    for branch in (schema, *schema.get("anyOf", ())):
        if "enum" in branch:
            words: list[str] = branch["enum"]
            return words
    return []


def choices(schema: Schema) -> tuple[str, ...]:
    """The words that a property's schema lists; none where it lists none."""
    return tuple(_choices(schema))


def _read_as_meant(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """`nullable` as OpenAPI 3.0 had it, which this document of 3.1 still writes; and no names beside the listed ones."""
    if isinstance(schema, list):
        return [_read_as_meant(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    meant = {name: _read_as_meant(one) for name, one in schema.items() if (name, one) != ("nullable", True)}
    if isinstance(schema.get("properties"), dict) and schema.get("type", "object") == "object":
        meant.setdefault("additionalProperties", False)
    return {"anyOf": [meant, {"type": "null"}]} if schema.get("nullable") is True else meant


def _referred(content: Mapping[str, Any] | None) -> str | None:
    reference = (content or {}).get("schema", {}).get("$ref", "")
    return reference.rpartition("/")[2] or None


def _fits(template: str, path: str) -> bool:
    parts, wanted = path.split("/"), template.split("/")
    pairs = zip(wanted, parts, strict=False)
    return len(parts) == len(wanted) and all(want in ("{model}", part) for want, part in pairs)


def _deepest(error: ValidationError) -> ValidationError:
    """The most telling one where a value fits no branch of a choice: that of the branch for its own type."""
    while error.context:
        error = max(error.context, key=lambda one: (one.validator != "type", relevance(one)))
    return error


def _told(error: ValidationError) -> str:
    message = error.message if len(error.message) <= SHOWN else f"{error.message[:SHOWN]}…"
    return f" {error.json_path}: {message}"


FORMATS = FormatChecker(("date",))


@FORMATS.checks("uri", ValueError)
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


@cache
def document() -> Document:
    """The document with its overlay, read once."""
    return Document(_read("openai-images.openapi.yaml"), _read("overlay.yaml"))


def _read(name: str) -> Any:  # noqa: ANN401 - any YAML
    return yaml.load((HERE / name).read_text("utf-8"), Loader=yaml.CSafeLoader)
