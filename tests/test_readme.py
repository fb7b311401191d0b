"""The README is true: its help text is the program's, its manifest is accepted, its links lead somewhere."""

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

from batchgen.catalogue.catalogue import Catalogue
from batchgen.cli.status import status_json
from batchgen.core.records import AttemptView, Totals
from batchgen.core.summary import RunSummary
from batchgen.core.types import AttemptState, Task
from batchgen.core.verdict import Verdict
from batchgen.manifest.load import Setting, load_manifest
from batchgen.providers.settings import BUILT_IN
from batchgen.reports.status import JobStatus
from batchgen.reports.tally import Tally
from tests.reports.samples import view

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def test_the_help_text_is_the_programs() -> None:
    """What the README prints as help is what `batchgen --help` prints."""
    command = [sys.executable, "-m", "batchgen", "--help"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env={"COLUMNS": "80"}).stdout

    assert printed in blocks(README)


def test_every_field_of_the_json_is_explained() -> None:
    """What a machine reads of a run, a status or a verification stands in operations.md under its name."""
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    section = page[page.index("## For machines") : page.index("## Disks")]
    status = JobStatus("spring", "spring.yaml", "output/spring", Tally(), Totals())
    objects = [
        RunSummary("spring", "r1").as_json(),
        status_json(status),
        view("boat--01").as_json(),
        AttemptView(
            "a1", "boat--01", 1, AttemptState.SENT, None, None, None, None, "", None, None, False
        ).as_json(),
        Verdict("spring", repair=False).as_json(),
    ]

    assert [] == [name for told in objects for name in told if f"`{name}`" not in section]


def test_every_link_leads_somewhere() -> None:
    """Links of the README and the docs to files of the project name files that exist."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_jobs_that_ship_are_accepted() -> None:
    """The manifests in jobs/ have no problem, not even a warning."""
    setting = Setting(Catalogue.builtin(), BUILT_IN, date(2026, 11, 23))
    for path in sorted((ROOT / "jobs").glob("*.yaml")):
        manifest = load_manifest(path, setting)
        assert [] == [*manifest.problems, *(item for item in manifest.expand() if not isinstance(item, Task))]
