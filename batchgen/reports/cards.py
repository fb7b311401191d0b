"""Tasks arranged for the gallery: cards on shelves, with what cards share said once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from anyio.lowlevel import checkpoint

from batchgen.core.fingerprint import TRANSPORT
from batchgen.core.plain import safe_text
from batchgen.core.records import TaskView
from batchgen.core.types import TaskState
from batchgen.reports.text import counted, shortened, usd_text

_PROMPT_SHOWN = 280
"""Characters of a prompt that are shown; the rest opens with a click. Longer ones push the images away."""

_ALT_LENGTH = 500
_LOOK_FIRST = ("quality", "output_format")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt to show: its start, and the whole of it where that is not all ("" otherwise)."""

    start: str
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One image. `href` is relative and quoted, all text is safe to show; `width` and `height` are pixels."""

    task_id: str
    href: str
    alt: str
    width: int | None
    height: int | None
    facts: tuple[str, ...]
    cost: str
    prompt: Prompt | None


@dataclass(slots=True)
class Shelf:
    """The images of one prompt side by side, or (without `prompt_id`) of neighbours with one image each.

    `prompt` and `facts` are what all its cards share, which the cards then leave out.
    """

    prompt_id: str = ""
    prompt: Prompt | None = None
    facts: tuple[str, ...] = ()
    made: str = ""
    cards: list[Card] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    prompt_id: str
    total: int = 0
    stored: int = 0
    cards: list[Card] = field(default_factory=list)


async def shelves(batches: AsyncIterator[Sequence[TaskView]], limit: int) -> AsyncIterator[Shelf]:
    """Arrange the first `limit` stored images in manifest order; never more than these are in memory."""
    singles = Shelf()
    async for group in _groups(batches, limit):
        if group.total == 1:
            singles.cards += group.cards
            continue
        if singles.cards:
            yield singles
            singles = Shelf()
        if group.cards:
            yield _shelf(group)
    if singles.cards:
        yield singles


async def _groups(batches: AsyncIterator[Sequence[TaskView]], limit: int) -> AsyncIterator[_Group]:
    """Neighbours with the same prompt id; reads to the end, since the last group's counts need it."""
    group, shown = _Group(""), 0
    async for batch in batches:
        for view in batch:
            if view.prompt_id != group.prompt_id:
                if group.cards:
                    yield group
                group = _Group(view.prompt_id)
            group.total += 1
            if view.state == TaskState.STORED and view.file and not view.lost:
                group.stored += 1
                shown += 1
                if shown <= limit:
                    group.cards.append(card(view))
        await checkpoint()
    if group.cards:
        yield group


def _shelf(group: _Group) -> Shelf:
    """Say once what all cards say."""
    cards = group.cards
    prompt = cards[0].prompt if len({each.prompt for each in cards}) == 1 else None
    facts = cards[0].facts if len({each.facts for each in cards}) == 1 else ()
    of = "" if group.stored == group.total else f" of {group.total:,}"
    return Shelf(
        prompt_id=safe_text(group.prompt_id),
        prompt=prompt,
        facts=facts,
        made=f"{group.stored:,}{of} images" if of else counted(group.stored, "image"),
        cards=[
            replace(each, prompt=None if prompt else each.prompt, facts=() if facts else each.facts)
            for each in cards
        ],
    )


def card(view: TaskView) -> Card:
    """What the gallery shows of a stored task."""
    prompt = safe_text(view.request.prompt, keep_lines=True)
    long = len(prompt) > _PROMPT_SHOWN
    return Card(
        task_id=safe_text(view.task_id),
        # `./` keeps the name a relative path, whatever it starts with.
        href="./" + quote(view.file or "", errors="replace"),
        alt=shortened(safe_text(view.request.prompt), _ALT_LENGTH),
        width=view.width,
        height=view.height,
        facts=tuple(_facts(view)),
        cost="no price" if view.cost_usd is None else usd_text(view.cost_usd),
        prompt=Prompt(shortened(prompt, _PROMPT_SHOWN), prompt) if long else Prompt(prompt),
    )


def _facts(view: TaskView) -> Iterator[str]:
    """Model, pixels, quality and format in this order, then whatever else was asked for; not how it travelled."""
    yield safe_text(view.request.model)
    if view.width and view.height:
        yield f"{view.width} × {view.height} px"
    asked_for = {**view.request.parameters, **view.request.extra}
    parameters = {name: value for name, value in asked_for.items() if name not in TRANSPORT}
    for name in _LOOK_FIRST:
        if name in parameters:
            yield safe_text(str(parameters.pop(name)))
    asked = parameters.pop("size", None)
    if asked is not None and asked != f"{view.width}x{view.height}":
        yield f"asked for {safe_text(str(asked))}"
    for name, value in parameters.items():
        yield safe_text(f"{name} {value}")
