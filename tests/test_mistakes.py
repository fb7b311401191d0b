"""What is wrong with a manifest, a key or a configuration is said at once, at its place, before anything is sent."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from tests.support.cli import Desk, Done, ended, pick, together, until
from tests.support.paid import REFUSED, Rule, Till

pytest_plugins = ("tests.support.fixtures",)

BROKEN = """\
batchgen: 1
job: job
model: gpt-image-2
colour: blue
request:
  size: 1920x1080
  quality: superb
limits:
  concurrency: many
  finish_by: 06:30
prompts:
  - id: boat
    prompt: A {colour} boat.
  - id: BOAT
    prompt: Another boat.
  - id: 012
    prompt: ""
  - id: mug
    id: cup
    prompt: A mug.
    vary: {size: [small]}
"""
PLACES = [
    ("4:1", "colour"),
    ("6:9", "1920x1080"),
    ("7:12", "superb"),
    ("9:16", "concurrency"),
    ("10:14", "06:30"),
    ("13:13", "colour"),
    ("14:9", "BOAT"),
    ("16:9", "012"),
    ("17:13", "prompt"),
    ("19:5", "id"),
    ("21:12", "size"),
]


def test_all_mistakes_at_once_each_at_its_place(desk: Desk) -> None:
    """Every verb says all problems as `FILE:LINE:COLUMN: what`, exits 2, makes no folder and sends nothing."""
    together(partial(_mistaken, desk.beside(verb), verb) for verb in ("validate", "plan", "run", "retry"))


def _mistaken(desk: Desk, verb: str) -> None:
    (desk.folder / "job.yaml").write_text(BROKEN)

    done = desk.do(verb, "job.yaml")

    assert 2 == done.code
    lines = (done.out if verb == "validate" else done.err).splitlines()
    said = [re.fullmatch(r"job\.yaml:(\d+:\d+): (.+)", line) for line in lines]
    found = [(match[1], match[2]) for match in said if match]
    assert len(lines) == len(found)
    for place, word in PLACES:
        assert any(place == where and word in what for where, what in found), (place, lines)
    assert ["job.yaml"] == [path.name for path in desk.folder.iterdir()]
    assert [] == desk.till.requests


def test_validate_as_json(desk: Desk) -> None:
    """`validate --json` prints one object a manifest; one that is not there hides no other."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}], name="good.yaml")
    (desk.folder / "bad.yaml").write_text("batchgen: 1\nmodel: gpt-image-2\nprompts: []\nfoo: 1\n")

    done = desk.do("validate", "gone.yaml", "good.yaml", "bad.yaml", "--json")

    assert 2 == done.code
    assert "gone.yaml" in done.err
    assert ["good.yaml", "bad.yaml"] == [line["manifest"] for line in done.lines]
    assert [] == done.lines[0]["problems"]
    assert {"file", "line", "column", "message", "warning"} == done.lines[1]["problems"][0].keys()


def test_a_broken_manifest_stops_only_itself(desk: Desk, till: Till) -> None:
    """Of several manifests each has its JSON line, the broken one its problems, and the worst exit code counts."""
    (desk.folder / "bad.yaml").write_text(BROKEN)
    desk.manifest([{"id": "boat", "prompt": "A boat."}], job="one", name="one.yaml")
    desk.manifest([{"id": "boat", "prompt": "A refused boat."}], job="two", name="two.yaml")
    till.script(Rule("refused", "error", status=400, error=REFUSED))

    done = desk.do("run", "two.yaml", "bad.yaml", "one.yaml", "--json")

    assert 2 == done.code
    assert [("two", 0, 1), ("one", 1, 0)] == [pick(line, "job", "stored", "failed") for line in done.lines]
    assert "bad.yaml:4:1" in done.err
    assert 1 == desk.do("run", "one.yaml", "two.yaml").code


def test_the_worst_of_several_codes(desk: Desk, till: Till) -> None:
    """A stop with work left (3) is worse than a failure (1), whatever their order."""
    till.script(
        Rule("refused", "error", status=400, error=REFUSED),
        Rule("later", "error", status=429, headers={"Retry-After": "3600"}),
    )
    for word in ("refused", "later", "fine"):
        desk.manifest([{"id": "boat", "prompt": f"A {word} boat."}], job=word, name=f"{word}.yaml")

    done = desk.do("run", "later.yaml", "refused.yaml", "fine.yaml", "--json")

    assert (3, ["later", "refused", "fine"]) == (done.code, [line["job"] for line in done.lines])


def test_a_missing_key_is_named_before_anything_happens(desk: Desk, till: Till) -> None:
    """Without a key: exit 2, naming its variables; no folder is made. `plan` and `validate` need none."""
    del desk.environ["COMETAPI_KEY"]
    desk.manifest([{"id": "boat", "prompt": "A boat."}])

    done = desk.do("run", "job.yaml")

    assert 2 == done.code
    assert "COMETAPI_KEY or COMETAPI_API_KEY" in done.err
    assert not (desk.folder / "output").exists()
    assert {"new": 1} == desk.plan()
    assert 0 == desk.do("validate", "job.yaml").code

    desk.environ["COMETAPI_API_KEY"] = till.key
    assert 1 == desk.run()["stored"]


def test_a_wrong_address_is_refused(desk: Desk) -> None:
    """An address that is none, that would send the key in the clear, or that holds a password: exit 2, not repeated."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    urls = ("ftp://127.0.0.1/v1", "http://example.com/v1", "https://me:secret@127.0.0.1/v1")

    for done in together(partial(desk.do, "run", "job.yaml", "--base-url", url) for url in urls):
        assert 2 == done.code
        assert "--base-url" in done.err
        assert "secret" not in done.err
    assert not (desk.folder / "output").exists()


WRONG = (
    ("run",),
    ("run", "job.yaml", "--finish-by", "tonight"),
    ("run", "job.yaml", "--finish-by", "9999-12-31T23:59:59-14:00"),
    ("run", "job.yaml", "--finish-by", "0001-01-01T00:00:00+14:00"),
    ("run", "job.yaml", "--images-per-minute", "1e-320"),
    ("run", "job.yaml", "--images-per-minute", "1e308"),
    ("run", "job.yaml", "--engine", "cluster"),
    ("run", "job.yaml", "--provider", "nobody"),
    ("retry", "job.yaml", "--class", "sad"),
    ("status", "job.yaml"),
    ("models", "gpt-imag-2"),
    ("run", "gone.yaml"),
)


def test_wrong_usage_is_2(desk: Desk, till: Till) -> None:
    """What cannot be understood is exit 2 with words, without a traceback, and nothing is sent."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])

    for words, done in zip(WRONG, together(partial(desk.do, *words) for words in WRONG), strict=True):
        assert (2, "") == (done.code, done.out), words
        assert done.err.strip(), words
        assert "Traceback" not in done.err, words
    assert [] == till.requests
    assert not (desk.folder / "output").exists()


def test_a_configuration_that_others_may_write_is_refused(desk: Desk, till: Till) -> None:
    """`batchgen.yaml` decides where keys are sent: written by others, it stops everything."""
    config = desk.folder / "batchgen.yaml"
    config.write_text("output: elsewhere\n")
    config.chmod(0o666)
    desk.manifest([{"id": "boat", "prompt": "A boat."}])

    done = desk.do("run", "job.yaml")

    assert 2 == done.code
    assert "chmod go-w" in done.err
    assert [] == till.requests


NO_NUMBERS = (
    *(
        (flag, value)
        for flag in ("--images-per-minute", "--budget-usd")
        for value in ("nan", "inf", "-inf", "1e999")
    ),
    ("--allow-unpriced", "nan"),
    ("--allow-unpriced", "inf"),
    *(("--grace", value) for value in ("-5", "nan", "inf", "soon", "1.5", "", "9" * 400)),
)


def test_numbers_that_bound_nothing_are_refused(desk: Desk) -> None:
    """`nan`, `inf`, a negative grace or junk in a flag: exit 2, naming the flag in words; nothing is made."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    cases = [("plan", "job.yaml", *words) for words in NO_NUMBERS] + [("sandbox", "--error-share", "nan")]
    cases += [("sandbox", "--fail", fault) for fault in ("cut", "cut=", "cut=nan", "cut=2", "cut=many")]

    for words, done in zip(cases, together(partial(desk.do, *words) for words in cases), strict=True):
        assert (2, "") == (done.code, done.out), words
        assert f"'{words[-2]}'" in done.err, words
        assert "Traceback" not in done.err, words
    for grace in ("0", "600", "10m"):
        assert 0 == desk.do("plan", "job.yaml", "--grace", grace).code


def test_a_lock_that_cannot_be_opened_stops_in_words(desk: Desk, till: Till) -> None:
    """A folder in place of the lock: `run` and `report` exit 3 with advice, and the JSON says how the job stands."""
    till.script(Rule("refused", "error", status=400, error=REFUSED))
    desk.manifest([{"id": "boat", "prompt": "A boat."}, {"id": "mug", "prompt": "A refused mug."}])
    cost_usd = desk.run(expect=1)["job_cost_usd"]
    (desk.job / ".lock").unlink()
    (desk.job / ".lock").mkdir()

    run, report = desk.do("run", "job.yaml", "--json"), desk.do("report", "job.yaml")

    for done in (run, report):
        assert 3 == done.code
        assert "output/job/.lock: the job's lock cannot be taken (Is a directory)" in done.err
        assert "Traceback" not in done.err
    keys = ("stopped_by", "tasks", "stored", "kept", "failed", "held", "pending")
    assert ("storage", 2, 0, 1, 1, 0, 0) == pick(run.last, *keys)
    assert cost_usd > 0
    assert cost_usd == run.last["job_cost_usd"]
    assert 2 == len(till.requests)


def test_an_output_folder_that_cannot_be_read_is_said(desk: Desk) -> None:
    """`status` on a file, or on a place that the system refuses, is exit 2 in words; no folder at all is no job yet."""
    (desk.folder / "output").write_text("not a folder")
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    too_long = "x" * 300

    for words in ((), ("--output", too_long), ("job.yaml", "--output", too_long)):
        done = desk.do("status", *words)
        assert (2, "") == (done.code, done.out), words
        assert "cannot be read" in done.err, words
        assert "Traceback" not in done.err, words
    nowhere = desk.do("status", "--output", "none")
    assert (0, "") == (nowhere.code, nowhere.out)
    assert "none: no job has run here yet (name another folder with --output)\n" == nowhere.err


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage"])
def test_a_ledger_that_cannot_be_trusted_buys_nothing(desk: Desk, till: Till, damage: str) -> None:
    """With images there and no readable ledger a run stops with exit 3, `storage`, instead of buying all again."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}], job="other")
    desk.run()
    ledger = desk.folder / "output" / "other" / "ledger.sqlite"
    if damage == "gone":
        ledger.unlink()
    else:
        ledger.write_bytes(b"garbage" * 1000 if damage == "garbage" else b"")

    done = desk.do("run", "job.yaml", "--json")

    assert (3, "storage", "other") == (done.code, *pick(done.last, "stopped_by", "job"))
    assert str(ledger.relative_to(desk.folder)) in done.err
    assert "Traceback" not in done.err
    assert 1 == len(till.requests)


def test_the_key_is_nowhere(desk: Desk, till: Till) -> None:
    """Through every kind of failure the key is in no file, not even in freed pages of the ledger, and in no output."""
    echo = {"message": f"Incorrect API key provided: {till.key}.", "code": f"bad_{till.key}"}
    till.script(
        Rule("echo", "error", 1, status=500, error=echo),
        Rule("cut", "cut", 1),
        Rule("link", "url"),
        Rule("garbage", "garbage"),
        Rule("lost", "never", 1),
        Rule("auth", "error", 1, status=401, error=echo | {"code": "invalid_api_key"}),
    )
    words = ("echo", "cut", "link", "garbage", "fine", "lost")
    prompts = [{"id": word, "prompt": f"A {word} boat."} for word in words]
    desk.manifest(prompts)
    with ended(desk.start("run", "job.yaml", "--verbose")) as running:
        until(lambda: len(till.requests) == 8, running)
        running.process.kill()
        said = [running.done()]
    before = _searched(desk.folder, till.key.encode())
    desk.manifest([*prompts, {"id": "auth", "prompt": "An auth boat."}], limits={"concurrency": 1})

    said += [desk.do("run", "job.yaml", "--json", "--verbose")]
    assert 3 == said[-1].code
    for words_ in (
        ("status", "job.yaml", "--attempts"),
        ("status", "job.yaml", "--failed"),
        ("run", "job.yaml"),
    ):
        said.append(desk.do(*words_))

    assert before > 5
    assert _searched(desk.folder, till.key.encode()) > before
    assert not [done for done in said if till.key in done.out + done.err]
    assert any("Incorrect API key provided" in done.err for done in said)


def _searched(folder: Path, key: bytes) -> int:
    """Look for a key in every file; returns how many there are."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [] == [path for path in files if key in path.read_bytes()]
    return len(files)


def test_links_leave_no_trace_once_they_are_fetched(desk: Desk, till: Till) -> None:
    """A signed link is a secret until it expires: after its download it is in no file, in no freed page, in no output."""
    till.script(Rule("", "url"))
    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 5}])

    done: Done = desk.do("run", "job.yaml", "--verbose")

    assert 0 == done.code
    assert 5 == len(till.downloads)
    link = f"/link/{till.key[::-1]}"
    assert link not in done.out + done.err
    assert _searched(desk.job, link.encode()) > 10


def test_a_manifests_mistakes_are_said_before_a_missing_key(desk: Desk, till: Till) -> None:
    """Who writes manifests may have no key: the mistake is what they can mend."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}], request={"qualty": "low"})
    del desk.environ["COMETAPI_KEY"]

    done = desk.do("run", "job.yaml")

    assert 2 == done.code
    assert "qualty" in done.err
    assert "COMETAPI_KEY" not in done.err
    assert not (desk.folder / "output").exists()
    assert [] == till.requests


def test_a_job_that_never_ran_is_begun_where_it_was_looked_for(desk: Desk) -> None:
    """Exit 2 with the command to type: with the flags that were given, fit for a shell; a password is not repeated."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}], name="a job.yaml")
    (desk.folder / "own.yaml").touch()
    flags = ("--output", "else where", "--config", "own.yaml", "--provider", "openai")
    address = ("--base-url", "https://images.example.com/v1")
    told = "batchgen run 'a job.yaml' --output 'else where' --config own.yaml --provider openai "
    for verb in ("verify", "status", "report"):
        done = desk.do(verb, "a job.yaml", *flags, *address)
        assert (2, f"a job.yaml: this job has not run yet; `{told}{' '.join(address)}` begins it\n") == (
            done.code,
            done.err,
        )
        done = desk.do(verb, "a job.yaml", "--base-url", "https://me:secret@images.example.com/v1")
        assert 2 == done.code
        assert "secret" not in done.err
