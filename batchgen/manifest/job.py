"""A manifest that was read: the job's settings, what is wrong with it, and its tasks as a lazy stream."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from operator import attrgetter
from pathlib import Path

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import DIALECTS, Dialect
from batchgen.catalogue.listing import Listing
from batchgen.core.errors import Problem
from batchgen.core.types import JsonObject, Limits, RetryPolicy, Task
from batchgen.manifest.document import Document, MapNode
from batchgen.manifest.entry import Prompt
from batchgen.manifest.expand import Expander
from batchgen.manifest.pictures import Pictures
from batchgen.manifest.recipe import Recipe
from batchgen.manifest.template import Template

DEFAULT_PROVIDER = "cometapi"
"""Where a manifest names none."""


@dataclass(frozen=True, slots=True)
class Setting:
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


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """A manifest, read and checked as far as that goes without expanding it.

    `text` are the file's bytes; `declared_provider` is what the file says, `provider` what is used. `problems`
    were found at reading, warnings among them; `expand` finds the rest, also in the requests of faulty entries
    (`unexpanded`), which make no tasks.
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

    @property
    def rated_models(self) -> Collection[str]:
        """Models that the manifest names in its limits."""
        limits = self.document.root.values.get("limits") if isinstance(self.document.root, MapNode) else None
        rate = limits.values.get("images_per_minute") if isinstance(limits, MapNode) else None
        return rate.keys if isinstance(rate, MapNode) else ()

    def expand(self) -> Iterator[Task | Problem]:
        """The tasks in the order of the file, lazily, with the problems that only expansion finds between them.

        A task with an error is left out, and an error that many tasks share is reported once. Nothing comes
        when there are more tasks than `max_tasks`, which `problems` has said already.
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
        if sum(prompt.count for prompt in self.prompts) <= self.max_tasks:
            for prompt in self.prompts:
                yield from expander.expand(prompt)

    def clash(self, task: Task, earlier: Task) -> Problem:
        """The problem of two tasks whose ids differ in case at most, at the place of the later one's prompt."""
        later, former = self._prompt(task), self._prompt(earlier)
        if later is former:
            message = f"two combinations of this prompt both become the file {task.task_id} (write an `id` with placeholders)"
        else:
            message = (
                f"the task {task.task_id} has the name of {earlier.task_id}, from the prompt on line "
                f"{former.line} (give one of the prompts another `id`)"
            )
        return self.document.problem(later.id_node, message)

    def twins(self, task: Task, earlier: Task) -> Problem:
        """The warning about two tasks that ask for exactly the same picture, at the place of the later one's prompt."""
        later, former = self._prompt(task), self._prompt(earlier)
        if later is former:
            where, mend = "also of this prompt", "use the varied value in the prompt"
        else:
            where, mend = f"from the prompt on line {former.line}", "change one of the prompts, or remove it"
        message = (
            f"{task.task_id} asks for exactly the same picture as {earlier.task_id}, {where}, and each costs "
            f"({mend}; for several tries of one picture write `images: 2`)"
        )
        return self.document.problem(later.id_node, message, warning=True)

    def warning(self, message: str, *keys: str) -> Problem:
        """A warning about the value of nested keys, or as near to it as the file goes."""
        node = self.document.root
        for key in keys:
            node = node.values.get(key, node) if isinstance(node, MapNode) else node
        return self.document.problem(node, message, warning=True)

    def _prompt(self, task: Task) -> Prompt:
        return self.prompts[bisect.bisect_right(self.prompts, task.position, key=attrgetter("first")) - 1]
