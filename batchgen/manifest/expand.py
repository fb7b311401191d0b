"""Prompts -> tasks: fills the placeholders, checks every request against the catalogue, prices and names it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import Dialect
from batchgen.catalogue.model import AnySize, Anything, Choice, Flag, Model, Whole
from batchgen.catalogue.rules import (
    MOST_CHARACTERS,
    Complaint,
    check_prompt_length,
)
from batchgen.catalogue.sizes import Size
from batchgen.core import naming
from batchgen.core.errors import Problem
from batchgen.core.fingerprint import Fingerprinter
from batchgen.core.types import ImageRequest, JsonScalar, JsonValue, Task
from batchgen.manifest.along import ALONE, Along, along, refused_pictures
from batchgen.manifest.document import Document, MapNode, Node
from batchgen.manifest.entry import EMPTY_PROMPT, PROMPT, Prompt
from batchgen.manifest.judging import Judged, Judging
from batchgen.manifest.pictures import Pictures
from batchgen.manifest.recipe import EXTRA, Field, Recipe, WholeValue, fill, names_in, templates_of
from batchgen.manifest.template import Template
from batchgen.manifest.variations import Value

MOST_AT_A_PLACE = 5
"""Different errors at one place, by different combinations: more would only repeat the lesson."""
REMEMBERED = 1024
"""Request shapes whose checks and quotes are kept: a job has few, and a hostile one may not fill the memory."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FLAGS: Mapping[str, JsonScalar] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Settled:
    """A recipe with its placeholders filled."""

    model: str
    parameters: dict[str, JsonValue]
    extra: dict[str, JsonValue]
    judged: Judged
    faulty: bool


class Expander:
    """Expands the prompts of one manifest; remembers what was judged and what was reported."""

    def __init__(
        self,
        document: Document,
        catalogue: Catalogue,
        provider: str,
        dialect: Dialect,
        today: date,
        wrapper: Template | None,
        pictures: Pictures,
    ) -> None:
        self._document = document
        self._catalogue = catalogue
        self._provider = provider
        self._dialect = dialect
        self._judging = Judging(catalogue, provider, dialect, today)
        self._wrapper = wrapper
        self._pictures = pictures
        self._fingerprints = Fingerprinter(provider)
        self._reported: set[tuple[int, int, str]] = set()
        self._at_place: Counter[tuple[int, int]] = Counter()
        # Bounded, and gone with this object.
        self._settle = lru_cache(REMEMBERED)(self._settle_afresh)
        self._judge = lru_cache(REMEMBERED)(self._judging)

    def expand(self, prompt: Prompt) -> Iterator[Task | Problem]:
        """The tasks of a prompt, and what is wrong with those that are left out."""
        names = prompt.variation.names
        in_request = [number for number, name in enumerate(names) if name in prompt.recipe.names]
        in_name = [number for number, name in enumerate(names) if name not in prompt.id.names]
        texts = list(_varied_texts(prompt))
        position = prompt.first - prompt.images
        for choice in prompt.variation.choices():
            position += prompt.images
            variables = {name: value.text for name, value in zip(names, choice, strict=True)}
            if too_long := list(_too_long(texts, variables)):
                for place, fault in too_long:
                    yield from self._report(place, fault)
                continue
            pictures = along(self._pictures, prompt, variables) if prompt.references else ALONE
            settled = self._settle(
                prompt.recipe,
                tuple((names[n], choice[n].text, choice[n].written) for n in in_request),
                pictures.sizes if prompt.references else None,
            )
            faults = [*pictures.faults, *self._refused(prompt, settled.judged.model)]
            for place, fault in faults:
                yield from self._report(place, fault)
            for complaint in settled.judged.complaints:
                place = _place(prompt, choice, settled.judged.model, complaint)
                yield from self._report(place, complaint.message, warning=complaint.warning)
            if not faults:
                slugs = [choice[n].slug for n in in_name]
                yield from self._tasks(prompt, variables, slugs, settled, pictures, position)

    def check(self, recipe: Recipe) -> Iterator[Problem]:
        """What is wrong with a request that is faulty or of a faulty entry.

        With placeholders, and in values that could not be read, that is the model and the parameters' names.
        """
        told = recipe.model
        model = None if told.names or told.faults else self._catalogue.find(told.literals[0])
        complaints = self._judging.of_names(recipe, model)
        if not recipe.names and not told.faults:
            complaints = [*self._settle(recipe, (), None).judged.complaints, *complaints]
        for complaint in complaints:
            field = _field(recipe, complaint)
            known = model is not None and complaint.parameter in model.parameters
            place = recipe.model_node if field is None else field.node if known else _key(field, complaint)
            yield from self._report(place, complaint.message, warning=complaint.warning)

    def _tasks(
        self,
        prompt: Prompt,
        variables: Mapping[str, str],
        slugs: list[str],
        settled: Settled,
        pictures: Along,
        position: int,
    ) -> Iterator[Task | Problem]:
        rendered, prompt_fault = self._prompt(prompt, variables, settled.judged.model)
        prompt_id = prompt.id.render(variables)
        faults = [
            (prompt.text_node, prompt_fault),
            (prompt.id_node, _name_fault(prompt, prompt_id, slugs)),
        ]
        if settled.faulty or any(fault for _, fault in faults):
            for place, fault in faults:
                if fault:
                    yield from self._report(place, fault)
            return
        request = ImageRequest(
            settled.model, rendered, settled.parameters, settled.extra, pictures.references, pictures.mask
        )
        price = settled.judged.quote.price(rendered)
        fingerprint = self._fingerprints.of(request)
        stem = naming.task_stem(prompt_id, slugs)
        for sample in range(1, prompt.images + 1):
            yield Task(
                f"{stem}--{naming.sample_number(sample)}",
                prompt_id,
                position + sample - 1,
                sample,
                request,
                fingerprint(sample),
                price,
                prompt.tags,
                variables,
            )

    def _prompt(
        self, prompt: Prompt, variables: Mapping[str, str], model: Model | None
    ) -> tuple[str, str | None]:
        """The whole prompt and what is wrong with it. One that is too long is not put together: it may be gigabytes."""
        lengths = {name: len(value) for name, value in variables.items()}
        characters = prompt.text.length(lengths)
        if self._wrapper is not None:
            characters = self._wrapper.length({**lengths, PROMPT: characters})
        if fault := check_prompt_length(model, characters):
            return "", fault
        text = prompt.text.render(variables)
        if not text.strip():
            return "", EMPTY_PROMPT
        return text if self._wrapper is None else self._wrapper.render({**variables, PROMPT: text}), None

    def _report(self, place: Node, message: str, *, warning: bool = False) -> Iterator[Problem]:
        where = (place.line, place.column)
        if (*where, message) not in self._reported and self._at_place[where] < MOST_AT_A_PLACE:
            self._reported.add((*where, message))
            self._at_place[where] += 1
            yield self._document.problem(place, message, warning=warning)

    def _refused(self, prompt: Prompt, model: Model | None) -> Iterator[tuple[Node, str]]:
        edits_at_all = self._dialect.edit is not None
        return refused_pictures(prompt, model, self._provider, edits_at_all=edits_at_all)

    def _settle_afresh(
        self,
        recipe: Recipe,
        needed: tuple[tuple[str, str, JsonScalar], ...],
        pictures: tuple[Size, ...] | None,
    ) -> Settled:
        """`needed` are the recipe's variables: name, text, and value as it was written.

        `pictures` are the sizes of those that go along, None for a prompt without any.
        """
        values = {name: text for name, text, _ in needed}
        written = {name: value for name, _, value in needed}
        model_id = recipe.model.render(values)
        model = self._catalogue.find(model_id)
        as_written: WholeValue = lambda name, _: written[name]  # noqa: E731 - one of three, named alike
        parameters = {
            name: fill(field.pattern, values, _whole_value(model, name) or as_written)
            for name, field in recipe.fields.items()
        }
        extra = {} if recipe.extra is None else fill(recipe.extra.pattern, values, as_written)
        assert isinstance(extra, dict)  # the reader refused anything else
        judged = self._judge(model_id, json.dumps([parameters, extra]), pictures)
        return Settled(model_id, parameters, extra, judged, any(not each.warning for each in judged.complaints))


def _whole_value(model: Model | None, parameter: str) -> WholeValue | None:
    """What becomes of a value that is exactly one placeholder: what the parameter is, None for what it is in YAML.

    A whole number where the model wants one, text where it wants a word, a size or a text. Where nothing is known of
    the parameter (and in `extra`), a number that is written without quotes stays a number.
    """
    match model.parameters.get(parameter) if model is not None else None:
        case Whole():
            return lambda _, text: int(text) if _INTEGER.fullmatch(text) else text
        case Flag():
            return lambda _, text: _FLAGS.get(text, text)
        case Choice() | AnySize() | Anything(kind="text"):
            return lambda _, text: text
        case _:
            return None


def _place(prompt: Prompt, choice: tuple[Value, ...], model: Model | None, complaint: Complaint) -> Node:
    """Where a complaint belongs: the varied value when one placeholder leads to it, else the value or key."""
    recipe = prompt.recipe
    field = _field(recipe, complaint)
    if field is not None and (model is None or complaint.parameter not in model.parameters):
        return _key(field, complaint)
    names = dict.fromkeys(recipe.model.names) if field is None else field.names
    if len(names) == 1:
        return choice[prompt.variation.names.index(next(iter(names)))].node
    return recipe.model_node if field is None else field.node


def _field(recipe: Recipe, complaint: Complaint) -> Field | None:
    name = complaint.parameter or ""
    found = (recipe.extra if name == EXTRA else recipe.fields.get(name), recipe.faulty.get(name))
    there = [field for field in found if field is not None]
    return next((field for field in there if (complaint.key or "") in names_in(field)), next(iter(there), None))


def _key(field: Field, complaint: Complaint) -> Node:
    """The parameter's name, or that of the wrong part of its value."""
    inside = field.node.keys if isinstance(field.node, MapNode) else {}
    return inside.get(complaint.key or "", field.key)


def _varied_texts(prompt: Prompt) -> Iterator[tuple[Node, Template]]:
    """The texts beside the prompt in which variables are replaced."""
    pictures = prompt.references if prompt.mask is None else (*prompt.references, prompt.mask)
    recipe = prompt.recipe
    fields = [*recipe.fields.values(), *([] if recipe.extra is None else [recipe.extra])]
    texts = [(prompt.id_node, prompt.id), (recipe.model_node, recipe.model), *pictures]
    texts += [(field.node, text) for field in fields for text in templates_of(field.pattern)]
    return ((place, text) for place, text in texts if text.names)


def _too_long(texts: list[tuple[Node, Template]], variables: Mapping[str, str]) -> Iterator[tuple[Node, str]]:
    """Texts that are not put together, since a short file can make gigabytes of them."""
    lengths = {name: len(value) for name, value in variables.items()}
    for place, text in texts:
        if (characters := text.length(lengths)) > MOST_CHARACTERS:
            message = f"this would become {characters:,} characters (use fewer variables, or shorter values)"
            yield place, message


def _name_fault(prompt: Prompt, prompt_id: str, slugs: list[str]) -> str | None:
    if prompt.id.names and (fault := naming.id_fault(prompt_id)):
        return f"`id` {fault}"
    longest = len(naming.task_id(prompt_id, slugs, prompt.images))
    if longest > naming.TASK_ID_LIMIT:
        return (
            f"the file's name {naming.task_id(prompt_id, slugs, prompt.images)[:40]}... would have {longest} characters, "
            f"at most {naming.TASK_ID_LIMIT} are safe (write a shorter `id`, with placeholders)"
        )
    return None
