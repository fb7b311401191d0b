"""Every example of the README and the docs is true: manifests are planned, configurations loaded, commands understood."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import anyio
import click
import pytest
import yaml
from jsonschema import Draft202012Validator
from PIL import Image

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import Dialect
from batchgen.cli.app import VERBS
from batchgen.config.file import load_config
from batchgen.config.schema import config_schema
from batchgen.config.values import Config
from batchgen.job import Options
from batchgen.manifest.document import compose
from batchgen.manifest.editing import json_schema
from batchgen.manifest.scalars import plain_value
from batchgen.run import plan_job

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

NOT_TRIED = {
    "  sketch-1:": "a part of models.yaml, which is batchgen's own; tests/catalogue reads that file",
}
"""Examples by their first line, with why nothing can be tried with them here."""

BEFORE_A_PROMPT = "batchgen: 1\njob: example\nmodel: gpt-image-2\nprompts:\n"
"""What stands around an example that shows one prompt."""

STANDS_FOR = {"USD_EACH": "0.05", "USD": "5", "N": "5", "CLASS": "refused", "SECONDS": "5", "TIME": "06:30"}
"""Words of the docs for what a person chooses, where a command refuses the word itself."""


@dataclass(frozen=True)
class Example:
    """A fenced block: where it begins, its language, its text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Its place, as tests are named."""
        return f"{self.page.name}:{self.line}"


def examples() -> Iterator[Example]:
    """Every fenced block of every page."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            yield Example(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])


EXAMPLES = list(examples())
TRIED = [one for one in EXAMPLES if one.text.partition("\n")[0] not in NOT_TRIED]
IN_YAML = [one for one in TRIED if one.language in ("yaml", "yml")]


def manifest_of(example: Example) -> str | None:
    """The manifest that an example is, or is a prompt of; None for a configuration."""
    if example.text.startswith("batchgen: 1") or "\nbatchgen: 1" in example.text:
        return example.text
    return BEFORE_A_PROMPT + example.text if example.text.startswith("  - ") else None


MANIFESTS = [one for one in IN_YAML if manifest_of(one) is not None]
CONFIGURATIONS = [one for one in IN_YAML if manifest_of(one) is None]


def test_there_are_examples() -> None:
    """Nothing below is empty, and what is not tried is still there."""
    assert len(MANIFESTS) >= 4
    assert len(CONFIGURATIONS) >= 5
    assert len(COMMANDS) >= 20
    assert set(NOT_TRIED) == {one.text.partition("\n")[0] for one in EXAMPLES if one not in TRIED}


def test_yaml_says_that_it_is_yaml() -> None:
    """A block of keys is marked as `yaml`, so that it is tried."""
    for example in TRIED:
        if not example.language and re.match(r"(  - )?[a-z_]+:( |\n)", example.text):
            pytest.fail(f"{example}: mark it as yaml")


@pytest.mark.parametrize("example", MANIFESTS, ids=str)
def test_manifests_are_planned(tmp_path: Path, example: Example) -> None:
    """On the sandbox, without a problem or a warning; and no editor underlines anything."""
    text = manifest_of(example)
    assert text is not None
    path = tmp_path / "example.yaml"
    path.write_text(text, encoding="utf-8")
    _put_files(tmp_path, example, text)

    plan = anyio.run(plan_job, path, _options(tmp_path))

    assert 0 < plan.to_send == plan.tasks
    assert [] == plan.notices
    assert [] == [error.message for error in Draft202012Validator(json_schema()).iter_errors(_instance(text))]


@pytest.mark.parametrize("example", CONFIGURATIONS, ids=str)
def test_configurations_are_loaded(tmp_path: Path, example: Example) -> None:
    """Without a problem; and no editor underlines anything."""
    path = tmp_path / "batchgen.yaml"
    path.write_text(example.text, encoding="utf-8")
    path.chmod(0o600)

    config = load_config(path, tmp_path)

    assert Catalogue.builtin().with_entries(config.catalogue).models
    assert [] == [
        error.message for error in Draft202012Validator(config_schema()).iter_errors(_instance(example.text))
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `batchgen VERB ...` of the pages, in blocks and in sentences, with its place."""
    for page in PAGES:
        text = page.read_text("utf-8")
        blocks = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
        shown = [found[2] for found in blocks.finditer(text) if found[1] in ("", "console", "sh", "bash")]
        lines = [line for block in shown for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]*batchgen [^`\n]*)`", blocks.sub("", text))
        for line in lines:
            found = re.search(rf"(?:^|[ /])batchgen (?:{'|'.join(VERBS)})\b[^#>|]*", line)
            if found and not line.startswith(("  ", "cometapi")):
                yield f"{page.name}: {line.strip()}", _words(found[0])


def _words(line: str) -> list[str]:
    """The words behind `batchgen`: what stands in brackets may be there, what is in capitals stands for something."""
    words = shlex.split(re.sub(r"[\[\]]|\.\.\.", " ", line.partition("batchgen ")[2]))
    return [STANDS_FOR.get(word, word) for word in words]


COMMANDS = list(commands())


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[place for place, _ in COMMANDS])
def test_commands_are_understood(place: str, words: list[str]) -> None:
    """Verb, options and their values, though nothing is run."""
    verb: click.Command = import_module(f"batchgen.cli.{words[0]}").command
    given = [word for word in words[1:] if word != "--help"]
    needed = any(each.required for each in verb.params if isinstance(each, click.Argument))
    if needed and all(word.startswith("-") for word in given):
        given.append("jobs" if words[0] == "nightly" else "job.yaml")  # a sentence about the verb

    assert verb.make_context(words[0], given).params, place


def test_the_dialect_of_the_docs() -> None:
    """What extending.md shows of a dialect as Python is Python."""
    (example,) = [one for one in EXAMPLES if one.text.startswith('"azure": Dialect(')]
    shown = eval(f"{{{example.text}}}", {"Dialect": Dialect})
    assert isinstance(shown["azure"], Dialect)


def test_the_questions_to_the_ledger() -> None:
    """What ledger.md asks in SQL can be asked of a ledger."""
    (example,) = [one for one in EXAMPLES if one.language == "sql"]
    with closing(sqlite3.connect(":memory:")) as ledger:
        ledger.executescript((ROOT / "batchgen/ledgers/schema.sql").read_text())
        ledger.executescript(example.text)


def _options(folder: Path) -> Options:
    moment = datetime(2026, 11, 23, 20, tzinfo=UTC)
    return Options(Config(), {}, output=folder / "output", provider="sandbox", clock=lambda: moment)


def _instance(text: str) -> object:
    root = compose("example.yaml", text.encode()).root
    assert root is not None
    return plain_value(root)


def _put_files(folder: Path, example: Example, text: str) -> None:
    """Put the pictures that a manifest names beside it, and the tables and lists that the page shows behind their names."""
    document = yaml.safe_load(re.sub(r"(?<![\"'\w]){(\w+)}", r"\1", text))
    for entry in document["prompts"]:
        for name in [*entry.get("references", []), *filter(None, [entry.get("mask")])]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            mode = "RGBA" if name == entry.get("mask") else "RGB"
            Image.new(mode, (1024, 1024)).save(folder / name)
    told = re.finditer(
        r"`([\w./-]+)`:\n\n```\w*\n(.*?)^```$", example.page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for found in told:
        (folder / found[1]).write_text(found[2], encoding="utf-8")
