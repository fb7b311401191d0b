"""From prompts to tasks."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.dialects import Dialect
from batchgen.catalogue.model import Whole
from batchgen.core import naming
from batchgen.core.errors import Problem
from batchgen.core.types import Limits, OnUnknown, PriceKind, RetryPolicy
from batchgen.core.values import replace
from batchgen.manifest import expand
from batchgen.manifest.load import Setting, load_manifest
from tests.manifest.reading import HEAD, SETTING, problems_of, read, tasks_of

CONTRACT = """\
batchgen: 1
job: spring-campaign
description: Spring landing pages
provider: cometapi
model: gpt-image-2
request: {size: 1536x1024, quality: medium, output_format: webp, extra: {}}
prompt_template: "{prompt} Flat vector style, teal and orange."
limits: {images_per_minute: 50, concurrency: 16, budget_usd: 25.00, finish_by: "06:30"}
retry: {max_attempts: 4, on_unknown: hold}
priority: 3
report: {thumbnails: true}
prompts:
  - id: paper-boat
    prompt: A paper boat.
    images: 4
  - id: mug
    prompt: A {color} mug on a {surface} table.
    vary: {color: [red, blue], surface: [oak, marble]}
    exclude: [{color: red, surface: marble}]
    request: {quality: high, output_format: null}
    tags: [shop]
"""


def test_contract(tmp_path: Path) -> None:
    """The manifest of the documentation means what the documentation says."""
    manifest = read(tmp_path, CONTRACT)
    assert ("spring-campaign", "cometapi", "Spring landing pages", 3) == (
        manifest.job,
        manifest.provider,
        manifest.description,
        manifest.priority,
    )
    assert Limits(images_per_minute=50, concurrency=16, budget_usd=25, finish_by="06:30") == manifest.limits
    assert RetryPolicy(4, OnUnknown.HOLD) == manifest.retry
    assert {"thumbnails": True} == manifest.report
    assert CONTRACT.encode() == manifest.text
    tasks = tasks_of(manifest)
    assert [
        "paper-boat--01",
        "paper-boat--02",
        "paper-boat--03",
        "paper-boat--04",
        "mug--red-oak--01",
        "mug--blue-oak--01",
        "mug--blue-marble--01",
    ] == [task.task_id for task in tasks]
    assert list(range(7)) == [task.position for task in tasks]
    mug = tasks[-1]
    assert "A blue mug on a marble table. Flat vector style, teal and orange." == mug.request.prompt
    assert {"size": "1536x1024", "quality": "high"} == mug.request.parameters
    assert (("shop",), {"color": "blue", "surface": "marble"}, "mug", 1) == (
        mug.tags,
        mug.variables,
        mug.prompt_id,
        mug.sample,
    )
    assert PriceKind.ESTIMATE is mug.price.kind
    assert len(tasks) == len({task.fingerprint for task in tasks})


def test_varied_everywhere(tmp_path: Path) -> None:
    """Variables work in id, model, request and `extra`; one in the id is not appended to it again."""
    text = """\
batchgen: 1
model: "{model}"
provider: sandbox
request: {size: "{w}x1024", output_format: jpeg, output_compression: "{q}", user: "{q}", extra: {note: "q={q}", seeds: ["{q}", "{word}"]}}
prompts:
  - id: "x-{q}"
    prompt: A boat. {word}
    vary: {model: [gpt-image-2], w: [1024, 1536], q: [80], word: ["1.50"]}
"""
    first, second = tasks_of(read(tmp_path, text))
    assert "x-80--gpt-image-2-1024-1-50--01" == first.task_id
    assert "x-80" == first.prompt_id
    assert "gpt-image-2" == second.request.model
    expected = {"size": "1536x1024", "output_format": "jpeg", "output_compression": 80, "user": "80"}
    assert expected == second.request.parameters
    # A number that was written as one stays one, where the whole value is its placeholder.
    assert {"note": "q=80", "seeds": [80, "1.50"]} == second.request.extra


def test_numbers_keep_their_text(tmp_path: Path) -> None:
    """A varied number reads in the prompt as it is written in the file."""
    text = HEAD + 'prompts:\n  - {id: a, prompt: "{x} m", vary: {x: [1.50, 1e3, 7]}}\n'
    assert ["1.50 m", "1e3 m", "7 m"] == [task.request.prompt for task in tasks_of(read(tmp_path, text))]


def test_values_are_not_substituted_again(tmp_path: Path) -> None:
    """Braces in a value stay braces, in the prompt and in the template around it."""
    text = HEAD + (
        'prompt_template: "{prompt} in {style}"\n'
        "prompts:\n  - {id: a-{x}, prompt: '{{x}} {y}', vary: {x: [b], y: ['{x} {prompt} }'], style: ['{y}']}}\n"
    ).replace("id: a-{x}", 'id: "a-{x}"')
    (task,) = tasks_of(read(tmp_path, text))
    assert "{x} {x} {prompt} } in {y}" == task.request.prompt


def test_rehearsal(tmp_path: Path) -> None:
    """`--provider` replaces the manifest's, which need not be configured here; fingerprints follow it."""
    text = HEAD.replace("model:", "provider: gateway\nmodel:") + "prompts:\n  - {id: a, prompt: A boat}\n"
    rehearsal = read(tmp_path, text, provider="sandbox")
    assert ("sandbox", "gateway") == (rehearsal.provider, rehearsal.declared_provider)
    real = read(tmp_path, text, provider="openai")
    assert tasks_of(real)[0].fingerprint != tasks_of(rehearsal)[0].fingerprint
    assert 0 == tasks_of(rehearsal)[0].price.expected_usd


def test_sound_prompts_survive_others(tmp_path: Path) -> None:
    """A prompt with a mistake does not keep the others from being expanded."""
    text = (
        HEAD + "prompts:\n  - {id: a, prompt: A, images: 0}\n  - {id: b, prompt: B}\n  - {id: c, prompt: ' '}\n"
    )
    manifest = read(tmp_path, text)
    assert ["b--01"] == [each.task_id for each in manifest.expand() if not isinstance(each, Problem)]


def test_too_many(tmp_path: Path) -> None:
    """Beyond `max_tasks` nothing is expanded, however many there would be."""
    manifest = read(tmp_path, HEAD + "max_tasks: 3\nprompts:\n  - {id: a, prompt: A, images: 4}\n")
    assert 1 == len(manifest.problems)
    assert [] == list(manifest.expand())


def test_lazy(tmp_path: Path) -> None:
    """The first of a hundred million tasks comes at once."""
    text = (
        HEAD
        + "max_tasks: 100000000\nprompts:\n"
        + "".join(f"  - {{id: a{n}, prompt: A, images: 1000000}}\n" for n in range(100))
    )
    first = next(read(tmp_path, text).expand())
    assert not isinstance(first, Problem)
    assert "a0--01" == first.task_id


def test_expanding_twice(tmp_path: Path) -> None:
    """Every expansion says and gives the same: a plan and the run after it agree."""
    text = (
        HEAD
        + "request: {quality: bad}\nprompts:\n  - {id: a, prompt: A}\n  - {id: b, prompt: B, request: {quality: low}}\n"
    )
    manifest = read(tmp_path, text)
    assert 2 == len(list(manifest.expand()))
    assert list(manifest.expand()) == list(manifest.expand())


def test_clash(tmp_path: Path) -> None:
    """Two tasks with one name are a problem at the later one's prompt that names both."""
    text = HEAD + (
        "prompts:\n  - {id: a--x, prompt: A}\n"
        '  - {id: A, prompt: "{v}", vary: {v: [x]}}\n'
        '  - {id: m, prompt: "{v}{w}", vary: {v: [a, a-b], w: [b-c, c]}}\n'
    )
    manifest = read(tmp_path, text)
    tasks = {task.task_id: task for task in tasks_of(manifest)}
    problem = manifest.clash(tasks["A--x--01"], tasks["a--x--01"])
    assert (5, 10) == (problem.line, problem.column)
    assert "the task A--x--01 has the name of a--x--01, from the prompt on line 4" in problem.message
    own = manifest.clash(tasks["m--a-b-c--01"], tasks["m--a-b-c--01"])
    assert "two combinations of this prompt both become the file m--a-b-c--01" in own.message


def test_limits_over_defaults(tmp_path: Path) -> None:
    """What the manifest limits wins over the configuration's defaults; a rate by model replaces one for all."""
    setting = Setting(
        SETTING.catalogue,
        SETTING.providers,
        today=SETTING.today,
        default_limits=Limits(images_per_minute=5, concurrency=3, finish_by="06:30"),
    )
    path = tmp_path / "a.yaml"
    path.write_text(HEAD + "prompts:\n  - {id: a, prompt: A}\n")
    assert setting.default_limits == load_manifest(path, setting).limits
    path.write_text(
        HEAD
        + "limits: {images_per_minute: {gpt-image-2: 7}, max_duration: 1h30m}\nprompts:\n  - {id: a, prompt: A}\n"
    )
    assert (
        Limits(model_images_per_minute={"gpt-image-2": 7}, concurrency=3, max_duration_s=5400)
        == load_manifest(path, setting).limits
    )


def test_errors_at_one_place_are_bounded(tmp_path: Path) -> None:
    """Many different errors at one place are cut off, so that the other places are still seen."""
    text = HEAD + (
        'prompts:\n  - {id: a, prompt: A, request: {size: "{w}x{h}"}, vary: {w: ['
        + ", ".join(str(n) for n in range(1, 50))
        + "], h: [1]}}\n"
    )
    assert expand.MOST_AT_A_PLACE == len(problems_of(tmp_path, text))


names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,8}\Z").filter(lambda name: naming.id_fault(name) is None)
words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Z"]), min_size=1, max_size=12)


@given(
    names,
    st.dictionaries(
        st.sampled_from(["color", "size_of", "x-1"]), st.lists(words, min_size=1, max_size=4), max_size=3
    ),
    st.integers(1, 3),
)
def test_ids_are_unique_and_safe(
    tmp_path_factory: pytest.TempPathFactory, name: str, vary: dict[str, list[str]], images: int
) -> None:
    """Whatever is varied, a prompt makes as many tasks as it has combinations, all with names safe anywhere."""
    entry = {
        "id": name,
        "prompt": "A " + " ".join(f"{{{key}}}" for key in vary),
        "vary": vary,
        "images": images,
    }
    text = json.dumps({"batchgen": 1, "model": "gpt-image-2", "prompts": [entry]}, ensure_ascii=False)
    manifest = read(tmp_path_factory.mktemp("any"), text)
    if manifest.problems:
        return
    tasks = tasks_of(manifest)
    combinations = 1
    for values in vary.values():
        combinations *= len(values)
    assert combinations * images == len(tasks)
    for task in tasks:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*--[0-9]{2,}", task.task_id)
        assert len(task.task_id) <= naming.TASK_ID_LIMIT
    if all("-" not in naming.slug(value) for values in vary.values() for value in values):
        assert len(tasks) == len({task.task_id.lower() for task in tasks})


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (
            "the prompt has 60,000,000 characters, gpt-image-2 takes at most 32,000",
            HEAD + f"prompt_template: '{'{prompt}' * 2000}'\nprompts: [{{id: a, prompt: {'y' * 30_000}}}]\n",
        ),
        (
            "the prompt has 60,000,000 characters, batchgen takes at most 1,000,000",
            f"batchgen: 1\nmodel: newer\nprompts: [{{id: a, prompt: '{'{v}' * 2000}', vary: {{v: [{'y' * 30_000}]}}}}]\n",
        ),
        (
            "this would become 60,000,000 characters",
            HEAD + f"prompts: [{{id: '{'{v}' * 2000}', prompt: A, vary: {{v: [{'y' * 30_000}]}}}}]\n",
        ),
        (
            "this would become 60,000,000 characters",
            HEAD
            + f"request: {{extra: {{a: ['{'{v}' * 2000}']}}}}\n"
            + f"prompts: [{{id: a, prompt: A, vary: {{v: [{'y' * 30_000}]}}}}]\n",
        ),
        (
            "this would become 60,000,000 characters",
            HEAD + f"prompts: [{{id: a, prompt: A, references: ['{'{v}' * 2000}'], vary: {{v: [{'y' * 30_000}]}}}}]\n",
        ),
    ],
)  # fmt: skip
def test_what_is_too_long_is_refused_before_it_is_made(tmp_path: Path, expected: str, text: str) -> None:
    """A file of kilobytes that would become megabytes of text costs no memory: lengths are known beforehand."""
    manifest = read(tmp_path, text)
    tracemalloc.start()
    try:
        errors = [each for each in manifest.expand() if isinstance(each, Problem) and not each.warning]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (error,) = errors
    assert error.message.startswith(expected)
    assert peak < 10_000_000


SEEDED = replace(
    SETTING,
    catalogue=Catalogue.builtin().with_entries(
        {"ours": Entry("gpt-image-2", parameters={"seed": Whole(0)}), "free": Entry(price_usd=0.01)}
    ),
)
"""An operator's model has a parameter that no other has."""


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (SETTING, "no known model takes `seed` (use one of "),
        (SEEDED, "gpt-image-2 does not take seed (use one of "),
    ],
)
@pytest.mark.parametrize("images", [1, 0])
def test_the_way_for_newer_fields(tmp_path: Path, setting: Setting, line: str, images: int) -> None:
    """Who writes a parameter that is newer than the catalogue reads where it goes; a misspelt one is only guessed."""
    text = f"{HEAD}request: {{seed: 4}}\nprompts: [{{id: a, prompt: A, images: {images}}}]\n"
    (found,) = (each for each in problems_of(tmp_path, text, setting) if each.startswith("3:"))
    assert found.startswith(f"3:11: {line}")
    assert found.endswith("; or write `extra: {seed: ...}` if it is newer than the catalogue)")
    assert "extra" not in str(problems_of(tmp_path, text.replace("seed", "qualiti"), setting))


@pytest.mark.parametrize("name", ["size", "sieze", "style"])
@pytest.mark.parametrize(
    "entry", ["prompt: A", "prompt: A, images: 0", "prompt: '{c}', images: 0, vary: {c: [1]}"]
)
def test_what_neither_model_nor_provider_takes_is_said_once(tmp_path: Path, name: str, entry: str) -> None:
    """One parameter is one problem, and it is the provider's word: changing the model would not help."""
    picky = replace(SETTING, dialects={"cometapi": Dialect(allow=frozenset({"quality"}))})
    text = f"{HEAD}request: {{{name}: 7}}\nprompts: [{{id: a, {entry}}}]\n"
    found = [each for each in problems_of(tmp_path, text, picky) if each.startswith("3:")]
    assert [f"cometapi does not take {name} (it takes quality; remove it)"] == [
        each.partition(": ")[2] for each in found
    ]


@pytest.mark.parametrize("model", ["gpt-image-2", "qwen-image", "free", "unheard-of"])
def test_extra_holds_what_only_another_model_takes(tmp_path: Path, model: str) -> None:
    """An operator's own parameter of one model stays open to `extra` for all others."""
    text = f"batchgen: 1\nmodel: {model}\nrequest: {{extra: {{seed: 7}}}}\nprompts: [{{id: a, prompt: A}}]\n"
    (task,) = (each for each in read(tmp_path, text, setting=SEEDED).expand() if not isinstance(each, Problem))
    assert {"seed": 7} == task.request.extra


@pytest.mark.parametrize(
    ("expected", "entry"),
    [
        ("`extra` may not hold `seed`, which is a parameter (move it up", "model: ours, request: {extra: {§seed: 7}}"),
        ("`extra` may not hold `size`, which is a parameter (move", "model: unheard-of, request: {extra: {§size: x}}"),
        ("`extra` may not hold `style`, a parameter that ours does not", "model: ours, request: {extra: {§style: x}}"),
        ("`extra` may not hold `size`, which", 'model: "{c}", images: 0, vary: {c: [a]}, request: {extra: {§size: x}}'),
        ("`extra` may not hold `size`, which", "images: 0, request: {extra: {§size: x}}"),
        ("`extra` may not hold `size`, which", "request: {extra: {§size: x, other: 012}}"),
    ],
)  # fmt: skip
def test_extra_takes_no_parameter_of_its_own_model(tmp_path: Path, expected: str, entry: str) -> None:
    """A parameter of the model has one place, as has one that the built-in catalogue knows, in faulty entries too."""
    before, _, after = f"{HEAD}prompts:\n  - {{id: a, prompt: A, {entry}}}\n".partition("§")
    place = f"{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}: "
    found = [line for line in problems_of(tmp_path, before + after, SEEDED) if line.startswith(place)]
    assert [place + expected] == [line[: len(place + expected)] for line in found]
