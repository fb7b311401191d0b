"""Fingerprints."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.fingerprint import Fingerprinter, fingerprint
from batchgen.core.types import ImageRequest, JsonValue, Reference
from batchgen.core.values import replace

REQUEST = ImageRequest(
    "gpt-image-2", "A paper boat at sunrise.", {"size": "1024x1024", "quality": "low"}, {"seed": 7}
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values: st.SearchStrategy[JsonValue] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.text(), values, max_size=4)


def test_pinned() -> None:
    """A fingerprint never changes between versions: all stored images would look changed, and be bought again."""
    expected = "b1ac58527227572fa1e49a741d6d11d6d678dc520cccf8824c0c7d1af35411b3"
    assert expected == fingerprint(
        "cometapi", ImageRequest(REQUEST.model, REQUEST.prompt, REQUEST.parameters), 1
    )


@given(objects, objects)
def test_order_of_keys(parameters: dict[str, JsonValue], extra: dict[str, JsonValue]) -> None:
    """The order in which a manifest writes its parameters does not matter."""
    backwards = ImageRequest("m", "p", dict(reversed(parameters.items())), dict(reversed(extra.items())))
    assert fingerprint("x", ImageRequest("m", "p", parameters, extra), 1) == fingerprint("x", backwards, 1)


def test_any_change() -> None:
    """Whatever changes in what is asked for, the fingerprint changes too."""
    changed = [
        replace(REQUEST, model="gpt-image-2-2026-04-21"),
        replace(REQUEST, prompt="A paper boat at sunrise"),
        replace(REQUEST, parameters={"size": "1024x1024"}),
        replace(REQUEST, parameters={"size": "1024x1024", "quality": "high"}),
        replace(REQUEST, parameters={**REQUEST.parameters, "seed": 7}, extra={}),
        replace(REQUEST, extra={"seed": "7"}),
        replace(REQUEST, extra={"seed": 7.0}),
        replace(REQUEST, extra={"seed": None}),
        replace(REQUEST, extra={"seed": True}),
    ]
    prints = [fingerprint("cometapi", request, 1) for request in (REQUEST, *changed)]
    prints += [fingerprint("openai", REQUEST, 1), fingerprint("cometapi", REQUEST, 2)]
    assert len(prints) == len(set(prints))


def picture(sha256: str, file: str = "a.png") -> Reference:
    """A reference with this content."""
    return Reference(file, sha256, 100, "image/png", 64, 64)


def test_pictures_count_by_content_and_order() -> None:
    """Other pictures are another request, and so is a mask; another file with the same content is not."""
    one, other = picture("aa"), picture("bb")
    asked = [(), (one,), (other,), (one, other), (other, one)]
    prints = [fingerprint("cometapi", replace(REQUEST, references=each), 1) for each in asked]
    prints.append(fingerprint("cometapi", replace(REQUEST, references=(one,), mask=other), 1))
    assert len(prints) == len(set(prints))
    renamed = replace(REQUEST, references=(picture("aa", "elsewhere/b.png"),))
    assert prints[1] == fingerprint("cometapi", renamed, 1)


def test_how_an_answer_travels_does_not_count() -> None:
    """A job that is streamed from now on, because a proxy cuts silent connections, keeps the images it has."""
    streamed = replace(REQUEST, parameters={**REQUEST.parameters, "stream": True, "partial_images": 2})
    assert fingerprint("cometapi", REQUEST, 1) == fingerprint("cometapi", streamed, 1)


@given(st.text(), st.text(), st.integers(1, 100))
def test_prompts_do_not_collide(one: str, other: str, sample: int) -> None:
    """Prompts differ in their fingerprints exactly when their texts differ, lone surrogates included."""
    of = Fingerprinter("cometapi").of
    same = of(replace(REQUEST, prompt=one))(sample) == of(replace(REQUEST, prompt=other))(sample)
    assert same == (one == other)
