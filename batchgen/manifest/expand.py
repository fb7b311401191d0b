"""Prompts -> tasks: fills the placeholders, checks every request against the catalogue, prices and names it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache

from msgspec import Struct

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import Dialect
from batchgen.catalogue.model import AnySize, Anything, Choice, Flag, Model, Whole
from batchgen.catalogue.rules import check_prompt_length
from batchgen.catalogue.sizes import Size
from batchgen.core import naming
from batchgen.core.errors import Problem
from batchgen.core.fingerprint import Fingerprinter
from batchgen.core.types import ImageRequest, JsonScalar, JsonValue, Task
from batchgen.manifest.along import ALONE, Along, along, refused_pictures
from batchgen.manifest.combination import Combination, Layout, field_of, key_of
from batchgen.manifest.document import Document, Elsewhere, Node
from batchgen.manifest.judging import Judged, Judging
from batchgen.manifest.pictures import Pictures
from batchgen.manifest.prompt import EMPTY_PROMPT, PROMPT, Prompt
from batchgen.manifest.recipe import Recipe, WholeValue, fill
from batchgen.manifest.tables.alike import Alike
from batchgen.manifest.tables.table import NO_ROW, Row
from batchgen.manifest.template import Template

MOST_AT_A_PLACE = 5
"""Different errors at one place, by different combinations: more would only repeat the lesson."""
REMEMBERED = 1024
"""Request shapes whose checks and quotes are kept: a job has few, and a hostile one may not fill the memory."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FLAGS: Mapping[str, JsonScalar] = {"true": True, "false": False}


class Settled(Struct, frozen=True):
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
        self._reported: set[tuple[str, int, int | str, str]] = set()
        self._at_place: Counter[tuple[str, int, int | str]] = Counter()
        self._alike = Alike()
        # Bounded, and gone with this object.
        self._settle = lru_cache(REMEMBERED)(self._settle_afresh)
        self._judge = lru_cache(REMEMBERED)(self._judging)

    def expand(self, prompt: Prompt, first: int) -> Iterator[Task | Problem]:
        """The tasks of a prompt, from position `first` on, and what is wrong with those that are left out."""
        layout = Layout.of(prompt)
        if prompt.table is None:
            yield from self._combinations(layout, NO_ROW, first)
            return
        for number, row in enumerate(prompt.table.rows()):
            yield from self._combinations(layout, row, first + number * prompt.each)

    def rest(self) -> Iterator[Problem]:
        """How many more rows of tables have mistakes that were told; to be asked at the end."""
        return self._alike.rest()

    def _combinations(self, layout: Layout, row: Row, position: int) -> Iterator[Task | Problem]:
        """The tasks of a prompt, or of one row of its table."""
        prompt, names = layout.prompt, layout.prompt.variation.names
        void = layout.void(row)
        if void:
            for name in void - row.broken:
                yield from self._report(row.cell(name), layout.empty[name], "empty")
        for choice in prompt.variation.choices():
            variables = row.cells
            if choice:
                variables = {
                    **variables,
                    **{name: value.text for name, value in zip(names, choice, strict=True)},
                }
            yield from self._combination(Combination(layout, row, void, choice, variables), position)
            position += prompt.images

    def _combination(self, one: Combination, position: int) -> Iterator[Task | Problem]:
        if too_long := list(one.too_long()):
            for place, fault in too_long:
                yield from self._report(place, fault, "length")
            return
        prompt = one.layout.prompt
        pictures, settled, faults = ALONE, None, list[tuple[Node, str]]()
        if prompt.references and one.known(one.layout.in_pictures):
            pictures = along(self._pictures, prompt, one.variables)
            faults += [(one.place(place, name.names), fault) for place, name, fault in pictures.faults]
        if one.known(prompt.recipe.names):
            sizes = pictures.sizes if prompt.references else None
            settled = self._settle(prompt.recipe, one.needed(prompt.recipe), sizes)
            if prompt.references:
                faults += self._refused(prompt, settled.judged.model)
            for complaint in settled.judged.complaints:
                place = one.place_of(settled.judged.model, complaint)
                yield from self._report(
                    place, complaint.message, complaint.parameter or "model", warning=complaint.warning
                )
        for place, fault in faults:
            yield from self._report(place, fault, "picture")
        if not faults:
            yield from self._tasks(one, settled, pictures, position)

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
            field = field_of(recipe, complaint)
            known = model is not None and complaint.parameter in model.parameters
            place = recipe.model_node if field is None else field.node if known else key_of(field, complaint)
            yield from self._report(place, complaint.message, warning=complaint.warning)

    def _tasks(
        self, one: Combination, settled: Settled | None, pictures: Along, position: int
    ) -> Iterator[Task | Problem]:
        prompt = one.layout.prompt
        model = None if settled is None else settled.judged.model
        rendered, prompt_fault = self._prompt(one, model)
        prompt_id, slugs = prompt.id.render(one.variables), one.slugs
        name_fault = one.name_fault(prompt_id, slugs) if one.known(prompt.id.names) else None
        if prompt_fault:
            yield from self._report(one.place(prompt.text_node, prompt.text.names), prompt_fault, PROMPT)
        if name_fault:
            yield from self._report(one.place(prompt.id_node, prompt.id.names), name_fault, "id")
        if settled is None or settled.faulty or one.void or prompt_fault or name_fault:
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
                one.variables,
            )

    def _prompt(self, one: Combination, model: Model | None) -> tuple[str, str | None]:
        """The whole prompt and what is wrong with it. One that is too long is not put together: it may be gigabytes."""
        text, wrapper, variables = one.layout.prompt.text, self._wrapper, one.variables
        characters = text.length(variables)
        if wrapper is not None:
            characters = wrapper.length(variables, instead={PROMPT: characters})
        if fault := check_prompt_length(model, characters):
            return "", fault
        rendered = text.render(variables)
        if not rendered.strip():
            return "", EMPTY_PROMPT if one.known(text.names) else None
        return rendered if wrapper is None else wrapper.render({**variables, PROMPT: rendered}), None

    def _report(self, place: Node, message: str, kind: str = "", *, warning: bool = False) -> Iterator[Problem]:
        problem = self._document.problem(place, message, warning=warning)
        if isinstance(place, Elsewhere) and place.heading:
            yield from self._alike.take(problem, kind)
            return
        where = (problem.file, problem.line, problem.column)
        if (*where, message) not in self._reported and self._at_place[where] < MOST_AT_A_PLACE:
            self._reported.add((*where, message))
            self._at_place[where] += 1
            yield problem

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
            return lambda _, text: _FLAGS.get(text.lower(), text)
        case Choice() | AnySize() | Anything(kind="text"):
            return lambda _, text: text
        case _:
            return None
