"""`verify` and its repair: whatever happens to ledger or files, no paid image is lost and none is bought again in silence."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from batchgen.system.clock import moment_or_blank
from tests.support.cli import Desk, ended, pick, together, until
from tests.support.paid import Rule, Till, refuse

pytest_plugins = ("tests.support.fixtures",)

BOATS = {"id": "boat", "prompt": "Boat {n}.", "vary": {"n": ["1", "2", "3", "4"]}}
RED = {"id": "boat", "prompt": "Red boat {n}.", "vary": {"n": ["1", "2", "3", "4"]}}


def bought(desk: Desk) -> dict[str, bytes]:
    """Four boats, paid for; their bytes."""
    desk.manifest([BOATS])
    desk.run()
    return desk.images()


def contents(desk: Desk) -> dict[Path, bytes]:
    """Every file of the job but its lock, which says who held it last."""
    files = (path for path in desk.job.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.read_bytes() for path in files}


def drop_ledger(desk: Desk) -> None:
    """Remove the ledger with what SQLite puts beside it."""
    for path in desk.job.glob("ledger.sqlite*"):
        path.unlink()


def verify(desk: Desk, *words: str, expect: int = 0) -> dict[str, Any]:
    """`batchgen verify job.yaml --json`; returns its findings without the empty ones."""
    told = desk.json("verify", "job.yaml", *words, expect=expect)
    return {name: value for name, value in told.items() if value and name not in {"job", "counts", "repair"}}


def test_a_sound_job_is_called_sound(desk: Desk) -> None:
    """Every byte is read, nothing is changed, and the exit code is 0; a job that never ran is exit 2."""
    desk.manifest([BOATS])
    assert 2 == desk.do("verify", "job.yaml").code
    bought(desk)
    before = contents(desk)
    assert {"sound": True, "images": 4} == verify(desk)
    assert before == contents(desk)
    done = desk.do("verify", "job.yaml")
    assert (0, "job: 4 images read to the last byte, all as they were stored\n") == (done.code, done.out)


def test_lost_images_are_found_by_their_bytes_and_bought_only_when_asked(desk: Desk, till: Till) -> None:
    """A bit that turned under an unchanged size and date is found; repair puts the tasks back, the next run buys."""
    bought(desk)
    rotten, gone = desk.job / "images/boat--1--01.png", desk.job / "images/boat--2--01.png"
    times, data = rotten.stat(), bytearray(rotten.read_bytes())
    data[40] ^= 1
    rotten.write_bytes(data)
    os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
    gone.unlink()
    findings = {
        "missing": ["images/boat--2--01.png"],
        "altered": ["images/boat--1--01.png"],
        "images": 4,
    }
    assert findings == verify(desk, expect=1)
    assert findings == verify(desk, expect=1)
    assert (1, 0) == pick(desk.run(expect=1), "failed", "attempts")  # only the one that a run sees at a glance

    assert findings | {"requeued": ["boat--1--01", "boat--2--01"]} == verify(desk, "--repair", expect=1)

    assert {"pending"} == {desk.tasks()[task]["state"] for task in ("boat--1--01", "boat--2--01")}
    assert 4 == len(till.requests)
    assert (2, 2) == pick(desk.run(), "stored", "kept")
    assert 6 == len(till.requests)
    assert {"sound": True} == {key: value for key, value in verify(desk).items() if key != "images"}
    assert bytes(data) in {path.read_bytes() for path in (desk.job / "superseded").glob("*.png")}


def test_files_that_come_back_are_not_bought(desk: Desk, till: Till) -> None:
    """What repair had put back to pending is kept again once its file is restored from a backup."""
    images = bought(desk)
    path = desk.job / "images/boat--3--01.png"
    path.unlink()
    verify(desk, "--repair", expect=1)
    path.write_bytes(images["boat--3--01"])
    assert (4, 0) == pick(desk.run(), "kept", "attempts")
    assert 4 == len(till.requests)
    assert images == desk.images()


def test_a_lost_ledger_is_rebuilt_from_the_sidecars(desk: Desk, till: Till) -> None:
    """Gone beside its images: a run refuses with exit 3, repair makes a new one, nothing is bought, the bill stays."""
    bought(desk)
    desk.manifest([RED])
    desk.run()
    spent, images = desk.run()["job_cost_usd"], desk.images()
    drop_ledger(desk)

    assert "is gone or empty" in desk.do("status", "job.yaml").err
    assert "Put the ledger back" in desk.do("run", "job.yaml").err
    refused = desk.run(expect=3)
    assert ("storage", 0) == pick(refused, "stopped_by", "attempts")
    assert 1 == desk.do("verify", "job.yaml").code
    told = verify(desk, "--repair")

    assert (True, 8) == pick(told, "sound", "images")
    assert {"kept": 4} == desk.plan()
    assert {"stored"} == {task["state"] for task in desk.tasks().values()}
    assert (4, 0, spent) == pick(desk.run(), "kept", "attempts", "job_cost_usd")
    desk.manifest([BOATS])
    assert (4, 0) == pick(desk.run(), "kept", "attempts")  # changed back: the superseded ones are known again
    assert 8 == len(till.requests)
    assert images != desk.images()


def test_a_damaged_ledger_is_kept_and_what_it_tells_is_taken_over(desk: Desk, till: Till) -> None:
    """Failures that no sidecar knows survive the damage; the damaged file itself stays beside the new one."""
    till.script(refuse("Mug"))
    desk.manifest([BOATS, {"id": "mug", "prompt": "Mug."}])
    desk.run(expect=1)
    path = desk.job / "ledger.sqlite"
    damage(path, "images")
    before = path.read_bytes()

    assert "storage" == desk.run(expect=3)["stopped_by"]
    assert 1 == desk.do("verify", "job.yaml").code
    told = verify(desk, "--repair")

    assert {"ledger.sqlite", "ledger.damaged-1.sqlite"} == {path.name for path in desk.job.glob("ledger*")}
    assert before == (desk.job / str(told["kept_aside"])).read_bytes()
    assert {"kept": 4, "failed": 1} == desk.plan()
    assert "refused" == desk.tasks()["mug--01"]["class"]
    assert (4, 1, 0) == pick(desk.run(expect=1), "kept", "failed", "attempts")
    assert 5 == len(till.requests)


def test_a_repair_does_not_advise_itself(desk: Desk) -> None:
    """After it, the screen says what was wrong, in one line and without the way out that was just taken."""
    bought(desk)
    drop_ledger(desk)
    done = desk.do("verify", "job.yaml", "--repair")
    told = " ".join(done.out.split())
    assert "buy them all again a new one was made" in told
    assert "--repair" not in told


def test_a_journal_that_was_put_aside_is_read_and_kept(desk: Desk, till: Till) -> None:
    """What a killed run committed last is in the journal alone; reading it leaves no file behind."""
    till.script(refuse("Mug"))
    desk.manifest([BOATS, {"id": "mug", "prompt": "Mug."}])
    desk.run(expect=1)
    path, live = desk.job / "ledger.sqlite", desk.folder / "live.sqlite"
    with sqlite3.connect(path) as open_still:
        open_still.execute("UPDATE attempts SET reason = 'in the journal' WHERE task_id = 'mug--01'")
        open_still.execute("UPDATE attempts SET class = 'zzz' WHERE task_id = 'boat--1--01'")
        open_still.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{live}{suffix}")
    open_still.close()
    drop_ledger(desk)
    for suffix in ("", "-wal"):
        shutil.copy(f"{live}{suffix}", f"{path}{suffix}")

    verify(desk, "--repair")

    assert ["in the journal"] == [one["reason"] for one in desk.attempts() if one["task_id"] == "mug--01"]
    assert "ledger.damaged-1.sqlite-shm" not in {path.name for path in desk.job.iterdir()}


def damage(path: Path, table: str) -> None:
    """Break the page on which a table begins."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : (root - 1) * size + 64] = b"\xff" * 64
    path.write_bytes(data)


def test_a_file_that_is_no_ledger_is_put_aside(desk: Desk, till: Till) -> None:
    """Junk in the ledger's place: exit 3 with the advice, and repair starts from the images."""
    bought(desk)
    drop_ledger(desk)
    (desk.job / "ledger.sqlite").write_bytes(b"junk, and long enough for a header" * 40)
    done = desk.do("run", "job.yaml")
    assert 3 == done.code
    assert "verify MANIFEST --repair" in done.err
    assert "ledger.damaged-1.sqlite" == verify(desk, "--repair")["kept_aside"]
    assert (4, 0) == pick(desk.run(), "kept", "attempts")
    assert 4 == len(till.requests)


def test_a_newer_ledger_is_left_alone(desk: Desk) -> None:
    """No repair of a file that a later version wrote: upgrading is the repair."""
    bought(desk)
    with sqlite3.connect(desk.job / "ledger.sqlite") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    before = (desk.job / "ledger.sqlite").read_bytes()
    for words in (("run", "job.yaml"), ("verify", "job.yaml", "--repair")):
        done = desk.do(*words)
        assert 3 == done.code
        assert "upgrade batchgen" in done.err
    assert before == (desk.job / "ledger.sqlite").read_bytes()


def test_a_ledger_from_a_backup_takes_in_what_came_after_it(desk: Desk, till: Till) -> None:
    """Rolled back to before images were stored, replaced and moved: the next run finds them all and buys none."""
    desk.manifest([BOATS | {"vary": {"n": ["1", "2"]}}])
    desk.run()
    shutil.copy(desk.job / "ledger.sqlite", desk.folder / "backup.sqlite")
    desk.manifest([BOATS])
    desk.run()
    desk.manifest([RED])
    desk.run()
    images, spent = desk.images(), desk.run()["job_cost_usd"]
    drop_ledger(desk)
    shutil.copy(desk.folder / "backup.sqlite", desk.job / "ledger.sqlite")

    assert 8 == desk.json("verify", "job.yaml", expect=1)["counts"]["unnoted"]  # six new ones, two moved
    assert "the images on the disk are not those that the ledger knows" in " ".join(
        desk.do("plan", "job.yaml").out.split()
    )
    done = desk.do("run", "job.yaml", "--json")

    assert (0, 4, 0, spent) == (done.code, *pick(done.last, "kept", "attempts", "job_cost_usd"))
    assert "8 paid images" in done.err
    assert images == desk.images()
    assert 8 == len(till.requests)
    assert verify(desk)["sound"]
    assert "not those that the ledger knows" not in desk.do("plan", "job.yaml").out


def test_an_image_of_a_dead_run_that_only_its_part_knows_is_taken_in(desk: Desk, till: Till) -> None:
    """Whole in the state folder, and the ledger that knew its attempt is gone: it serves its task, for nothing."""
    images = bought(desk)
    image, beside = desk.job / "images/boat--4--01.png", desk.job / "images/boat--4--01.json"
    attempt_id = json.loads(beside.read_text())["attempt_id"]
    image.rename(desk.job / f"state/{attempt_id}.part")
    beside.rename(desk.job / f"state/{attempt_id}.json")
    (desk.job / "state/stranger.part").write_bytes(b"half an im")
    drop_ledger(desk)

    verify(desk, "--repair")

    assert (4, 0) == pick(desk.run(), "kept", "attempts")
    assert images == desk.images()
    assert b"half an im" == (desk.job / "state/quarantine/stranger.part").read_bytes()
    assert 4 == len(till.requests)


def test_a_lost_sidecar_is_written_again(desk: Desk) -> None:
    """Without it the image could not be told from a stranger's: repair writes what the ledger knows."""
    bought(desk)
    beside = desk.job / "images/boat--1--01.json"
    before = json.loads(beside.read_text())
    beside.unlink()
    assert ["images/boat--1--01.png"] == verify(desk, expect=1)["without_sidecar"]
    assert verify(desk, "--repair")["sound"]
    now = json.loads(beside.read_text())
    answers_own = {"answer", "usage", "revised_prompt", "received", "rebuilt"}
    assert {key: before[key] for key in before.keys() - answers_own} == {
        key: now[key] for key in now.keys() - answers_own
    }
    assert moment_or_blank(now["received"]) >= before["received"]  # when the ledger heard of it
    drop_ledger(desk)
    verify(desk, "--repair")
    assert (4, 0) == pick(desk.run(), "kept", "attempts")


@pytest.mark.parametrize("verb", ["verify", "run"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_an_image_that_only_a_log_knows_is_taken_in(desk: Desk, till: Till, harm: str, verb: str) -> None:
    """Its sidecar is cut or gone, and the ledger too: bytes that the run's log tells of serve their task, for nothing."""
    desk.manifest([BOATS])
    desk.run("--limit", "0")
    shutil.copy(desk.job / "ledger.sqlite", desk.folder / "backup.sqlite")
    images = bought(desk)
    before = desk.sidecars()
    beside = desk.job / "images/boat--1--01.json"
    beside.write_bytes(beside.read_bytes()[:100]) if harm == "cut" else beside.unlink()
    other = desk.job / "images/boat--2--01.png"
    (desk.job / "images/boat--2--01.json").unlink()
    other.write_bytes(other.read_bytes() + b"altered")
    drop_ledger(desk)
    if verb == "verify":
        told = verify(desk, "--repair")
        assert ["images/boat--1--01.png"] == told["unnoted"][-1:]
        assert ["images/boat--2--01.png"] == told["foreign"]
    else:
        shutil.copy(desk.folder / "backup.sqlite", desk.job / "ledger.sqlite")
    summary = desk.run()

    assert (3, 1) == pick(summary, "kept", "stored")  # the altered one was bought again
    assert 5 == len(till.requests)
    assert images["boat--1--01"] == desk.images()["boat--1--01"]
    now, then = desk.sidecars()["boat--1--01"], before["boat--1--01"]
    same = (
        "task_id",
        "fingerprint",
        "sha256",
        "attempt_id",
        "request",
        "cost_usd",
        "run_id",
        "request_id",
    )
    assert pick(then, *same) == pick(now, *same)
    assert {"sound": True, "images": 4} == {key: verify(desk)[key] for key in ("sound", "images")}


def test_a_job_with_a_rate_goes_on_after_everything_was_rebuilt(desk: Desk, till: Till) -> None:
    """First the sidecars are lost, then the ledger: nobody knows when an image was asked for, and the next run goes on."""
    limits = {"images_per_minute": 6000}
    desk.manifest([BOATS], limits=limits)
    desk.run()
    for beside in (desk.job / "images").glob("*.json"):
        beside.unlink()
    assert [] == desk.json("verify", "job.yaml", expect=1)["foreign"]
    verify(desk, "--repair")
    drop_ledger(desk)
    verify(desk, "--repair")
    desk.manifest([BOATS, {"id": "mug", "prompt": "Mug."}], limits=limits)
    assert (1, 4) == pick(desk.run(), "stored", "kept")
    assert 5 == len(till.requests)


def test_a_ledger_that_forgot_a_refusal_is_not_called_sound(desk: Desk, till: Till) -> None:
    """Nothing on the disk tells of it but the run's log."""
    desk.manifest([BOATS])
    desk.run()
    shutil.copy(desk.job / "ledger.sqlite", desk.folder / "backup.sqlite")
    till.script(refuse("Mug"))
    desk.manifest([BOATS, {"id": "mug", "prompt": "Mug."}])
    desk.run(expect=1)
    drop_ledger(desk)
    shutil.copy(desk.folder / "backup.sqlite", desk.job / "ledger.sqlite")
    assert 1 == len(desk.json("verify", "job.yaml", expect=1)["forgotten"])


def test_a_backup_from_the_middle_of_a_run_buys_nothing_in_silence(desk: Desk, till: Till) -> None:
    """What ended after the backup is read from the run's log: paid in vain, refused, and lost are not new requests."""
    till.script(Rule("Wait", "hold"), refuse("Mug"), Rule("Vase", "empty"), Rule("Lamp", "never"))
    prompts = [{"id": name, "prompt": f"{name.title()}."} for name in ("wait", "mug", "vase", "lamp")]
    desk.manifest(prompts, limits={"concurrency": 1}, retry={"on_unknown": "hold"})
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) == 1, running)
        with (
            sqlite3.connect(desk.job / "ledger.sqlite") as live,
            sqlite3.connect(desk.folder / "backup") as backup,
        ):
            live.backup(backup)
        live.close()
        backup.close()
        till.script(refuse("Mug"), Rule("Vase", "empty"), Rule("Lamp", "never"))
        until(lambda: len(till.requests) == 4, running)
        running.signal(signal.SIGKILL)
        running.done()
    drop_ledger(desk)
    shutil.copy(desk.folder / "backup", desk.job / "ledger.sqlite")

    summary = desk.run(expect=1)

    assert (0, 2, 1) == pick(summary, "attempts", "failed", "held")
    assert 4 == len(till.requests)
    classes = {task: told["class"] for task, told in desk.tasks().items()}
    assert {"wait--01": None, "mug--01": "refused", "vase--01": "no_image", "lamp--01": "unknown"} == classes


def test_strangers_are_named_and_left_alone(desk: Desk) -> None:
    """What batchgen did not make is no fault of the job."""
    bought(desk)
    stranger = desk.job / "images/holiday.jpg"
    stranger.write_bytes(b"sun")
    assert {"sound": True, "images": 4, "foreign": ["images/holiday.jpg"]} == verify(desk, "--repair")
    assert b"sun" == stranger.read_bytes()


def test_a_running_job_is_not_verified(desk: Desk, till: Till) -> None:
    """Exit 4: what a run is just writing would look like damage."""
    till.script(Rule("Boat", "never", 1))
    desk.manifest([BOATS])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) >= 1, running)
        assert [4, 4] == [desk.do("verify", "job.yaml", *words).code for words in ((), ("--repair",))]
        running.signal(signal.SIGKILL)
        running.done()


def test_failures_and_doubts_survive_a_lost_ledger(desk: Desk, till: Till) -> None:
    """The runs' logs tell what no sidecar does: what was refused, paid in vain or lost is not asked for again as new."""
    till.script(refuse("Mug"), Rule("Vase", "empty"), Rule("Lamp", "cut"))
    desk.manifest(
        [BOATS, *({"id": name, "prompt": f"{name.title()}."} for name in ("mug", "vase", "lamp"))],
        retry={"on_unknown": "hold"},
    )
    before = desk.run(expect=1)
    states = {task: pick(told, "state", "class") for task, told in desk.tasks().items()}
    assert ("held", "unknown") == states["lamp--01"]
    drop_ledger(desk)

    told = verify(desk, "--repair")

    assert (True, 3, 4) == pick(told, "sound", "replayed", "images")
    after = desk.run(expect=1)
    assert states == {task: pick(told, "state", "class") for task, told in desk.tasks().items()}
    assert 0 == after["attempts"]
    assert before["job_cost_usd"] == after["job_cost_usd"]
    assert 7 == len(till.requests)


def test_what_may_be_paid_twice_survives_a_lost_ledger(desk: Desk, till: Till) -> None:
    """Which request was sent again, and with which key, is in the run's log; a log of an older version just lacks it."""
    till.script(Rule("Lamp", "cut"))
    desk.manifest([BOATS, {"id": "lamp", "prompt": "Lamp."}])
    before, attempts = desk.run(expect=1), desk.attempts()
    assert [False, True] == [one["possible_duplicate"] for one in attempts if one["task_id"] == "lamp--01"]
    drop_ledger(desk)
    verify(desk, "--repair")
    money = ("job_cost_usd", "maybe_paid_twice_usd")
    assert pick(before, *money) == pick(desk.json("status", "job.yaml"), "spent_usd", "maybe_paid_twice_usd")
    assert 1 == desk.json("retry", "job.yaml", expect=1)["held"]
    assert 1 == len(
        {one["headers"]["idempotency-key"] for one in till.requests if one["body"]["prompt"] == "Lamp."}
    )

    drop_ledger(desk)
    for log in desk.job.glob("runs/*/events.jsonl"):
        log.write_text(re.sub(r'"(idempotency_key|possible_duplicate)": [^,]+, ', "", log.read_text()))
    verify(desk, "--repair")
    assert 3 == len([one for one in desk.attempts() if one["task_id"] == "lamp--01"])


def test_a_doubt_that_a_backup_forgot_is_still_a_doubt(desk: Desk, till: Till) -> None:
    """The request was in flight when the run was killed, and the ledger is older than that: once more, and marked so."""
    desk.manifest([BOATS], limits={"concurrency": 1})
    desk.run("--limit", "0")
    shutil.copy(desk.job / "ledger.sqlite", desk.folder / "backup.sqlite")
    till.script(Rule("Boat", "never", 1))
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) == 1, running)
        running.signal(signal.SIGKILL)
        running.done()
    drop_ledger(desk)
    shutil.copy(desk.folder / "backup.sqlite", desk.job / "ledger.sqlite")

    summary = desk.run()

    assert (4, 4) == pick(summary, "tasks", "stored")
    lost, again = [attempt for attempt in desk.attempts() if attempt["task_id"] == "boat--1--01"]
    assert ("failed", "unknown", False) == pick(lost, "state", "class", "possible_duplicate")
    assert ("stored", True) == pick(again, "state", "possible_duplicate")
    assert lost["attempt_id"] == till.requests[0]["headers"]["x-client-request-id"]
    keys = [request["headers"]["idempotency-key"] for request in till.requests]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE attempts SET class = 'zzz' WHERE task_id = 'mug--01'",
        "UPDATE tasks SET class = 'zzz' WHERE task_id = 'mug--01'",
        "UPDATE tasks SET parameters = '{' WHERE task_id = 'mug--01'",
        "UPDATE tasks SET variables = '[7]', price = '[]' WHERE task_id = 'mug--01'",
        "UPDATE tasks SET tags = CAST(x'ff' AS TEXT) WHERE task_id = 'mug--01'",
        "UPDATE attempts SET cost_usd = 9e999, number = 9223372036854775807 WHERE task_id = 'mug--01'",
        "UPDATE attempts SET started = 'zzz' WHERE task_id = 'mug--01'",
        "UPDATE attempts SET state = 'sent', started = 'yesterday' WHERE task_id = 'mug--01'",
        "UPDATE attempts SET state = 'received', url = 'https://x/', answer = '{}' WHERE task_id = 'mug--01'",
        "UPDATE images SET width = -9223372036854775807 WHERE task_id = 'boat--1--01'",
    ],
)
def test_rows_that_batchgen_never_wrote_are_damage(desk: Desk, till: Till, statement: str) -> None:
    """What SQLite lets through ends in words and not in a traceback; repair leaves such rows out, and buys nothing."""
    till.script(refuse("Mug"))
    desk.manifest([BOATS, {"id": "mug", "prompt": "Mug."}])
    desk.run(expect=1)
    with sqlite3.connect(desk.job / "ledger.sqlite") as connection:
        connection.execute(statement)
    connection.close()

    assert re.search("never wrote|damaged", str(verify(desk, expect=1)["ledger"]))
    verbs = (["run"], ["plan"], ["status"], ["status", "--tasks"], ["status", "--attempts"], ["report"])
    for words, done in zip(
        verbs, together([partial(desk.do, *words, "job.yaml") for words in verbs]), strict=True
    ):
        assert done.code in {0, 1, 2, 3, 4}, words
        assert "Traceback" not in done.err, (words, done.err)
        if done.code == 3:
            assert "--repair" in done.out + done.err
    told = verify(desk, "--repair")

    assert (True, 4) == pick(told, "sound", "images")
    assert {"sound": True, "images": 4} == verify(desk)
    assert 4 == desk.run(expect=1)["kept"]
    assert 5 == len(till.requests)
