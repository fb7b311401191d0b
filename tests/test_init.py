"""`batchgen init`: what it writes works as it is, offline, and the commands that it prints work as they are pasted."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from jsonschema import Draft202012Validator

from batchgen.manifest.document import read_document
from batchgen.manifest.scalars import plain_value
from tests.support.cli import WAIT_S, Desk
from tests.support.paid import Till

pytest_plugins = ("tests.support.fixtures",)

MADE = 8
"""Pictures of the starter job: two boats, three mugs, a row of the table each."""
WRITTEN = ["batchgen.yaml", "my-first-job.yaml", "products.csv", "schemas"]


def test_the_printed_commands_work_as_pasted(desk: Desk, till: Till) -> None:
    """From checking to pictures without a key, in a folder whose name needs quotes."""
    del desk.environ["COMETAPI_KEY"]
    done = desk.do("init", "my jobs")
    assert 0 == done.code, done.err
    folder = desk.folder / "my jobs"
    assert WRITTEN == sorted(path.name for path in folder.iterdir())

    script = done.out.partition("What to do next:\n")[2]
    pasted = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=desk.folder,
        env=desk.environ,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert (0, 4) == (pasted.returncode, len(script.splitlines())), pasted.stderr
    assert "no problems" in pasted.stdout
    assert MADE == len(list((folder / "output/my-first-job/images").glob("*.png")))
    assert [] == till.requests


def test_editors_find_the_schemas_beside_the_files(desk: Desk) -> None:
    """Each file names its schema by a relative path, keeps it, and needs no network for it."""
    assert 0 == desk.do("init").code

    for name in ("my-first-job.yaml", "batchgen.yaml"):
        path = desk.folder / name
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
        assert named
        schema = json.loads((path.parent / named[1]).read_text())
        root = read_document(path).root
        assert root is not None
        assert [] == [error.message for error in Draft202012Validator(schema).iter_errors(plain_value(root))]


def test_nothing_is_overwritten(desk: Desk) -> None:
    """One file that is there already, and none is written."""
    (desk.folder / "products.csv").write_text("mine")

    done = desk.do("init")

    assert (2, "") == (done.code, done.out)
    assert done.err.startswith("products.csv exists already; nothing was written")
    assert ["products.csv"] == [path.name for path in desk.folder.iterdir()]
    assert "mine" == (desk.folder / "products.csv").read_text()


def test_every_line_of_the_starter_is_explained(desk: Desk) -> None:
    """Who knows no YAML finds a note beside or above everything but the prompts' own words."""
    desk.do("init")
    lines = (desk.folder / "my-first-job.yaml").read_text().splitlines()

    plain = [line.strip() for line in lines if line.strip() and "#" not in line]

    allowed = re.compile(r"prompt: |color: |surface: |- \{color")
    assert [] == [line for line in plain if not allowed.match(line)]


def test_a_folder_that_cannot_be_made(desk: Desk) -> None:
    """It is said in words."""
    (desk.folder / "file").write_text("")

    done = desk.do("init", str(Path("file") / "inside"))

    assert 2 == done.code
    assert "Traceback" not in done.err
