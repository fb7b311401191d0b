"""The operator's configuration."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.dialects import DIALECTS
from batchgen.catalogue.model import Choice, Whole
from batchgen.config.file import load_config
from batchgen.config.values import Config
from batchgen.core.errors import ProblemsError, UsageError
from batchgen.core.types import Limits
from batchgen.core.values import replace
from batchgen.providers.settings import BUILT_IN, Ceiling, ProviderSettings
from batchgen.reports.settings import HeartbeatSettings, Kind, Target

CONTRACT = """\
providers:
  cometapi: {images_per_minute: 120, concurrency: 32, deadline: 300s}
  gateway:
    base_url: https://images.example.com/v1/
    key_env: GATEWAY_KEY
    dialect: openai
    idempotent: false
    trust_env: true
    models: {gpt-image-2: {images_per_minute: 20}, "a, b": {concurrency: 2}}
catalogue: {my-model: {family: gpt-image-2, price_usd: 0.04}, other: {price_usd: 1}}
defaults: {concurrency: 4, images_per_minute: 30}
output: pictures
engine: local
verify: decode
report: {thumbnails: false}
notify: []
metrics: {textfile: null}
"""


def write(folder: Path, text: str) -> Path:
    """A configuration that only its owner may write."""
    path = folder / "batchgen.yaml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_contract(tmp_path: Path) -> None:
    """Every key of the documented configuration arrives where it belongs."""
    path = write(tmp_path, CONTRACT)
    config = load_config(path, Path("/"))
    comet = config.providers["cometapi"]
    assert (120, 32, 300) == (comet.images_per_minute, comet.concurrency, comet.deadline_s)
    assert BUILT_IN["cometapi"].base_url == comet.base_url
    assert BUILT_IN["cometapi"].key_env == comet.key_env
    assert (
        ProviderSettings(
            "gateway",
            base_url="https://images.example.com/v1",
            key_env=("GATEWAY_KEY",),
            trust_env=True,
            ceilings=(Ceiling(("gpt-image-2",), images_per_minute=20), Ceiling(("a", "b"), concurrency=2)),
        )
        == config.providers["gateway"]
    )
    assert {"cometapi", "openai", "sandbox", "gateway"} == set(config.providers)
    assert {"my-model": Entry("gpt-image-2", 0.04), "other": Entry(None, 1)} == config.catalogue
    assert Limits(concurrency=4, images_per_minute=30) == config.default_limits
    assert tmp_path / "pictures" == config.output
    assert ("local", "decode", {"thumbnails": False}) == (config.engine, config.verify, config.report)


def test_who_is_told(tmp_path: Path) -> None:
    """Targets, metrics and a heartbeat arrive with their defaults; relative files are relative to the configuration."""
    text = (
        "notify: [{url_env: SLACK_URL, on: [failed, stopped]}, {url: json://h/x, stalled_after: 5m}]\n"
        "metrics: {textfile: batchgen.prom}\nheartbeat: {url_env: ALIVE, file: alive, suffixes: true}\n"
    )
    config = load_config(write(tmp_path, text), Path("/"))

    some = frozenset({Kind.FAILED, Kind.STOPPED})
    assert (
        Target(url_env="SLACK_URL", on=some),
        Target(url="json://h/x", stalled_after_s=300),
    ) == config.notify
    assert tmp_path / "batchgen.prom" == config.metrics
    assert (
        HeartbeatSettings(url_env="ALIVE", file=tmp_path / "alive", every_s=60, suffixes=True)
        == config.heartbeat
    )
    nothing = load_config(write(tmp_path, "notify: []\n"), Path("/"))
    assert ((), None, None) == (nothing.notify, nothing.metrics, nothing.heartbeat)


def test_a_dialect_of_one_s_own(tmp_path: Path) -> None:
    """What a provider says of its dialect is over another one's; what it leaves out is that one's."""
    text = "providers: {cometapi: {dialect: {like: cometapi, auth_header: api-key, drop: [user], rename: {n: count}}}}"
    dialect = load_config(write(tmp_path, text), tmp_path).providers["cometapi"].dialect
    expected = replace(
        DIALECTS["cometapi"], auth_header="api-key", drop=frozenset({"user"}), rename={"n": "count"}
    )
    assert expected == dialect
    assert DIALECTS["openai"] == load_config(None, Path("/")).providers["openai"].dialect


def test_a_model_of_one_s_own(tmp_path: Path) -> None:
    """An operator's entry adds to a family's parameters, takes one away, and says when the model retires."""
    text = (
        'catalogue: {m: {family: gpt-image-2, for: drafts, retires: "2027-01-31", replacement: gpt-image-2, '
        "prompt_limit: 500, parameters: {seed: {minimum: 0}, moderation: null, quality: {values: [a, b], default: a}}}}"
    )
    catalogue = Catalogue.builtin().with_entries(load_config(write(tmp_path, text), tmp_path).catalogue)
    model, like = catalogue.models["m"], catalogue.models["gpt-image-2"]
    assert ("drafts", date(2027, 1, 31), "gpt-image-2", 500) == (
        model.good_for, model.retires, model.replacement, model.prompt_limit,
    )  # fmt: skip
    assert {*like.parameters, "seed"} - {"moderation"} == set(model.parameters)
    assert (Whole(minimum=0), Choice(("a", "b"), "a")) == (
        model.parameters["seed"],
        model.parameters["quality"],
    )
    assert "seed" in catalogue.parameters


@pytest.mark.parametrize(
    ("entry", "references", "tokens"),
    [
        ("edits: {references: 4}", 4, 1536),
        ("edits: {references: 1, mask: true, image_tokens: 900}", 1, 900),
        ("family: gpt-image-2", 16, 1536),
        ("family: gpt-image-2, edits: {references: 2}", 2, 1536),
        ("price_usd: 0.04", 16, 1536),
        ("parameters: {seed: {minimum: 0}}", 16, 1536),
        ("family: gpt-image-2, edits: null", None, None),
        ("edits: null", None, None),
        ("family: qwen-image", None, None),
    ],
)
def test_pictures_for_a_model_of_one_s_own(
    tmp_path: Path, entry: str, references: int | None, tokens: int | None
) -> None:
    """An entry says itself how many pictures go along; without a word it is the family's, or not checked at all."""
    config = load_config(write(tmp_path, f"catalogue: {{m: {{{entry}}}}}"), tmp_path)
    edits = Catalogue.builtin().with_entries(config.catalogue).models["m"].edits
    assert (references, tokens) == (edits and edits.references, edits and edits.image_tokens)


def test_parameters_beside_pictures(tmp_path: Path) -> None:
    """An entry's `edits` take parameters away and add others, for prompts with references alone."""
    text = (
        "catalogue: {m: {family: gpt-image-2, edits: "
        "{references: 1, without: [moderation], parameters: {strength: {minimum: 0, maximum: 9}}}}}"
    )
    catalogue = Catalogue.builtin().with_entries(load_config(write(tmp_path, text), tmp_path).catalogue)
    model = catalogue.models["m"]
    assert {"strength"} == set(model.for_edits.parameters) - set(model.parameters)
    assert {"moderation"} == set(model.parameters) - set(model.for_edits.parameters)
    assert Whole(0, 9) == model.for_edits.parameters["strength"]


def test_found_upwards(tmp_path: Path) -> None:
    """The nearest file from the working directory upwards is used, and its output is beside it."""
    write(tmp_path, "verify: decode")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert "decode" == load_config(None, below).verify
    write(tmp_path / "a", "output: x")
    nearer = load_config(None, below)
    assert ("structure", tmp_path / "a" / "x") == (nearer.verify, nearer.output)


def test_none(tmp_path: Path) -> None:
    """Without a file the defaults hold, and so they do for an empty one."""
    assert Config() == load_config(None, tmp_path)
    assert BUILT_IN == Config().providers
    assert BUILT_IN == load_config(write(tmp_path, "# nothing yet\n"), tmp_path).providers


def test_named_and_missing(tmp_path: Path) -> None:
    """A file that is named must be there."""
    with pytest.raises(UsageError, match="no such file"):
        load_config(tmp_path / "other.yaml", tmp_path)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_writable_by_others(tmp_path: Path, mode: int) -> None:
    """A file that others may write is refused: it decides where keys are sent."""
    path = write(tmp_path, "verify: decode")
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"chmod go-w {path}"):
        load_config(path, tmp_path)


@pytest.mark.parametrize(
    ("expected", "marked"),
    [
        ("unknown key `provider` (did you mean providers?)", "§provider: {}"),
        ("unknown key `images_per_minut`", "providers: {cometapi: {§images_per_minut: 1}}"),
        ("`providers` must be lines of `name: value`", "providers: §[cometapi]"),
        ("`providers.cometapi` must be lines of `name: value`", "providers: {cometapi: §120}"),
        ("this is no length of time (write 600s", "providers: {cometapi: {deadline: §600}}"),
        ("`images_per_minute` is 0 (write at least 0.001", "providers: {cometapi: {images_per_minute: §0}}"),
        ("`models.gpt-image-2.images_per_minute` is 1e-320 (write at least", "providers: {cometapi: {models: {gpt-image-2: {images_per_minute: §1e-320}}}}"),
        ("`images_per_minute` is 1e308 (write at most 1000000", "providers: {cometapi: {images_per_minute: §1e308}}"),
        ("images_per_minute must be a number from 0.001", "defaults: {images_per_minute: {gpt-image-2: §1e-320}}"),
        ('"9999-12-31T23:59:59-14:00" is not within the years 2000 to 9000', 'defaults: {finish_by: §"9999-12-31T23:59:59-14:00"}'),
        ("`dialect` is \"opnai\" (did you mean openai?)", "providers: {cometapi: {dialect: §opnai}}"),
        ('`dialect` is "opnai" (did you mean openai?)', "providers: {cometapi: {dialect: {like: §opnai}}}"),
        ("`dialect` is a name, or lines that say what differs", "providers: {cometapi: {dialect: §[openai]}}"),
        ("unknown key `rname` (did you mean rename?)", "providers: {cometapi: {dialect: {§rname: {}}}}"),
        ("a path begins with /", "providers: {cometapi: {dialect: {generate: §images}}}"),
        ("this is no name of a header", 'providers: {cometapi: {dialect: {auth_header: §"a b"}}}'),
        ("`answers` is \"b64\"", "providers: {cometapi: {dialect: {answers: §b64}}}"),
        ("a parameter needs one of values", "catalogue: {m: {parameters: {seed: §{default: 1}}}}"),
        ("a parameter needs one of values", "catalogue: {m: {edits: {references: 1, parameters: {seed: §{default: 1}}}}}"),
        ("`edits.references` is missing (write references: 4)", "catalogue: {m: {edits: §{mask: true}}}"),
        ("`edits.references` is 17 (write at most 16)", "catalogue: {m: {edits: {references: §17}}}"),
        ("there is no parameter `moderaton` to leave out (did you mean moderation?)", "catalogue: {m: {family: gpt-image-2, edits: {references: 1, without: [§moderaton]}}}"),
        ("there is no parameter `moderaton` to take away (did you mean moderation?)", "catalogue: {m: {family: gpt-image-2, parameters: {§moderaton: null}}}"),
        ("there is no parameter `size` to take away (remove it)", "catalogue: {m: {parameters: {§size: null}}}"),
        ('"" is no name of a model', 'catalogue: {§"": {family: gpt-image-2}}'),
        ('"a b" is no name of a model', "catalogue: {§a b: {family: gpt-image-2}}"),
        ('".." is no name of a model', "catalogue: {§..: {price_usd: 1}}"),
        ('"a b" is no name of a model', "providers: {openai: {models: {§a b: {concurrency: 1}}}}"),
        ("`n` is no parameter, it has its own place", "catalogue: {m: {parameters: {§n: {minimum: 1}}}}"),
        ("`prompt` is no parameter", "catalogue: {m: {parameters: {§prompt: {kind: text}}}}"),
        ("`mask` is no parameter", "catalogue: {m: {parameters: {§mask: {kind: text}}}}"),
        ("`image` is no parameter", "catalogue: {m: {edits: {references: 1, parameters: {§image: {kind: text}}}}}"),
        ('"a b" is no name of a parameter', "catalogue: {m: {parameters: {§a b: {kind: text}}}}"),
        ("`default` is c, which is not among the values (write one of a, b)", "catalogue: {m: {parameters: {q: {values: [a, b], default: §c}}}}"),
        ("`default` is 1, which is not among the values", "catalogue: {m: {parameters: {q: {values: [a, b], default: §1}}}}"),
        ("`default` must be a whole number from 1 to 5 (write 1)", "catalogue: {m: {parameters: {q: {minimum: 1, maximum: 5, default: §6}}}}"),
        ("`default` must be a whole number of at least 1", "catalogue: {m: {parameters: {q: {minimum: 1, default: §low}}}}"),
        ("`minimum` is 6, above the maximum of 5", "catalogue: {m: {parameters: {q: {minimum: §6, maximum: 5}}}}"),
        ("`maximum` does not go with `values`", "catalogue: {m: {parameters: {q: {values: [a], maximum: §5}}}}"),
        ("`default` does not go with `flag`", "catalogue: {m: {parameters: {q: {flag: false, default: §1}}}}"),
        ("min_pixels is above max_pixels", "catalogue: {m: {parameters: {size: {grid: {multiple: 1, max_edge: 9, max_ratio: 1, min_pixels: §9, max_pixels: 1}}}}}"),
        ("`default` is 7x7, which is not among the values (write one of auto)", "catalogue: {m: {parameters: {size: {grid: {multiple: 2, max_edge: 9, max_ratio: 1, min_pixels: 1, max_pixels: 99}, values: [auto], default: §7x7}}}}"),
        ("`prompt` is a field of every request", "providers: {openai: {dialect: {rename: {style: §prompt}}}}"),
        ("`model` is a field of every request", "providers: {openai: {dialect: {rename: {style: §model}}}}"),
        ("`n` is a field of every request", "providers: {openai: {dialect: {rename: {style: §n}}}}"),
        ("size and quality would both be called kind (keep one", "providers: {openai: {dialect: {rename: {size: kind, quality: §kind}}}}"),
        ("no request goes without its prompt", "providers: {openai: {dialect: {drop: [user, §prompt]}}}"),
        ("`n` is set by batchgen, and cannot be sent with every request (remove it", "providers: {openai: {dialect: {always: {n: §4}}}}"),
        ("`stream` is set by batchgen, and cannot be sent with every request (write it under `request`", "providers: {openai: {dialect: {always: {stream: §true}}}}"),
        ("`partial_images` is set by batchgen", "providers: {openai: {dialect: {always: {partial_images: §1}}}}"),
        ("`batch` is what n is called here", "providers: {openai: {dialect: {drop: [n], rename: {n: batch}, always: {batch: §4}}}}"),
        ("Host is a header with a use of its own", "providers: {openai: {dialect: {auth_header: §Host}}}"),
        ("content-length is a header", "providers: {openai: {dialect: {auth_header: §content-length}}}"),
        ("Idempotency-Key is a header", "providers: {openai: {dialect: {auth_header: §Idempotency-Key}}}"),
        ("`auth_prefix` must be one line", 'providers: {openai: {dialect: {auth_prefix: §"hush\\r\\nX: y"}}}'),
        ("`auth_prefix` must be one line", 'providers: {openai: {dialect: {auth_prefix: §"Schlüssel "}}}'),
        ("unknown key `good_for` (use one of edits, family, for, parameters", "catalogue: {m: {§good_for: drafts}}"),
        ("unknown key `fo` (did you mean for?)", "catalogue: {m: {§fo: drafts}}"),
        ("this is no text, no number, neither true nor false", "providers: {openai: {dialect: {always: {a: §[1]}}}}"),
        ("`default` is a word or a whole number", "catalogue: {m: {parameters: {q: {minimum: 1, default: §[1]}}}}"),
        ('`output` is empty (write output: output)', 'output: §""'),
        ("this is no date", 'catalogue: {m: {retires: §"soon"}}'),
        ("the provider cometap needs `base_url` and `key_env`", "providers: {§cometap: {}}"),
        ("the provider g needs `key_env`", "providers: {§g: {base_url: http://localhost:8080/v1}}"),
        ("a provider's name is \"a b\"", "providers: {§a b: {base_url: http://h, key_env: K}}"),
        ("the sandbox has no `base_url`", "providers: {sandbox: {§base_url: http://localhost}}"),
        ("`base_url` must not hold a user", "providers: {openai: {base_url: §https://me:hush@h.example}}"),
        ("`base_url` must not have a query", "providers: {openai: {base_url: §https://h.example/v1?key=hush}}"),
        ("`base_url` is no web address", "providers: {openai: {base_url: §ftp://h.example}}"),
        ("`base_url` is no web address", "providers: {openai: {base_url: §h.example/v1}}"),
        ("`base_url` is no web address", "providers: {openai: {base_url: §https://h.example:x/v1}}"),
        ("`key_env` must be the name of an environment variable", "providers: {openai: {key_env: §sk-hush}}"),
        ("`models.m.concurrency` must be a whole number", "providers: {openai: {models: {m: {concurrency: §1.5}}}}"),
        ("b has a ceiling already in `a, b`", 'providers: {openai: {models: {"a, b": {concurrency: 1}, §b: {concurrency: 1}}}}'),
        ("a model's name is missing", 'providers: {openai: {models: {§"a,": {concurrency: 1}}}}'),
        ('m: there is no model family "gpt-imag-2"', "catalogue: {m: {family: §gpt-imag-2}}"),
        ("`price_usd` is -1 (write at least 0", "catalogue: {m: {price_usd: §-1}}"),
        ("`defaults.finish_by` must be text", "defaults: {finish_by: §06:30}"),
        ('`engine` is "cluster" (use one of local, ray)', "engine: §cluster"),
        ('`verify` is "structur" (did you mean structure?)', "verify: §structur"),
        ("this version of batchgen cannot rely on", "providers: {openai: {idempotent: §true}}"),
        ("`notify` is a list (write [{url_env: NOTIFY_URL}])", "notify: §slack://hush"),
        ("this must be a mapping (write {url_env: NOTIFY_URL}", "notify: [§slack://hush]"),
        ("a target has either `url_env` or `url`", "notify: [§{on: [failed]}]"),
        ("a target has either `url_env` or `url`", "notify: [§{url: json://hush, url_env: OPS}]"),
        ("`url_env` must be the name of an environment variable", "notify: [{url_env: §slack://hush}]"),
        ("`url` is no address as apprise has them", "notify: [{url: §hush}]"),
        ("unknown key `ulr` (did you mean url?)", "notify: [{url_env: A, §ulr: json://hush}]"),
        ("`on` lists what is told (write one or more of finished, failed, stopped", "notify: [{url_env: A, on: [failed, §hush]}]"),
        ("`notify.on` must be a list", "notify: [{url_env: A, on: §failed}]"),
        ("`on` is empty", "notify: [{url_env: A, on: §[]}]"),
        ("\"soon\" is no length of time", "notify: [{url_env: A, stalled_after: §soon}]"),
        ("node_exporter reads only files that end in .prom", "metrics: {textfile: §a.txt}"),
        ("`metrics.textfile` must be text", "metrics: {textfile: §5}"),
        ("this must be a mapping (write {url_env", "heartbeat: §https://hush"),
        ("a heartbeat needs `url_env`, `url` or `file`", "heartbeat: §{every: 60s}"),
        ("`url` and `url_env` exclude each other", "heartbeat: {url: §http://hush, url_env: A}"),
        ("`url`: this is no web address", "heartbeat: {url: §ftp://hush}"),
        ("\"0s\" is no length of time", "heartbeat: {file: alive, every: §0s}"),
        ("`verify` is written twice", "verify: decode\n§verify: decode"),
        ("a configuration is made of lines such as `output: output`", "§[a]"),
    ],
)  # fmt: skip
def test_problems(tmp_path: Path, expected: str, marked: str) -> None:
    """A mistake is one line at its place (here marked with §), and never repeats what may be a secret."""
    before, _, after = marked.partition("§")
    path = write(tmp_path, before + after)
    with pytest.raises(ProblemsError) as caught:
        load_config(path, tmp_path)
    (problem,) = caught.value.problems
    assert str(problem).startswith(
        f"{path}:{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}: {expected}"
    )
    assert "hush" not in str(problem)


def test_all_in_one_go(tmp_path: Path) -> None:
    """Mistakes in every part are found together."""
    text = "providers: {g: {base_url: x, deadline: 1}}\ncatalogue: {m: {price_usd: -1, family: nope}}\nverify: x\nwat: 1\n"
    with pytest.raises(ProblemsError) as caught:
        load_config(write(tmp_path, text), tmp_path)
    assert [(1, 13), (1, 27), (1, 40), (2, 28), (2, 40), (3, 9), (4, 1)] == [
        (problem.line, problem.column) for problem in caught.value.problems
    ]


def test_the_docs_entries_are_accepted(tmp_path: Path) -> None:
    """Every configuration in the docs that adds models or providers loads as it is."""
    docs = Path(__file__).parents[2] / "docs"
    pages = [page.read_text("utf-8") for page in sorted(docs.glob("*.md"))]
    found = [
        block
        for page in pages
        for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        if block.startswith(("catalogue:", "providers:", "notify:"))
    ]
    assert len(found) >= 5
    for block in found:
        Catalogue.builtin().with_entries(load_config(write(tmp_path, block), tmp_path).catalogue)
