"""The JSON Schema that editors use: complete, and as strict as batchgen where it can be, never stricter."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.meanings import MEANINGS
from batchgen.catalogue.model import AnySize, Anything, Choice, Flag, Whole
from batchgen.core.types import Task
from batchgen.manifest.document import compose
from batchgen.manifest.editing import json_schema
from batchgen.manifest.scalars import plain_value
from tests.manifest.reading import HEAD, problems_of, read

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
CATALOGUE = Catalogue.builtin()
DOCUMENTED = {"id", "prompt", "model", "images", "vary", "exclude", "request", "tags", "references", "mask", "table", "sheet", "where"}  # fmt: skip


def properties(schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that is offered anywhere in a schema; what conditions say comes on top of that."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for key, value in schema.items():
            if key not in ("if", "then", "else", "allOf") and "Request" not in key:
                yield from properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value)


def instance(text: str) -> object:
    """A manifest's text as an editor's checker sees it."""
    root = compose("job.yaml", text.encode()).root
    assert root is not None
    return plain_value(root)


def test_it_is_a_schema() -> None:
    """It keeps its own metaschema, and can be printed."""
    Draft202012Validator.check_schema(SCHEMA)
    assert "https://json-schema.org/draft/2020-12/schema" == SCHEMA["$schema"]
    assert len(json.dumps(SCHEMA)) < 100_000


def test_every_key_is_explained() -> None:
    """An editor can show what every key means and an example of it."""
    found = list(properties(SCHEMA))
    assert len(found) > 60
    assert [] == [name for name, value in found if not value.get("description") or not value.get("examples")]


def test_keys_of_the_contract() -> None:
    """The schema has the keys of the documented format, and allows no others."""
    top = "batchgen job description provider model request prompt_template limits retry max_tasks priority report prompts"
    assert set(top.split()) == set(SCHEMA["properties"])
    entry = SCHEMA["$defs"]["PromptEntry"]
    assert DOCUMENTED == set(entry["properties"])
    assert not SCHEMA["additionalProperties"] and not entry["additionalProperties"]
    assert ["batchgen", "prompts"] == SCHEMA["required"]


def test_every_model_is_offered_with_what_it_is_for() -> None:
    """At the top and in a prompt, dated names included."""
    for owner in (SCHEMA, SCHEMA["$defs"]["PromptEntry"]):
        offered = owner["properties"]["model"]["anyOf"][0]["anyOf"][0]
        told = dict(zip(offered["enum"], offered["enumDescriptions"], strict=True))
        assert set(CATALOGUE.models) == set(told)
        assert all(model.good_for in told[name] for name, model in CATALOGUE.models.items())


def test_every_parameter_is_offered_with_who_takes_it() -> None:
    """With its meaning, and with every model that takes it."""
    for owner in (SCHEMA, SCHEMA["$defs"]["PromptEntry"]):
        offered = owner["properties"]["request"]["anyOf"][0]["properties"]
        assert {*CATALOGUE.parameters, "extra"} == set(offered)
        for model in CATALOGUE.models.values():
            for name in model.parameters if model.dated_name_of is None else ():
                assert model.model_id in offered[name]["description"]
    assert set(MEANINGS) == set(CATALOGUE.parameters)


def test_what_the_operator_has_is_offered() -> None:
    """Models of the configuration with their own parameters and values, and its providers."""
    painter = Entry(good_for="posters", parameters={"mood": Choice(("calm", "wild"))})
    schema = json_schema(CATALOGUE.with_entries({"painter": painter}), ["cometapi", "gateway"])
    check = Draft202012Validator(schema)
    text = (
        "batchgen: 1\nprovider: gateway\nmodel: painter\nrequest: {mood: MOOD}\nprompts: [{id: a, prompt: A}]\n"
    )

    assert "posters" in json.dumps(schema["properties"]["model"])
    assert "gateway" in json.dumps(schema["properties"]["provider"])
    assert check.is_valid(instance(text.replace("MOOD", "calm")))
    assert not check.is_valid(instance(text.replace("MOOD", "angry")))


PLAIN = "prompts: [{id: a, prompt: A boat}]\n"


@pytest.mark.parametrize(
    "text",
    [
        "model: gpt-image-2\n" + PLAIN,
        "batchgen: 2\nmodel: gpt-image-2\n" + PLAIN,
        HEAD,
        HEAD + "prompts: []\n",
        HEAD + "prompts: {id: a, prompt: A}\n",
        HEAD + "colour: red\n" + PLAIN,
        HEAD + "job: my job\n" + PLAIN,
        HEAD + "limits: {budget: 5}\n" + PLAIN,
        HEAD + 'limits: {budget_usd: "5"}\n' + PLAIN,
        HEAD + "limits: {images_per_minute: 0}\n" + PLAIN,
        HEAD + "limits: {images_per_minute: {gpt-image-2: 0}}\n" + PLAIN,
        HEAD + "limits: {concurrency: 0}\n" + PLAIN,
        HEAD + "limits: {max_duration: five hours}\n" + PLAIN,
        HEAD + "limits: {finish_by: tonight}\n" + PLAIN,
        HEAD + "retry: {on_unknown: resnd}\n" + PLAIN,
        HEAD + "retry: {max_attempts: 0}\n" + PLAIN,
        HEAD + "report: {thumbnails: small}\n" + PLAIN,
        HEAD + "max_tasks: many\n" + PLAIN,
        HEAD + "priority: high\n" + PLAIN,
        HEAD + "prompt_template: flat\n" + PLAIN,
        HEAD + "request: {quality: superb}\n" + PLAIN,
        HEAD + "request: {qualty: low}\n" + PLAIN,
        HEAD + "request: {size: big}\n" + PLAIN,
        HEAD + "request: {output_compression: 500}\n" + PLAIN,
        HEAD + 'request: {stream: "yes"}\n' + PLAIN,
        HEAD + "request: {style: vivid}\n" + PLAIN,
        HEAD + "request: {extra: {size: 1024x1024}}\n" + PLAIN,
        HEAD + "request: {extra: seed}\n" + PLAIN,
        HEAD + "prompts: [{id: a}]\n",
        HEAD + "prompts: [{prompt: A}]\n",
        HEAD + "prompts: [{id: a b, prompt: A}]\n",
        HEAD + "prompts: [{id: 7, prompt: A}]\n",
        HEAD + 'prompts: [{id: a, prompt: " "}]\n',
        HEAD + "prompts: [{id: a, prompt: A, images: 0}]\n",
        HEAD + "prompts: [{id: a, prompt: A, imags: 1}]\n",
        HEAD + "prompts: [{id: a, prompt: A, tags: shop}]\n",
        HEAD + 'prompts: [{id: a, prompt: "{c}", vary: {c: []}}]\n',
        HEAD + 'prompts: [{id: a, prompt: "{c}", vary: {c: [true]}}]\n',
        HEAD + 'prompts: [{id: a, prompt: "{prompt}", vary: {prompt: [a]}}]\n',
        HEAD + "prompts: [{id: a, prompt: A, references: []}]\n",
        HEAD + "prompts: [{id: a, prompt: A, where: {b: c}}]\n",
        HEAD + "prompts: [{id: a, prompt: A, sheet: Products}]\n",
        HEAD + "prompts: [{table: [a.csv]}]\n",
        HEAD + 'prompts: [{id: a, prompt: "{c}", vary: {c: {file: a.txt, skip: 1}}}]\n',
        HEAD + "prompts: [{id: a, prompt: A, request: {quality: best}}]\n",
        HEAD + "prompts: [{id: a, prompt: A, model: dall-e-3, request: {quality: low}}]\n",
    ],
)
def test_common_mistakes_are_refused(tmp_path: Path, text: str) -> None:
    """What batchgen refuses is underlined while it is written."""
    assert any("warning" not in problem for problem in problems_of(tmp_path, text))
    assert not VALIDATOR.is_valid(instance(text))


@pytest.mark.parametrize(
    "text",
    [
        # Values that are known later, other models and other providers are nobody's mistake.
        HEAD + 'prompts: [{id: "a-{s}", prompt: A, vary: {s: [1024x1024]}, request: {size: "{s}"}}]\n',
        'batchgen: 1\nmodel: "{m}"\nrequest: {quality: low}\nprompts: [{id: a, prompt: A, vary: {m: [gpt-image-2]}}]\n',
        HEAD + 'prompts: [{id: a, prompt: A, vary: {n: [50]}, request: {output_format: jpeg, output_compression: "{n}"}}]\n',
        HEAD + 'prompts: [{id: a, prompt: A, vary: {s: [true]}, request: {stream: "{s}"}}]\n'.replace("[true]", '["true"]'),
        HEAD + "request: {style: vivid}\nprompts: [{id: a, prompt: A, model: dall-e-3}]\n",
        HEAD + "request: {quality: low}\nprompts: [{id: a, prompt: A, request: {quality: null}}]\n",
        HEAD + 'prompts: [{id: "{größe}", prompt: A, vary: {größe: [a, b]}}]\n',
        HEAD + 'limits: {max_duration: " 1h30m"}\nprompts: [{id: a, prompt: A}]\n',
    ],
)  # fmt: skip
def test_what_is_right_is_not_refused(tmp_path: Path, text: str) -> None:
    """Placeholders, models of other prompts, defaults that a prompt takes away."""
    assert [] == [problem for problem in problems_of(tmp_path, text) if "warning" not in problem]
    assert [] == [error.message for error in VALIDATOR.iter_errors(instance(text))]


@pytest.mark.parametrize(
    "entry",
    [
        '{table: products.csv, id: "{sku}", prompt: "{name}"}',
        "{table: products.csv, where: {name: [Tea, Cake], sku: x}}",
        '{table: products.csv, id: "{sku}-{c}", prompt: "{name} {c}", vary: {c: {file: colors.txt}}}',
    ],
)
def test_tables_and_lists_are_not_refused(tmp_path: Path, entry: str) -> None:
    """Entries that need no id or prompt of their own, conditions, values from a file."""
    (tmp_path / "products.csv").write_text("sku,name,id,prompt\nx,Tea,a,A tea\ny,Cake,b,A cake\n")
    (tmp_path / "colors.txt").write_text("red\nblue\n")
    text = f"{HEAD}prompts:\n  - {entry}\n"

    assert [] == [problem for problem in problems_of(tmp_path, text) if "warning" not in problem]
    assert [] == [error.message for error in VALIDATOR.iter_errors(instance(text))]


@pytest.mark.parametrize("text", ["model: my-own-model\n", "model: gpt-image-2\nprovider: gateway\n"])
def test_what_only_the_operator_knows_is_not_refused(text: str) -> None:
    """Models and providers that are none of the built-in ones."""
    assert VALIDATOR.is_valid(instance(f"batchgen: 1\n{text}request: {{quality: low}}\n{PLAIN}"))
    assert VALIDATOR.is_valid(
        instance("batchgen: 1\nmodel: my-own\nrequest: {mood: wild, quality: draft}\n" + PLAIN)
    )


MODELS = st.sampled_from([*CATALOGUE.models, "my-own-model"])
HEADS = st.fixed_dictionaries(
    {"batchgen": st.just(1)},
    optional={
        "job": st.sampled_from(["spring", "Spring_1"]),
        "description": st.just(""),
        "provider": st.sampled_from(["cometapi", "sandbox", None]),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                "budget_usd": st.sampled_from([0, 2.5, None]),
                "finish_by": st.sampled_from(["06:30", "2026-01-31T06:30", "2026-01-31 06:30:00Z"]),
                "images_per_minute": st.sampled_from([5, 0.5, {"gpt-image-2": 5}, {"other": 1}, None]),
                "concurrency": st.sampled_from([1, 9, None]),
            },
        ),
        "prompt_template": st.sampled_from(["{prompt}", "{prompt} flat", "{{x}} {prompt}"]),
        "retry": st.sampled_from([{}, {"max_attempts": 2}, {"on_unknown": "hold"}]),
        "report": st.sampled_from([{}, {"thumbnails": False}, {"partials": None}]),
        "max_tasks": st.just(50),
        "priority": st.integers(-3, 3),
    },
)


def values_of(parameter: object) -> list[Any]:
    """Some values that a parameter takes."""
    match parameter:
        case Choice(values=values):
            return [*values]
        case AnySize():
            return ["auto", "1024x1024", "1536x864"]
        case Whole(minimum=minimum):
            return [minimum or 0, (minimum or 0) + 1]
        case Flag():
            return [True, False]
        case Anything(kind="object"):
            return [{"seed": 7}]
    return ["text"]


@st.composite
def requests(draw: st.DrawFn, model: str) -> tuple[dict[str, Any], list[Any]]:
    """A request that the model mostly takes, and the values of the variable `v` if it uses that."""
    known = CATALOGUE.find(model)
    parameters = {**known.parameters} if known else {"quality": None, "style": None}
    names = draw(st.lists(st.sampled_from(sorted(parameters)), max_size=3, unique=True))
    request = {name: draw(st.sampled_from(values_of(parameters[name]))) for name in names}
    if draw(st.integers(0, 3)) == 0:
        request["extra"] = draw(st.sampled_from([{"seed": 7}, {"strength": 0.5}]))
    scalar = [name for name in names if not isinstance(request[name], dict)]
    if not scalar or draw(st.booleans()):
        return request, []
    name = scalar[0]
    varied = [str(value).lower() if isinstance(value, bool) else value for value in values_of(parameters[name])]
    request[name] = "{v}"
    return request, varied


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """Manifests most of which are right."""
    manifest: dict[str, Any] = dict(draw(HEADS))
    top = draw(MODELS)
    if with_model := draw(st.integers(0, 3)) > 0:
        manifest["model"] = top
        if draw(st.booleans()):
            manifest["request"] = draw(requests(top))[0]
    manifest["prompts"] = []
    for number in range(draw(st.integers(1, 3))):
        entry: dict[str, Any] = {"id": f"p{number}", "prompt": "A boat."}
        own = draw(st.booleans()) or not with_model
        model = entry["model"] = draw(MODELS) if own else None
        if draw(st.booleans()):
            entry["request"], varied = draw(requests(model or top))
            if varied:
                entry |= {"vary": {"v": varied}, "prompt": "A {v} boat.", "tags": ["varied"]}
        if model is None and draw(st.booleans()):
            del entry["model"]
        manifest["prompts"].append(entry)
    return manifest


def overridden(manifest: dict[str, Any]) -> bool:
    """Whether a default of `request` is never used, because every prompt overrides it."""
    return any(
        all(name in (entry.get("request") or {}) for entry in manifest["prompts"])
        for name in manifest.get("request", {})
    )


@settings(max_examples=120, deadline=None)
@given(manifests())
def test_whatever_is_accepted_keeps_the_schema(manifest: dict[str, Any]) -> None:
    """No editor underlines what batchgen takes, but for a default that every prompt overrides."""
    text = json.dumps(manifest)
    with tempfile.TemporaryDirectory() as folder:
        loaded = read(Path(folder), text)
        found = [*loaded.problems, *(item for item in loaded.expand() if not isinstance(item, Task))]
    if all(problem.warning for problem in found) and not overridden(manifest):
        assert [] == [error.message for error in VALIDATOR.iter_errors(instance(text))]
