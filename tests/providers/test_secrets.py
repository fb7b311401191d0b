"""A key that is echoed, in whatever form, reaches no reason, no evidence, no answer's own words."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.errors import AttemptError, NotAnImageError
from batchgen.core.types import FailureClass, ImageBytes
from batchgen.providers.endpoint import Secret, resolve
from batchgen.providers.http import open_provider
from batchgen.providers.masking import Mask
from batchgen.providers.settings import ProviderSettings
from batchgen.stores.arriving import bytes_of
from tests.providers.servers import answering, generate, link_to, serving, told

ODD_KEY = 'q7/+=Zk"w\\v%x&y_0123456789'
MASK = Mask(Secret(ODD_KEY))


def base64_forms(key: str) -> list[str]:
    """What decodes to the middle of the key, wherever it begins in an encoded text."""
    return [base64.b64encode(b"x" * before + key.encode())[4:-4].decode() for before in range(3)]


def forms(key: str) -> list[str]:
    """A key as servers echo it."""
    return [
        key,
        quote(key),
        quote(key, safe=""),
        quote_plus(key).replace("%2B", "%2b"),
        "".join(f"%{ord(char):02x}" for char in key),
        json.dumps(key)[1:-1],
        json.dumps(key)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(char):04X}" for char in key),
        base64.b64encode(key.encode()).decode(),
        base64.urlsafe_b64encode(f"Bearer {key}".encode()).decode(),
        base64.b64encode(f'{{"a": "{key}"}}'.encode()).decode(),
        "\u200b".join(key),
        "\x1b[0m".join(key),
    ]


SPLIT = [
    b"\x00".join(ODD_KEY[at : at + 1].encode() for at in range(len(ODD_KEY))),
    "\u200b".join(ODD_KEY).encode(),
]


@pytest.mark.parametrize("form", forms(ODD_KEY))
def test_every_form_of_the_key_is_hidden(form: str) -> None:
    """In words and in bytes, alone and among others."""
    for text in (form, f"key ({form}) refused", f"?k={form}&x"):
        masked, kept = MASK.text(text), MASK.data(text.encode())

        assert "***" in masked
        assert (
            b"***" in kept or "\x1b" in form
        )  # escapes between its letters do not make a key that could be found
        for secret in forms(ODD_KEY)[:9]:
            assert secret not in masked
            assert secret.encode() not in kept


@pytest.mark.parametrize("data", SPLIT)
def test_a_key_with_something_invisible_inside_is_hidden_in_evidence(data: bytes) -> None:
    """Zero bytes and zero-width characters do not carry it past the mask."""
    assert b"<***>" == MASK.data(b"<" + data + b">")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_base64_of_anything_around_the_key_is_hidden(before: bytes, after: bytes) -> None:
    """Wherever in the encoded text the key begins."""
    text = base64.b64encode(before + ODD_KEY.encode() + after).decode()

    assert "***" in MASK.text(text)
    assert b"***" in MASK.data(text.encode())


@given(st.integers(4, len(ODD_KEY) - 1))
def test_half_a_key_where_a_text_was_cut_is_hidden(length: int) -> None:
    """What was cut within the key ends in stars, and a text that merely ends is left alone."""
    assert "Bad key ***" == MASK.start(f"Bad key {ODD_KEY[:length]}")
    assert "Bad key" == MASK.start("Bad key")


def test_evidence_without_the_key_is_not_copied() -> None:
    """Megabytes are handed on as they are."""
    data = bytearray(b"x" * 1_000_000)

    assert data is MASK.data(data)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 400, 401, 302, 502])
@pytest.mark.parametrize("form", [form for form in forms(ODD_KEY) if form.isprintable()])
async def test_no_echo_of_the_key_comes_through(form: str, status: int) -> None:
    """From headers, error objects, plain bodies, and behind the place where an excerpt is cut."""
    headers = {"X-Request-Id": form, "Location": f"https://x.example.com/{quote(form)}", "Retry-After": form}
    bodies = [
        {"error": {"message": f"bad {form}", "code": form}},
        form.encode(),
        b" " * 1990 + form.encode() * 9,
    ]
    for body in bodies:
        handler = answering(body, status=status, headers=headers)
        async with serving(handler) as api:
            settings = ProviderSettings("gateway", api.base_url, ("KEY",))
            async with open_provider(resolve(settings, {"KEY": ODD_KEY}), concurrency=1) as provider:
                with pytest.raises(AttemptError) as caught:
                    await generate(provider)

        shown = told(caught.value)
        # `told` prints evidence with `repr`, which doubles backslashes.
        assert not [
            secret for secret in forms(ODD_KEY)[:9] if secret in shown or secret in shown.replace("\\\\", "\\")
        ]
        assert ODD_KEY[:12] not in shown


@pytest.mark.anyio
async def test_a_key_in_the_place_of_an_image_is_no_base64_and_hidden() -> None:
    """What goes to quarantine does not hold it either."""
    async with serving(answering({"data": [{"b64_json": f"iVBO{ODD_KEY}", "revised_prompt": ODD_KEY}]})) as api:
        settings = ProviderSettings("gateway", api.base_url, ("KEY",))
        async with open_provider(resolve(settings, {"KEY": ODD_KEY}), concurrency=1) as provider:
            image = await generate(provider)

    assert isinstance(image, ImageBytes)
    assert ("iVBO***", "***") == (image.encoded, image.answer.revised_prompt)


@pytest.mark.anyio
@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("line", [0, 12])
async def test_an_image_with_the_key_inside_is_no_base64_any_more(before: int, line: int) -> None:
    """Wherever the key begins in it and however it is wrapped: it is evidence without the key, and not an image with it."""
    text = base64.b64encode(b"x" * before + ODD_KEY.encode() + b"and more").decode()
    lines = "\n".join(text[at : at + line] for at in range(0, len(text), line)) if line else text
    async with serving(answering({"data": [{"b64_json": lines}]})) as api:
        settings = ProviderSettings("gateway", api.base_url, ("KEY",))
        async with open_provider(resolve(settings, {"KEY": ODD_KEY}), concurrency=1) as provider:
            image = await generate(provider)

    assert isinstance(image, ImageBytes)
    with pytest.raises(NotAnImageError, match="a secret was inside"):
        bytes_of(image.encoded)
    assert [] == [form for form in base64_forms(ODD_KEY) if form in str(image.encoded)]


@pytest.mark.anyio
async def test_a_download_with_the_key_inside_is_no_image() -> None:
    """It is not mended by masking, and kept as evidence without the key."""
    async with serving(answering(b"an image for " + ODD_KEY.encode())) as api:
        settings = ProviderSettings("gateway", api.base_url, ("KEY",))
        async with open_provider(resolve(settings, {"KEY": ODD_KEY}), concurrency=1) as provider:
            with pytest.raises(AttemptError, match="a secret was inside") as caught:
                await provider.fetch(link_to(f"{api.base_url}/1.png"))

    assert (FailureClass.NO_IMAGE, b"an image for ***") == (
        caught.value.failure.failure_class,
        bytes(caught.value.evidence),
    )
