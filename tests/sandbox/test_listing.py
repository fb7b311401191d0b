"""Lists of models: OpenAI's with their ends, and CometAPI's public one with prices."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import pytest

from batchgen.catalogue.catalogue import Catalogue, Entry
from tests.sandbox.talking import client

pytestmark = pytest.mark.anyio


async def test_models_are_listed_with_their_end() -> None:
    """`/models` has the API's shape, and the shutdown date of each model."""
    async with client() as api:
        listed = (await api.get("/models")).body
        one = (await api.get("/models/gpt-image-1.5")).body
        missing = await api.get("/models/nobody-knows")
    assert one in listed["data"]
    assert (listed["object"], one["object"], one["shutdown_date"]) == ("list", "model", "2026-12-01")
    assert (missing.status, missing.body["error"]["code"]) == (404, "model_not_found")


async def priced(catalogue: Catalogue | None = None) -> dict[str, Any]:
    """The public catalogue's models by id, read without a key."""
    async with (
        client(catalogue=catalogue) as api,
        api.session.get(urljoin(api.sandbox.base_url, "/api/models")) as reply,
    ):
        assert 200 == reply.status
        listed = await reply.json()
    models = listed.pop("data")
    assert {"success": True, "page": 0, "page_size": 0, "total": len(models)} == listed
    return {model["id"]: model for model in models}


async def test_the_public_catalogue_has_prices() -> None:
    """Every model is there, without a key, with what a million tokens or an image cost."""
    models = await priced()
    assert set(Catalogue.builtin().models) == set(models)
    assert {
        "id": "gpt-image-2",
        "provider": "openai",
        "model_type": "image",
        "features": ["text-to-image", "image-to-image"],
        "pricing": {
            "currency": "USD / M Tokens",
            "input": 5.0,
            "output": 30.0,
            "per_request": None,
            "per_second": None,
        },
        "api_doc_url": "https://apidoc.cometapi.com/api/image/openai/images",
    } == models["gpt-image-2"]
    flat = {"currency": "USD / Request", "input": None, "output": None, "per_second": None}
    assert {**flat, "per_request": 0.04} == models["qwen-image"]["pricing"]
    assert {**flat, "per_request": 0.016} == models["dall-e-2"]["pricing"]
    assert ["text-to-image"] == models["dall-e-3"]["features"]


async def test_an_operator_s_price_is_in_the_catalogue() -> None:
    """So a rise of prices can be rehearsed."""
    models = await priced(Catalogue.builtin().with_entries({"gpt-image-2": Entry(price_usd=0.5)}))
    assert ("USD / Request", 0.5) == (
        models["gpt-image-2"]["pricing"]["currency"],
        models["gpt-image-2"]["pricing"]["per_request"],
    )
