"""The tasks of a job as the JSON that `gallery.js` reads: compact, and harmless inside a page.

`{"tasks": [row, ...], "looks": [...], "old": {...}, "advice": {...}}`. A row is a list of `FIELDS` in their order:

- `id`; `group`, the prompt's id, 0 for that of the row before; `prompt`, 0 for that of the row before, a text, or
  `[start, end, middle]`: so many characters of the start and the end of the row before, with `middle` between them
- `state`; `kind` and `reason` of a failure, or "" and ""
- `file`: an extension for `images/<id>.<extension>`, a path relative to the page, or ""; `thumb`: the mark in
  `thumbs/<id>.<mark>.webp`, or ""; `width`, `height` in pixels, `bytes`, or 0
- `usd` or null; `attempts`; `look`, the place in `looks` of `[model, {parameter: value}]`
- `vars`: `{variable: value}`; `tags`; `made`, a UTC moment to the second, or ""; `seconds` or null
- `change`: what the last run did to it, or ""

`advice` has a title and a sentence for the writer, by the `kind` of a failure, `-` for one without. `old` has the file, width and height of the image that the last run replaced, by task id.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence

from anyio.lowlevel import checkpoint

from batchgen.core.fingerprint import TRANSPORT
from batchgen.core.history import Revision
from batchgen.core.plain import safe_text
from batchgen.core.records import TaskView
from batchgen.core.types import TaskState
from batchgen.reports.tally import LOST, advice
from batchgen.reports.text import shortened
from batchgen.reports.thumbs import thumb_mark

FIELDS = (
    "id", "group", "prompt", "state", "kind", "reason", "file", "thumb", "width", "height", "bytes", "usd", "attempts",
    "look", "vars", "tags", "made", "seconds", "change",
)  # fmt: skip

_VARIABLES_SHOWN = 16
_VALUE_LENGTH = 120
_TABLE_LENGTH = 300
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_MARKS = "<>&\u2028\u2029"
_MARKUP = str.maketrans({char: f"\\u{ord(char):04x}" for char in _MARKS})


def script_safe(value: object) -> str:
    """JSON that no text in it can turn into markup: it has no `<`, `>`, `&`, nor line ends of scripts."""
    text = _JSON.encode(value)
    # Most texts have none of it, which is found out far faster than they are translated.
    return text.translate(_MARKUP) if any(mark in text for mark in _MARKS) else text


async def task_data(
    batches: AsyncIterator[Sequence[TaskView]],
    limit: int,
    thumbs: frozenset[str],
    revisions: Mapping[str, Revision],
) -> AsyncIterator[str]:
    """The JSON of the first `limit` tasks, in pieces; `thumbs` are the names of the thumbnails that are there.

    Memory holds one batch, and the distinct parameters.
    """
    rows = _Rows(thumbs, revisions)
    yield '{"tasks":['
    left = limit
    async for batch in batches:
        lines = [script_safe(rows.row(view)) for view in batch[:left]]
        if lines:
            yield ("" if left == limit else ",\n") + ",\n".join(lines)
        left -= len(lines)
        await checkpoint()
        if not left:
            break
    told = {kind: [advice(kind).title, advice(kind).writer] for kind in rows.kinds}
    rest = {"looks": rows.looks, "old": _old(revisions), "advice": told}
    yield "]," + script_safe(rest)[1:]


def _old(revisions: Mapping[str, Revision]) -> dict[str, list[object]]:
    return {
        safe_text(one.task_id): [safe_text(one.old_file), one.old_width or 0, one.old_height or 0]
        for one in revisions.values()
        if one.old_file and one.change in {"replaced", "made after trouble"}
    }


class _Rows:
    """Turns tasks into rows, each of which may lean on the one before it."""

    def __init__(self, thumbs: frozenset[str], revisions: Mapping[str, Revision]) -> None:
        self._thumbs, self._revisions = thumbs, revisions
        self._places: dict[str, int] = {}
        self._group, self._prompt = "", ""
        self.looks: list[list[object]] = []
        self.kinds: dict[str, None] = {}

    def row(self, view: TaskView) -> list[object]:
        here = view.state == TaskState.STORED and view.file is not None and not view.lost
        mark = thumb_mark(view)
        revision = self._revisions.get(view.task_id)
        return [
            safe_text(view.task_id),
            self._group_of(view),
            self._prompt_of(view),
            "failed" if view.lost else view.state,
            self._kind_of(view),
            safe_text(view.reason or ""),
            _file(view) if here else "",
            mark if here and f"{view.task_id}.{mark}.webp" in self._thumbs else "",
            view.width or 0,
            view.height or 0,
            view.size_bytes or 0,
            view.cost_usd,
            view.attempts,
            self._look_of(view),
            _variables(view),
            [shortened(safe_text(tag), _VALUE_LENGTH) for tag in view.tags],
            (view.made or "")[:19].replace("T", " "),
            None if view.seconds is None else round(view.seconds, 1),
            revision.change if revision else "",
        ]

    def _kind_of(self, view: TaskView) -> str:
        if view.state not in {TaskState.FAILED, TaskState.HELD} and not view.lost:
            return ""
        kind = LOST if view.lost else safe_text(view.failure_class or "-")
        self.kinds[kind] = None
        return kind

    def _group_of(self, view: TaskView) -> str | int:
        group = safe_text(view.prompt_id)
        if group == self._group:
            return 0
        self._group = group
        return group

    def _prompt_of(self, view: TaskView) -> object:
        prompt, before = safe_text(view.request.prompt, keep_lines=True), self._prompt
        self._prompt = prompt
        return 0 if prompt == before else _beside(before, prompt)

    def _look_of(self, view: TaskView) -> int:
        asked = {**view.request.parameters, **view.request.extra}
        shown = {
            safe_text(name): shortened(safe_text(str(value)), _TABLE_LENGTH)
            for name, value in asked.items()
            if name not in TRANSPORT
        }
        look: list[object] = [safe_text(view.request.model), shown]
        place = self._places.setdefault(json.dumps(look), len(self.looks))
        if place == len(self.looks):
            self.looks.append(look)
        return place


def _beside(before: str, prompt: str) -> object:
    """What is new in a prompt. Scripts count characters beyond the first plane twice, so such prompts are told whole."""
    if not prompt or not before or max(before) > "\uffff" or max(prompt) > "\uffff":
        return prompt
    start = _shared(before, prompt)
    shorter = min(len(before), len(prompt)) - start
    end = _shared(before[::-1][:shorter], prompt[::-1][:shorter])
    if start + end < 16:
        return prompt
    return [start, end, prompt[start : len(prompt) - end]]


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _file(view: TaskView) -> str:
    start, _, extension = (view.file or "").rpartition(".")
    return extension if start == f"images/{view.task_id}" and extension.isalnum() else view.file or ""


def _variables(view: TaskView) -> dict[str, str]:
    shown = list(view.variables.items())[:_VARIABLES_SHOWN]
    return {safe_text(name): shortened(safe_text(value), _VALUE_LENGTH) for name, value in shown}
