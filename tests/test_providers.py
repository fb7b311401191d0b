"""The providers that the docs describe are spoken to as the docs say, over real HTTP."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from batchgen.config.file import load_config
from batchgen.core.errors import ProblemsError
from batchgen.core.events import Event
from batchgen.core.types import JsonValue
from batchgen.job import Options
from batchgen.pool.stopping import Stop
from batchgen.run import run_job
from tests.providers.servers import serving
from tests.support.png import png

# Other makers have words of their own.
pytestmark = [pytest.mark.anyio, pytest.mark.odd_requests]

DOCS = (Path(__file__).parent.parent / "docs" / "providers.md").read_text("utf-8")
KEY = "key-of-the-provider"


def example(name: str) -> str:
    """The configuration in the docs that describes a provider."""
    blocks = re.findall(r"^```yaml\n(providers:.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if f"\n  {name}:\n" in block]
    return str(found)


def options_of(folder: Path, text: str) -> Options:
    """What the command line says with this configuration."""
    path = folder / "batchgen.yaml"
    path.write_text(text)
    path.chmod(0o644)
    keys = re.findall(r"key_env: (\w+)", text)
    return Options(load_config(path, folder), dict.fromkeys(keys, KEY), output=folder / "output")


def manifest_of(folder: Path, provider: str, model: str, request: dict[str, JsonValue]) -> Path:
    """A job of one image."""
    path = folder / "job.yaml"
    told = {
        "batchgen": 1,
        "provider": provider,
        "model": model,
        "request": request,
        "prompts": [{"id": "a", "prompt": "A"}],
    }
    path.write_text(json.dumps(told))
    return path


def quiet(_event: Event) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("provider", "model", "request_", "path", "header", "fields"),
    [
        (
            "gateway", "team-images", {"size": "1024x1024"}, "/v1/images/generations", ("Authorization", f"Bearer {KEY}"),
            {"model": "team-images", "prompt": "A", "n": 1, "size": "1024x1024"},
        ),
        (
            "azure", "my-deployment", {"quality": "low"},
            "/openai/deployments/my-deployment/images/generations?api-version=2025-04-01-preview", ("api-key", KEY),
            {"model": "my-deployment", "prompt": "A", "n": 1, "quality": "low"},
        ),
        (
            "xai", "grok-imagine-image", {"aspect_ratio": "16:9"}, "/v1/images/generations",
            ("Authorization", f"Bearer {KEY}"),
            {"model": "grok-imagine-image", "prompt": "A", "n": 1, "aspect_ratio": "16:9", "response_format": "b64_json"},
        ),
        (
            "siliconflow", "Qwen/Qwen-Image", {"size": "1664x928", "seed": 7}, "/v1/images/generations",
            ("Authorization", f"Bearer {KEY}"),
            {"model": "Qwen/Qwen-Image", "prompt": "A", "batch_size": 1, "image_size": "1664x928", "seed": 7},
        ),
    ],
)  # fmt: skip
async def test_each_provider_gets_what_it_understands(
    tmp_path: Path,
    provider: str,
    model: str,
    request_: dict[str, JsonValue],
    path: str,
    header: tuple[str, str],
    fields: dict[str, JsonValue],
) -> None:
    """Path, query, header and names of fields are the provider's, and the image is stored."""
    answer: dict[str, Any] = {"images": [{"url": "TO BE SET"}], "seed": 7}

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(body=png("a"), content_type="image/png")
        answer["images"][0]["url"] = f"http://{request.host}/a.png"
        return web.json_response(answer)

    async with serving(handle) as api:
        text = example(provider)
        base_url = re.findall(r"base_url: (\S+)", text)[0]
        root = api.base_url.removesuffix("/v1")
        options = options_of(tmp_path, text.replace(base_url, root + urlsplit(base_url).path))
        summary = await run_job(manifest_of(tmp_path, provider, model, request_), options, quiet, Stop())
    assert (1, None) == (summary.stored, summary.stopped_by)
    request, body = api.requests[0], api.bodies[0]
    assert path == request.path_qs
    assert header[1] == request.headers[header[0]]
    assert fields == json.loads(body)
    assert {"Authorization", "api-key"} & set(request.headers) == {header[0]}


@pytest.mark.parametrize(
    ("provider", "model", "request_", "words"),
    [
        (
            "xai",
            "grok-imagine-image",
            {"size": "1024x1024"},
            "xai does not take size (it takes aspect_ratio, resolution",
        ),
        ("xai", "grok-imagine-image", {"resolution": "4k"}, "4k"),
        ("siliconflow", "Qwen/Qwen-Image", {"size": "1024x1024"}, "the nearest is"),
        ("siliconflow", "Qwen/Qwen-Image", {"quality": "low"}, "does not take quality"),
    ],
)
async def test_what_a_provider_does_not_take_is_a_problem(
    tmp_path: Path, provider: str, model: str, request_: dict[str, JsonValue], words: str
) -> None:
    """Nothing is sent that the provider would refuse, or silently leave out."""
    with pytest.raises(ProblemsError) as caught:
        await run_job(
            manifest_of(tmp_path, provider, model, request_),
            options_of(tmp_path, example(provider)),
            quiet,
            Stop(),
        )
    assert words in str(caught.value)
