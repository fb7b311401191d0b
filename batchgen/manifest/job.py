"""A manifest that was read: the job's settings, what is wrong with it, and its tasks as a lazy stream."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from itertools import accumulate
from pathlib import Path

from msgspec import Struct, field

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import DIALECTS, Dialect
from batchgen.catalogue.listing import Listing
from batchgen.core.errors import Problem
from batchgen.core.types import JsonObject, Limits, RetryPolicy, Task
from batchgen.manifest.document import Document, MapNode
from batchgen.manifest.expand import Expander
from batchgen.manifest.pictures import Pictures
from batchgen.manifest.prompt import Prompt
from batchgen.manifest.recipe import Recipe
from batchgen.manifest.template import Template

DEFAULT_PROVIDER = "cometapi"
"""Where a manifest names none."""


class Setting(Struct, frozen=True):
    """What surrounds a manifest when it is read.

    `providers` are the names that may be used, `provider` overrides the manifest's, `default_provider` is
    used when it names none. `dialects` say what else than the model decides over a request. `default_limits` are the
    configuration's `defaults`; `today` decides which models are retired. `listing` is what the provider said of its
    models, None where it was not asked.
    """

    catalogue: Catalogue
    providers: Collection[str]
    today: date
    provider: str | None = None
    default_provider: str = DEFAULT_PROVIDER
    default_limits: Limits = field(default_factory=Limits)
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    listing: Listing | None = None


class Manifest(Struct, frozen=True, eq=False):
    """A manifest, read and checked as far as that goes without expanding it.

    `text` are the file's bytes; `declared_provider` is what the file says, `provider` what is used. `problems`
    were found at reading, warnings among them; `expand` finds the rest, also in the requests of faulty entries
    (`unexpanded`), which make no tasks. `starts` are the positions of each prompt's first task, and of the end; known
    once `expand` has begun.
    """

    path: Path
    text: bytes
    job: str
    description: str
    provider: str
    declared_provider: str
    limits: Limits
    retry: RetryPolicy
    max_tasks: int
    priority: int
    report: JsonObject
    problems: tuple[Problem, ...]
    setting: Setting
    document: Document
    prompts: tuple[Prompt, ...]
    wrapper: Template | None
    unexpanded: tuple[Recipe, ...] = ()
    starts: list[int] = field(default_factory=list)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all tables, in their order."""
        tables = (prompt.table for prompt in self.prompts)
        return tuple(dict.fromkeys(name for table in tables if table is not None for name in table.columns))

    @property
    def rated_models(self) -> Collection[str]:
        """Models that the manifest names in its limits."""
        limits = self.document.root.values.get("limits") if isinstance(self.document.root, MapNode) else None
        rate = limits.values.get("images_per_minute") if isinstance(limits, MapNode) else None
        return rate.keys if isinstance(rate, MapNode) else ()

    def expand(self) -> Iterator[Task | Problem]:
        """The tasks in the order of the file, lazily, with the problems that only expansion finds between them.

        A task with an error is left out, and an error that many tasks share is reported once. Nothing comes
        when there are more tasks than `max_tasks`, which `problems` has said already, unless there are tables: their
        rows are read and counted here.
        """
        expander = Expander(
            self.document,
            self.setting.catalogue.with_listing(self.setting.listing),
            self.provider,
            self.setting.dialects.get(self.provider, DIALECTS["openai"]),
            self.setting.today,
            self.wrapper,
            Pictures(self.path.parent),
        )
        for recipe in self.unexpanded:
            yield from expander.check(recipe)
        yield from self._read_tables()
        self.starts[:] = accumulate((prompt.count for prompt in self.prompts), initial=0)
        if self.starts[-1] <= self.max_tasks:
            for first, prompt in zip(self.starts, self.prompts, strict=False):
                yield from expander.expand(prompt, first)
            yield from expander.rest()

    def _read_tables(self) -> Iterator[Problem]:
        tables = [prompt.table for prompt in self.prompts if prompt.table is not None]
        for table in tables:
            yield from table.read()
            for place, message in table.where.unmet():
                yield self.document.problem(place, message, warning=True)
        count = sum(prompt.count for prompt in self.prompts)
        if tables and count > self.max_tasks:
            yield too_many(self.document, count)

    def clash(self, task: Task, earlier: Task) -> Problem:
        """The problem of two tasks whose ids differ in case at most, at the place of the later one's prompt.

        Both were expanded.
        """
        later, former = self._prompt(task), self._prompt(earlier)
        row, other = self._row(later, task), self._row(former, earlier)
        if later is former and row == other:
            message = f"two combinations of this prompt both become the file {task.task_id} (write an `id` that tells them apart, such as mug-{{number}})"
        elif later is former:
            message = f"the id {task.prompt_id} is used in row {other} already (give each row an id of its own)"
        else:
            where = (
                f"row {other} of {former.table.file}" if former.table else f"the prompt on line {former.line}"
            )
            message = (
                f"the task {task.task_id} has the name of {earlier.task_id}, from {where} "
                f"(give one of the prompts another `id`)"
            )
        if later.table is None:
            return self.document.problem(later.id_node, message)
        column = next(name for name in later.id.names if name in later.table.columns)
        return Problem(later.table.file, row, column, message)

    def twins(self, task: Task, earlier: Task) -> Problem:
        """The warning about two tasks that ask for exactly the same picture, at the place of the later one's prompt.

        Both were expanded.
        """
        later, former = self._prompt(task), self._prompt(earlier)
        row, other = self._row(later, task), self._row(former, earlier)
        if later is former and row == other:
            where, mend = "also of this prompt", "use the varied value in the prompt"
        elif former.table is not None:
            where, mend = f"from row {other} of {former.table.file}", "change one of the two, or remove it"
        else:
            where, mend = f"from the prompt on line {former.line}", "change one of the prompts, or remove it"
        message = (
            f"{task.task_id} asks for exactly the same picture as {earlier.task_id}, {where}, and each costs "
            f"({mend}; for several tries of one picture write `images: 2`)"
        )
        if later.table is None:
            return self.document.problem(later.id_node, message, warning=True)
        columns = later.table.columns
        column = next((name for name in (*later.text.names, *later.id.names) if name in columns), columns[0])
        return Problem(later.table.file, row, column, message, warning=True)

    def warning(self, message: str, *keys: str) -> Problem:
        """A warning about the value of nested keys, or as near to it as the file goes."""
        node = self.document.root
        for key in keys:
            node = node.values.get(key, node) if isinstance(node, MapNode) else node
        return self.document.problem(node, message, warning=True)

    def _prompt(self, task: Task) -> Prompt:
        return self.prompts[self._number(task)]

    def _number(self, task: Task) -> int:
        return bisect.bisect_right(self.starts, task.position, hi=len(self.prompts)) - 1

    def _row(self, prompt: Prompt, task: Task) -> int:
        """The row of a table that a task is from, 0 for one from no table."""
        if prompt.table is None:
            return 0
        return prompt.table.numbers[(task.position - self.starts[self._number(task)]) // prompt.each]


def too_many(document: Document, count: int) -> Problem:
    """The problem of more tasks than `max_tasks`."""
    root = document.root
    place = None
    if isinstance(root, MapNode):
        place = root.values.get("max_tasks") or root.keys["prompts"]
    return document.problem(
        place,
        f"this makes {count:,} tasks, more than max_tasks allows (write max_tasks: {count}, or make fewer)",
    )
