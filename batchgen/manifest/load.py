"""Reads a manifest: the file, its head, its prompts one by one, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from batchgen.core.errors import ProblemsError, UsageError
from batchgen.core.naming import id_fault, printable
from batchgen.core.types import JsonObject, RetryPolicy
from batchgen.core.values import replace
from batchgen.manifest.document import Document, ListNode, MapNode, Node, Scalar, read_document
from batchgen.manifest.entry import EntryReader
from batchgen.manifest.guess import did_you_mean, nearest
from batchgen.manifest.job import Manifest, Setting, too_many
from batchgen.manifest.limits import limits_of
from batchgen.manifest.prompt import PROMPT, Defaults, Prompt, given
from batchgen.manifest.recipe import UNREAD, Field, Recipe, RequestReader, mentions
from batchgen.manifest.scalars import describe
from batchgen.manifest.schema import Head
from batchgen.manifest.template import Template, parse_template
from batchgen.manifest.translate import check_parts

__all__ = ["Setting", "load_manifest"]


def load_manifest(path: Path, setting: Setting) -> Manifest:
    """Read a manifest and find everything wrong with it that needs no expansion.

    Raises `UsageError` when there is no such file or the setting's provider is not known, and `ProblemsError`
    when nothing can be expanded at all.
    """
    document = read_document(path)
    return _Reading(path, document, setting).manifest()


_THE_OPERATORS = frozenset({"providers", "catalogue", "defaults", "notify", "heartbeat", "metrics"})
"""Keys of `batchgen.yaml`, which comes along where somebody runs `*.yaml`."""

_READ = Scalar(0, 0, "", plain=False)


class _Reading:
    """One reading of one file."""

    def __init__(self, path: Path, document: Document, setting: Setting) -> None:
        self._path = path
        self._document = document
        self._setting = setting
        self._problems = list(document.problems)
        self._requests = RequestReader(document, self._problems.append)
        self._root = self._mapping(document.root)
        self._entries = self._prompt_nodes()

    def manifest(self) -> Manifest:
        head = self._head()
        declared = head.provider or self._setting.default_provider
        provider = self._provider(declared)
        job = head.job or self._job_from_file()
        wrapper = self._wrapper(head.prompt_template)
        reader = EntryReader(
            self._document,
            self._path.parent,
            self._defaults(head, wrapper),
            self._requests,
            self._problems.append,
        )
        prompts = self._prompts(reader)
        self._check_count(prompts, head.max_tasks)
        return Manifest(
            path=self._path,
            text=self._document.data,
            job=job,
            description=head.description,
            provider=provider,
            declared_provider=declared,
            limits=limits_of(head.limits, self._setting.default_limits),
            retry=RetryPolicy(head.retry.max_attempts, head.retry.on_unknown),
            max_tasks=head.max_tasks,
            priority=head.priority,
            report=_as_json(head.report.model_dump(exclude_none=True)),
            # What is wrong with a default is found in every prompt, and said once.
            problems=tuple(dict.fromkeys(self._problems)),
            setting=self._setting,
            document=self._document,
            prompts=tuple(prompts),
            wrapper=None if wrapper is None or wrapper.faults else wrapper,
            unexpanded=tuple(reader.unexpanded),
        )

    def _mapping(self, root: Node | None) -> MapNode:
        if isinstance(root, MapNode):
            if _THE_OPERATORS & root.keys.keys() and not {"batchgen", "prompts"} & root.keys.keys():
                told = "this is no manifest but the operator's configuration, which is found by itself (name the jobs' files only)"
                raise ProblemsError([*self._problems, self._document.problem(root, told)])
            return root
        what = (
            "the file is empty"
            if root is None
            else f"a manifest is made of lines such as `model: gpt-image-2`, but {describe(root)}"
        )
        raise ProblemsError([*self._problems, self._document.problem(root, f"{what} (begin with batchgen: 1)")])

    def _prompt_nodes(self) -> list[Node]:
        listed = self._root.values.get("prompts")
        if isinstance(listed, ListNode) and listed.items:
            return listed.items
        self._head()
        if listed is None:
            message = "`prompts` is missing (write `prompts:` and under it `- id: ...` with a `prompt: ...`)"
            place: Node = self._root
        else:
            what = (
                "`prompts` is empty"
                if isinstance(listed, ListNode)
                else f"`prompts` must be a list, but {describe(listed)}"
            )
            message = f"{what} (write `- id: ...` with a `prompt: ...` under it)"
            place = listed
        raise ProblemsError([*self._problems, self._document.problem(place, message)])

    def _head(self) -> Head:
        root = self._root
        values = {name: value for name, value in root.values.items() if name != "prompts"}
        node = MapNode(root.line, root.column, root.keys, values)
        head, problems = check_parts(Head, node, self._document, Head(batchgen=1))
        self._problems += problems
        return head

    def _provider(self, declared: str) -> str:
        known = self._setting.providers
        wanted = self._setting.provider
        if wanted is not None:
            if wanted not in known:
                raise UsageError(f'there is no provider "{printable(wanted)}" ({did_you_mean(wanted, known)})')
            return wanted
        if declared not in known:
            message = f'there is no provider "{printable(declared)}" ({did_you_mean(declared, known)})'
            self._say(self._root.values.get("provider"), message)
        return declared

    def _job_from_file(self) -> str:
        stem = self._path.stem
        if "job" not in self._root.values and (message := id_fault(stem)):
            self._say(
                self._root,
                f"the file's name is no name for a job: it {message}; add `job: my-job` to the manifest",
            )
        return stem

    def _wrapper(self, text: str | None) -> Template | None:
        node = self._root.values.get("prompt_template")
        if text is None or node is None:
            return None
        template = parse_template(text)
        for fault in template.faults:
            self._say(node, fault)
        if PROMPT in template.names:
            return template
        if PROMPT not in mentions(node):
            meant = nearest(PROMPT, template.names)
            advice = (
                f"did you mean {{prompt}} where {{{meant}}} is?" if meant else "write {prompt} where it belongs"
            )
            self._say(node, f"`prompt_template` must hold the prompt ({advice})")
        return replace(template, faults=template.faults or UNREAD.faults)

    def _defaults(self, head: Head, wrapper: Template | None) -> Defaults:
        node = given(self._root, "model")
        model = UNREAD if head.model is None else parse_template(head.model)
        if node is not None and head.model is not None:
            for fault in model.faults:
                self._say(node, fault)
        fields = self._requests.read(self._root.values.get("request"))
        recipe = None if node is None else Recipe.of(model, node, fields)
        perhaps = frozenset(name for part in self._unread(model, fields, wrapper) for name in mentions(part))
        return Defaults(model, node, fields, wrapper, recipe, perhaps)

    def _unread(self, model: Template, fields: Mapping[str, Field], wrapper: Template | None) -> Iterator[Node]:
        """The parts at the top that may use variables and could not be read."""
        read = {
            "prompts": True,
            "model": not model.faults,
            "request": isinstance(self._root.values.get("request"), MapNode),
            "prompt_template": wrapper is not None and not wrapper.faults,
        }
        for name, value in self._root.values.items():
            if not read.get(name, name in Head.model_fields):
                yield value
        yield from (each.node for each in fields.values() if not each.sound)

    def _prompts(self, reader: EntryReader) -> list[Prompt]:
        prompts: list[Prompt] = []
        for number, node in enumerate(self._entries):
            # Read entries are let go, but for what a prompt keeps: a long list is not held twice.
            self._entries[number] = _READ
            prompt = reader.read(node)
            if prompt is not None:
                prompts.append(prompt)
        return prompts

    def _check_count(self, prompts: list[Prompt], most: int) -> None:
        """Where there are tables, tasks are counted when their rows are read."""
        count = sum(prompt.count for prompt in prompts)
        if count > most and all(prompt.table is None for prompt in prompts):
            self._problems.append(too_many(self._document, count))

    def _say(self, node: Node | None, message: str) -> None:
        self._problems.append(self._document.problem(node, message))


def _as_json(values: dict[str, bool]) -> JsonObject:
    return {**values}
