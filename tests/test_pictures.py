"""Pictures, streams and drawings from a manifest to the disk, at the sandbox over real HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.config.values import Config
from batchgen.core.events import Event
from batchgen.core.summary import RunSummary
from batchgen.job import Options
from batchgen.pool.stopping import Stop
from batchgen.run import plan_job, run_job
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.server import serve
from batchgen.sandbox.service import Sandbox

pytestmark = pytest.mark.anyio

STREAMED = {"stream": True, "partial_images": 2}


def quiet(_event: Event) -> None:
    """Nobody listens."""


@dataclass
class Studio:
    """A folder with a manifest, and the sandbox that paints for it."""

    folder: Path
    sandbox: Sandbox
    options: Options = field(init=False)

    def __post_init__(self) -> None:
        self.options = Options(
            Config(), {"COMETAPI_KEY": "any"}, output=self.folder / "output", base_url=self.sandbox.base_url
        )

    def picture(self, name: str, color: str, mode: str = "RGB") -> None:
        """A picture beside the manifest."""
        Image.new(mode, (64, 48), color).save(self.folder / name)

    def manifest(self, *prompts: dict[str, Any], **keys: Any) -> Path:  # noqa: ANN401 - a manifest holds anything
        """Write the job's manifest."""
        request = {"size": "1024x1024", "quality": "low", **keys.pop("request", {})}
        told = {"batchgen": 1, "job": "job", "model": "gpt-image-2.6-flare", "request": request, **keys}
        path = self.folder / "job.yaml"
        path.write_text(json.dumps({**told, "prompts": [{"prompt": "A mug.", **each} for each in prompts]}))
        return path

    async def run(self, path: Path) -> RunSummary:
        """Run the job as it stands."""
        return await run_job(path, self.options, quiet, Stop())

    def files(self, folder: str) -> list[str]:
        """What lies in a folder of the job's, without sidecars."""
        found = sorted((self.folder / "output" / "job" / folder).glob("*"))
        return [file.name for file in found if file.suffix != ".json"]

    def sidecar(self, task_id: str) -> dict[str, Any]:
        """The sidecar of an image."""
        file = self.folder / "output" / "job" / "images" / f"{task_id}.json"
        content: dict[str, Any] = json.loads(file.read_text())
        return content


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    """A studio without any manifest yet."""
    async with serve(Behaviour()) as sandbox:
        yield Studio(tmp_path, sandbox)


async def test_an_image_is_made_from_pictures_once(studio: Studio) -> None:
    """References and mask arrive, the sidecar names them, a second run keeps the image, other content makes it anew."""
    studio.picture("mug.png", "teal")
    studio.picture("mask.png", "#00000000", "RGBA")
    path = studio.manifest({"id": "mug", "references": ["mug.png"], "mask": "mask.png"})
    assert 1 == (await studio.run(path)).stored
    request = studio.sidecar("mug--01")["request"]
    content = (studio.folder / "mug.png").read_bytes()
    assert [("mug.png", hashlib.sha256(content).hexdigest())] == [
        (picture["file"], picture["sha256"]) for picture in request["references"]
    ]
    assert "mask.png" == request["mask"]["file"]
    usage = studio.sidecar("mug--01")["usage"]
    assert usage["image_in"] > 0

    (studio.folder / "mug.png").rename(studio.folder / "cup.png")
    path = studio.manifest({"id": "mug", "references": ["cup.png"], "mask": "mask.png"})
    assert (0, 1) == ((again := await studio.run(path)).stored, again.kept)
    studio.picture("cup.png", "red")
    assert (1, 0) == ((anew := await studio.run(path)).stored, anew.kept)
    assert 1 == len(studio.files("superseded"))
    assert 2 == studio.sandbox.billed


async def test_streaming_can_be_switched_on_and_off(studio: Studio) -> None:
    """How an answer travels makes nothing again: a job that is streamed from today on keeps its images."""
    await studio.run(studio.manifest({"id": "mug"}))
    plan = await plan_job(studio.manifest({"id": "mug"}, request=STREAMED), studio.options)
    assert (0, 1) == (plan.to_send, plan.as_json()["kept"])
    assert 1 == (await studio.run(studio.manifest({"id": "mug"}, {"id": "cup"}, request=STREAMED))).kept
    assert 0 == (await studio.run(studio.manifest({"id": "mug"}, {"id": "cup"}))).stored
    assert 2 == studio.sandbox.billed


@pytest.mark.parametrize("wanted", [True, False, None])
async def test_partial_images_are_kept_only_where_they_are_asked_for(
    studio: Studio, *, wanted: bool | None
) -> None:
    """With `report: {partials: true}` each lies in `partials/`; otherwise there is not even the folder."""
    report = {} if wanted is None else {"report": {"partials": wanted}}
    summary = await studio.run(studio.manifest({"id": "mug"}, request=STREAMED, **report))
    assert 1 == summary.stored
    assert ["mug--01.png"] == studio.files("images")
    assert (["mug--01.0.png", "mug--01.1.png"] if wanted else []) == studio.files("partials")
    assert bool(wanted) == (studio.folder / "output" / "job" / "partials").exists()


async def test_a_drawing_is_stored_where_it_was_asked_for(studio: Studio) -> None:
    """`output_format: svg` brings an SVG file of its own pixels, beside images that are none."""
    svg = {"id": "fox", "request": {"output_format": "svg"}}
    assert 2 == (await studio.run(studio.manifest(svg, {"id": "mug"}))).stored
    assert ["fox--01.svg", "mug--01.png"] == studio.files("images")
    assert ("image/svg+xml", 1024) == tuple(studio.sidecar("fox--01")[name] for name in ("media_type", "width"))
