"""The manifests that ship with batchgen work as they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from batchgen.config.file import load_config
from batchgen.manifest.load import load_manifest
from batchgen.manifest.starter import CONFIG, MANIFEST, TABLE
from tests.manifest.reading import SETTING, read, tasks_of

JOBS = Path(__file__).parents[2] / "jobs"


def test_welcome() -> None:
    """The demonstration makes a dozen free images of several sizes and formats on the sandbox."""
    manifest = load_manifest(JOBS / "welcome.yaml", SETTING)
    tasks = tasks_of(manifest)
    assert ("welcome", "sandbox", 12) == (manifest.job, manifest.provider, len(tasks))
    assert 0 == sum(task.price.expected_usd or 0 for task in tasks)
    assert {"png", "webp", "jpeg"} == {str(task.request.parameters["output_format"]) for task in tasks}
    assert 4 == len(Counter(task.request.parameters["size"] for task in tasks))


def test_first_request() -> None:
    """The safest first request is one small image with nothing optional, for a cent, at the default provider."""
    manifest = load_manifest(JOBS / "first-request.yaml", SETTING)
    (task,) = tasks_of(manifest)
    assert "cometapi" == manifest.provider
    assert {"size": "1024x1024", "quality": "low"} == task.request.parameters
    assert {} == task.request.extra
    assert "gpt-image-2" == task.request.model
    assert 0 < (task.price.bound_usd or 0) <= (manifest.limits.budget_usd or 0) <= 0.05


def test_starter(tmp_path: Path) -> None:
    """What `init` writes is a manifest without problems, free of charge, and a configuration without problems."""
    (tmp_path / "products.csv").write_text(TABLE)
    manifest = read(tmp_path, MANIFEST)
    assert 8 == len(tasks_of(manifest))
    assert "sandbox" == manifest.provider
    path = tmp_path / "batchgen.yaml"
    path.write_text(CONFIG)
    path.chmod(0o644)
    config = load_config(path, tmp_path)
    assert 60 == config.providers["cometapi"].images_per_minute
