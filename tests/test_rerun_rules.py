"""What a second run makes, moves, keeps and leaves alone: no image is knowingly paid for twice."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Iterator

import pytest

from tests.support.cli import Desk, Running, counts, ended, pick, until
from tests.support.paid import Rule, Till, refuse

pytest_plugins = ("tests.support.fixtures",)

BOAT = {"id": "boat", "prompt": "A paper boat."}
MUG = {"id": "mug", "prompt": "A red mug."}


@pytest.fixture(scope="module", autouse=True)
def stuck(paid_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Running]]:
    """A run whose links fail for the 15 s that a download is tried: begun first, so that nobody waits for it."""
    desk = Desk(tmp_path_factory.mktemp("stuck"), Till(paid_port, f"sk-canary-{uuid.uuid4().hex}"))
    desk.till.script(Rule("stuck", do="url", links=(503,) * 5 + (200,)), Rule("dead", do="url", links=(404,)))
    desk.manifest([{"id": "stuck", "prompt": "A stuck one."}, {"id": "dead", "prompt": "A dead one."}])
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        yield desk, running


def superseded(desk: Desk) -> list[bytes]:
    """The images in `superseded/`; each has its sidecar beside it."""
    images = sorted((desk.job / "superseded").glob("*.png"))
    assert all(image.with_suffix(".json").exists() for image in images), images
    return [image.read_bytes() for image in images]


def test_a_changed_prompt_is_bought_and_the_older_image_is_kept(desk: Desk, till: Till) -> None:
    """A changed prompt makes its image again; the paid older one moves to `superseded/` under task and fingerprint."""
    desk.manifest([BOAT, MUG])
    desk.run()
    older, fingerprint = desk.images()["boat--01"], desk.tasks()["boat--01"]["fingerprint"]
    desk.manifest([BOAT | {"prompt": "A tin boat."}, MUG])

    assert {"changed": 1, "kept": 1} == desk.plan()
    summary = desk.run()

    assert (1, 1) == (summary["stored"], summary["kept"])
    assert ["A tin boat."] == till.prompts[2:]
    assert older != desk.images()["boat--01"]
    assert older == (desk.job / "superseded" / f"boat--01.{fingerprint[:8]}.png").read_bytes()
    assert [older] == superseded(desk)


def test_a_prompt_that_is_changed_back_gets_its_image_back(desk: Desk, till: Till) -> None:
    """Changing a prompt back moves the older image back, and the newer one to `superseded/`; nothing is bought."""
    desk.manifest([BOAT])
    desk.run()
    first = desk.images()["boat--01"]
    desk.manifest([BOAT | {"prompt": "A tin boat."}])
    desk.run()
    second = desk.images()["boat--01"]
    desk.manifest([BOAT])

    assert {"kept": 1} == desk.plan()
    summary = desk.run()

    assert (0, 1, 0) == (summary["stored"], summary["kept"], summary["attempts"])
    assert 2 == len(till.requests)
    assert {"boat--01": first} == desk.images()
    assert [second] == superseded(desk)
    assert desk.tasks()["boat--01"]["file"] == "images/boat--01.png"


def test_a_renamed_prompt_takes_its_image_along(desk: Desk, till: Till) -> None:
    """A prompt with another id is the same request: its image and sidecar move, nothing is bought."""
    desk.manifest([BOAT, MUG])
    desk.run()
    boat = desk.images()["boat--01"]
    desk.manifest([BOAT | {"id": "vessel"}, MUG])

    assert {"kept": 2, "removed": 1} == desk.plan()
    summary = desk.run()

    assert (2, 0) == (summary["kept"], summary["attempts"])
    assert 2 == len(till.requests)
    assert {"vessel--01", "mug--01"} == desk.images().keys() == desk.sidecars().keys()
    assert boat == desk.images()["vessel--01"]
    assert ["images/vessel--01.png", "images/mug--01.png"] == [task["file"] for task in desk.tasks().values()]
    assert {"kept": 2} == desk.plan()


def test_two_prompts_may_swap_their_ids(desk: Desk, till: Till) -> None:
    """Two prompts that swap ids swap their images; nothing is bought, nothing is lost."""
    desk.manifest([BOAT, MUG])
    desk.run()
    boat, mug = desk.images()["boat--01"], desk.images()["mug--01"]
    desk.manifest([BOAT | {"id": "mug"}, MUG | {"id": "boat"}])

    assert {"kept": 2} == desk.plan()
    desk.run()

    assert {"boat--01": mug, "mug--01": boat} == desk.images()
    assert 2 == len(till.requests)
    assert {"kept": 2} == desk.plan()
    assert [desk.sidecars()[task]["sha256"] for task in ("boat--01", "mug--01")] == [
        desk.tasks()[task]["sha256"] for task in ("boat--01", "mug--01")
    ]


def test_a_removed_prompt_keeps_its_image(desk: Desk, till: Till) -> None:
    """What leaves the manifest is `removed` in the plan and untouched on disk; when it comes back it is not bought."""
    desk.manifest([BOAT, MUG])
    desk.run()
    images = desk.images()
    desk.manifest([BOAT])

    assert {"kept": 1, "removed": 1} == desk.plan()
    assert 1 == desk.run()["tasks"]

    assert images == desk.images()
    assert {"boat--01"} == desk.tasks().keys()
    desk.manifest([BOAT, MUG])
    assert (2, 0) == pick(desk.run(), "kept", "attempts")
    assert 2 == len(till.requests)


def test_more_images_of_a_prompt_are_bought_alone(desk: Desk, till: Till) -> None:
    """Raising `images` buys the difference."""
    desk.manifest([BOAT | {"images": 2}])
    desk.run()
    desk.manifest([BOAT | {"images": 3}])

    assert {"new": 1, "kept": 2} == desk.plan()
    assert (1, 2) == pick(desk.run(), "stored", "kept")
    assert 3 == len(till.requests)


def test_a_lost_and_an_altered_image_are_reported_and_bought_only_by_retry(desk: Desk, till: Till) -> None:
    """An image that is gone or altered is `missing` in the plan and exit 1; `run` buys nothing, `retry` buys it again.

    The altered file is kept in `superseded/`: nothing is ever deleted.
    """
    desk.manifest([BOAT, MUG, {"id": "tree", "prompt": "A tree."}])
    desk.run()
    (desk.job / "images" / "boat--01.png").unlink()
    (desk.job / "images" / "mug--01.png").write_bytes(b"painted over")

    assert {"missing": 2, "kept": 1} == desk.plan()
    told = desk.do("plan", "job.yaml", "--tasks", "--json").lines
    assert ["missing", "altered"] == [one["reason"] for one in told if one["change"] == "missing"]
    summary = desk.run(expect=1)
    assert (1, 2, 0) == pick(summary, "kept", "failed", "attempts")
    assert 3 == len(till.requests)

    summary = desk.json("retry", "job.yaml")

    assert (2, 1, None) == pick(summary, "stored", "kept", "stopped_by")
    assert ["A paper boat.", "A red mug."] == sorted(till.prompts[3:])
    assert b"painted over" in superseded(desk)
    assert {"kept": 3} == desk.plan()


def test_an_image_that_was_only_touched_is_kept(desk: Desk) -> None:
    """A copy or a restore changes times, not bytes: such an image is kept."""
    desk.manifest([BOAT])
    desk.run()
    (desk.job / "images" / "boat--01.png").touch()

    assert {"kept": 1} == desk.plan()
    assert 0 == desk.run()["attempts"]


def test_only_and_limit_leave_the_rest_untouched(desk: Desk, till: Till) -> None:
    """`--only` and `--limit` choose what is sent; the rest is neither sent, nor removed, nor counted in the exit code."""
    desk.manifest([{"id": "bad", "prompt": "A refused one."}, BOAT, MUG | {"images": 6}])
    till.script(refuse("refused"))
    assert 1 == desk.run("--only", "bad*", expect=1)["failed"]

    assert (1, 1) == pick(desk.run("--only", "boat--*"), "tasks", "stored")
    assert {"kept": 1} == counts(desk.json("plan", "job.yaml", "--only", "boat--*"))
    summary = desk.run("--only", "mug--*", "--only", "boat--*", "--limit", "4")
    assert (5, 4, 1) == pick(summary, "tasks", "stored", "kept")
    assert ["mug--01", "mug--02", "mug--03", "mug--04"] == sorted(set(desk.images()) - {"boat--01"})

    assert {"new": 2, "kept": 5, "failed": 1} == desk.plan()
    (notice,) = desk.json("plan", "job.yaml", "--only", "bird*")["notices"]
    assert "no task matches bird* (`batchgen status MANIFEST --tasks` lists them)" == notice
    assert 6 == len(till.requests)


def test_limit_counts_what_is_sent_over_many_tasks(desk: Desk) -> None:
    """`--limit 3` of hundreds sends 3, whatever the plan's pages are; the next `--limit 3` sends the next ones."""
    desk.manifest([MUG | {"images": 1200}])

    assert 3 == desk.run("--limit", "3")["attempts"]
    assert 3 == desk.run("--limit", "3")["attempts"]

    assert {f"mug--0{number}" for number in range(1, 7)} == desk.images().keys()


def test_a_rehearsal_has_a_folder_of_its_own(desk: Desk, till: Till) -> None:
    """`--provider sandbox` on a paid job writes to `<job>.sandbox`, sends nothing to the provider, and costs nothing."""
    desk.manifest([BOAT])

    summary = desk.run("--provider", "sandbox")

    assert ("job.sandbox", 1, 0.0) == pick(summary, "job", "stored", "cost_usd")
    assert (desk.folder / "output" / "job.sandbox" / "images" / "boat--01.png").exists()
    assert not desk.job.exists()
    assert [] == till.requests
    assert {"new": 1} == desk.plan()


def test_another_manifest_may_not_take_a_job(desk: Desk, till: Till) -> None:
    """Another file with the same job name is exit 2, naming both; `--adopt` takes the job over for good."""
    first = desk.manifest([BOAT])
    desk.run()
    second = desk.manifest([BOAT, MUG], name="other.yaml")

    for verb in ("run", "plan", "retry"):
        done = desk.do(verb, "other.yaml")
        assert 2 == done.code
        assert str(first) in done.err
        assert str(second) in done.err
    assert 1 == len(till.requests)

    summary = desk.json("run", "other.yaml", "--adopt")
    assert (1, 1) == (summary["stored"], summary["kept"])
    assert 2 == desk.do("run", "job.yaml").code
    assert 0 == desk.do("run", "other.yaml").code


def test_a_job_may_be_moved_with_its_manifest(desk: Desk, till: Till) -> None:
    """The ledger knows the manifest relative to the job's folder: both may move together."""
    desk.manifest([BOAT])
    desk.run()
    moved = desk.folder / "elsewhere"
    moved.mkdir()
    (desk.folder / "job.yaml").rename(moved / "job.yaml")
    (desk.folder / "output").rename(moved / "output")

    summary = desk.json("run", "elsewhere/job.yaml", "--output", "elsewhere/output")

    assert (1, 1) == (summary["kept"], len(till.requests))


def test_the_provider_is_part_of_a_request_and_its_address_is_not(desk: Desk, till: Till) -> None:
    """Another base URL buys nothing and `plan` warns of the other host; another provider is another request."""
    desk.manifest([BOAT])
    desk.run()
    before = desk.tasks()["boat--01"]["fingerprint"]
    port = till.port

    plan = desk.json("plan", "job.yaml", "--base-url", f"http://localhost:{port}/v1")
    assert 1 == plan["kept"]
    assert [True] == [
        f"127.0.0.1:{port}" in notice and f"localhost:{port}" in notice for notice in plan["notices"]
    ]
    desk.environ |= {"OPENAI_API_KEY": till.key, "OPENAI_BASE_URL": till.base_url}
    assert {"changed": 1} == counts(desk.json("plan", "job.yaml", "--provider", "openai"))
    assert 1 == desk.run("--provider", "openai")["stored"]

    assert before != desk.tasks()["boat--01"]["fingerprint"]
    assert till.requests[0]["body"] == till.requests[1]["body"]
    assert 1 == len(superseded(desk))


def test_a_format_change_leaves_one_file_per_task(desk: Desk) -> None:
    """When a task's image gets another extension, the older file does not stay beside it."""
    desk.manifest([BOAT], provider="sandbox")
    desk.run()
    desk.manifest([BOAT], provider="sandbox", request={"size": "1024x1024", "output_format": "jpeg"})

    desk.run()

    assert ["boat--01.jpg", "boat--01.json"] == sorted(path.name for path in (desk.job / "images").iterdir())
    assert ["png"] == [
        path.suffix[1:] for path in (desk.job / "superseded").iterdir() if path.suffix != ".json"
    ]


def test_a_new_price_or_order_of_keys_changes_nothing(desk: Desk) -> None:
    """Tags, limits, retry rules, the description and the order of keys are no part of a request."""
    desk.manifest([BOAT | {"tags": ["a"]}])
    desk.run()
    request = {"quality": "low", "size": "1024x1024"}
    limits = {"concurrency": 2, "budget_usd": 9}

    desk.manifest(
        [{"prompt": "A paper boat.", "id": "boat"}], request=request, limits=limits, description="New."
    )

    assert {"kept": 1} == desk.plan()
    assert 0 == desk.run()["attempts"]
    rows = [json.loads(line) for line in (desk.job / "results.jsonl").read_text().splitlines()]
    assert ["boat--01"] == [row["task_id"] for row in rows]


def test_a_link_that_cannot_be_fetched_waits_for_the_next_run(stuck: tuple[Desk, Running]) -> None:
    """A download that fails again and again leaves its task `received`, exit 3; the next run fetches it for free.

    A dead link is `download`: not bought again, neither by this run nor by the next.
    """
    desk, running = stuck
    done = running.done()

    assert 3 == done.code
    assert ("later", 0, 1, 1) == pick(done.last, "stopped_by", "stored", "failed", "pending")
    states = {task_id: pick(task, "state", "class") for task_id, task in desk.tasks().items()}
    assert {"stuck--01": ("received", "transient"), "dead--01": ("failed", "download")} == states
    assert {"retry": 1, "failed": 1} == desk.plan()

    summary = desk.run(expect=1)

    assert (1, 1, 0, None) == pick(summary, "stored", "failed", "attempts", "stopped_by")
    by_prompt = {request["body"]["prompt"]: request["name"] for request in desk.till.requests}
    assert {"A stuck one.", "A dead one."} == by_prompt.keys()
    assert {"stuck--01": desk.till.images[by_prompt["A stuck one."]]} == desk.images()


@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_a_replacement_of_a_lost_image_is_not_bought_again(desk: Desk, till: Till, damage: str) -> None:
    """Of several paid images of one request the whole one is moved back, not the one that was lost or altered."""
    desk.manifest([BOAT])
    desk.run()
    image = desk.job / "images" / "boat--01.png"
    image.unlink() if damage == "lost" else image.write_bytes(b"painted over")
    desk.json("retry", "job.yaml")
    desk.manifest([BOAT | {"prompt": "A tin boat."}])
    desk.run()
    desk.manifest([BOAT])

    assert {"kept": 1} == desk.plan()
    assert 0 == desk.run()["attempts"]
    assert 3 == len(till.requests)


def test_every_task_is_listed_after_a_partial_run(desk: Desk) -> None:
    """Tasks of two readings of the manifest may share places; each is listed all the same."""
    desk.manifest([BOAT | {"images": 600}])
    desk.run()
    desk.manifest([{"id": "tree", "prompt": "A tree."}, MUG | {"images": 601}, BOAT | {"images": 600}])

    desk.run("--only", "mug*")

    assert 1201 == len(desk.tasks())
    assert 1201 == len((desk.job / "results.jsonl").read_text().splitlines())


@pytest.mark.parametrize("back", ["renamed", "changed back"])
def test_a_lost_answer_is_remembered_under_any_name(desk: Desk, till: Till, back: str) -> None:
    """With `on_unknown: hold` a lost answer is not ordered again because its prompt was renamed, or changed and back."""
    hold = {"on_unknown": "hold"}
    till.script(Rule("paper", "cut", times=1))
    desk.manifest([BOAT], retry=hold)
    assert 1 == desk.run(expect=1)["held"]
    if back == "changed back":
        desk.manifest([BOAT | {"prompt": "A tin boat."}], retry=hold)
        desk.run()
    desk.manifest([BOAT if back == "changed back" else BOAT | {"id": "ship"}], retry=hold)
    sent = len(till.requests)

    assert {"held": 1} == {name: count for name, count in desk.plan().items() if name != "removed"}
    assert (1, 0) == pick(desk.run(expect=1), "held", "attempts")
    assert (1, 0) == pick(desk.run(expect=1), "held", "attempts")
    assert sent == len(till.requests)
    assert 1 == desk.json("retry", "job.yaml")["stored"]


def test_a_lost_answer_that_is_sent_again_under_another_name_says_so(desk: Desk, till: Till) -> None:
    """After a kill the renamed task carries the same key and counts as possibly paid twice."""
    till.script(Rule("paper", "never", times=1))
    desk.manifest([BOAT])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) == 1, running)
        running.signal(signal.SIGKILL)
        running.done()
    desk.manifest([BOAT | {"id": "ship"}])

    assert {"retry": 1} == {name: count for name, count in desk.plan().items() if name != "removed"}
    assert 0 < desk.run()["maybe_paid_twice_usd"]

    first, second = (request["headers"]["idempotency-key"] for request in till.requests)
    assert first == second


def test_a_paid_link_of_a_renamed_prompt_is_not_bought_again(desk: Desk, till: Till) -> None:
    """What is made and paid for but not fetched yet serves the new name once it is fetched; nothing is sent."""
    till.script(Rule("paper", "url", links=(0, 0, 200)))
    desk.manifest([BOAT])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.downloads) == 1, running)
        running.signal(signal.SIGKILL)
        running.done()
    desk.manifest([BOAT | {"id": "ship"}])
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        until(lambda: len(till.downloads) == 2, running)
        running.signal(signal.SIGTERM)
        assert (1, 1, 0) == pick(running.done().last, "tasks", "pending", "attempts")

    assert 0 == desk.run()["pending"]

    assert ["ship--01"] == list(desk.images())
    assert 1 == len(till.requests)


def test_an_open_link_of_a_removed_prompt_leaves_the_rest_done(desk: Desk, till: Till) -> None:
    """A link that nobody in the manifest waits for does not make every run an unfinished one."""
    till.script(Rule("paper", "url", links=(0, 404)))
    desk.manifest([BOAT])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.downloads) == 1, running)
        running.signal(signal.SIGKILL)
        running.done()
    desk.manifest([MUG])

    assert (1, 1, None) == pick(desk.run(), "tasks", "stored", "stopped_by")


def test_a_lost_sidecar_stops_nobody(desk: Desk) -> None:
    """After a rename the image whose sidecar is gone is moved like the others, and nothing is bought."""
    desk.manifest([BOAT | {"images": 3}])
    desk.run()
    (desk.job / "images" / "boat--02.json").unlink()
    desk.manifest([BOAT | {"id": "ship", "images": 3}])

    assert (3, 0) == pick(desk.run(), "kept", "attempts")
    assert ["ship--01", "ship--02", "ship--03"] == sorted(desk.images())
    assert 3 == len(desk.sidecars())


def test_a_plan_says_that_the_ledger_is_gone(desk: Desk) -> None:
    """With images there and an empty ledger a plan does not promise to buy them all again."""
    desk.manifest([BOAT])
    desk.run()
    (desk.job / "ledger.sqlite").write_bytes(b"")

    done = desk.do("plan", "job.yaml")

    assert 2 == done.code
    assert "running now would buy them all again" in done.err


def test_a_run_that_changes_nothing_leaves_the_results_alone(desk: Desk) -> None:
    """Results that tell what the ledger does are not written again; what a person deleted or wrote into is."""
    desk.manifest([BOAT, MUG])
    desk.run()
    files = [desk.job / name for name in ("results.jsonl", "results.csv")]
    told, written = [file.read_bytes() for file in files], [file.stat().st_ino for file in files]
    page = (desk.job / "index.html").read_bytes()

    desk.run()
    assert written == [file.stat().st_ino for file in files]
    assert page != (desk.job / "index.html").read_bytes()

    files[1].write_text("a person's notes")
    desk.run()
    assert told == [file.read_bytes() for file in files]

    files[0].unlink()
    desk.run()
    assert told == [file.read_bytes() for file in files]


def test_results_tell_of_every_change(desk: Desk, till: Till) -> None:
    """A tag, an order, a lost image, a task that left: each is in the results of the run that met it first."""
    desk.manifest([BOAT, MUG])
    desk.run()

    desk.manifest([MUG | {"tags": ["shop"]}, BOAT])
    desk.run()
    lines = [json.loads(line) for line in (desk.job / "results.jsonl").read_text().splitlines()]
    assert [("mug--01", ["shop"]), ("boat--01", [])] == [pick(line, "task_id", "tags") for line in lines]

    (desk.job / "images" / "boat--01.png").unlink()
    desk.run(expect=1)
    lines = [json.loads(line) for line in (desk.job / "results.jsonl").read_text().splitlines()]
    assert [None, "missing"] == [line["reason"] for line in lines]

    desk.manifest([MUG])
    desk.run()
    assert 1 == len((desk.job / "results.jsonl").read_text().splitlines())
    assert 2 == len(till.requests)
