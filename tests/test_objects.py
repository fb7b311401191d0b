"""Images in an object store: killed, refused, away, or without their local folder, none is lost or bought again."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from batchgen.core.errors import StorageError, UsageError
from batchgen.core.values import replace
from batchgen.engines.ray import open_ray
from batchgen.providers.settings import BUILT_IN
from batchgen.stores.directory import open_store_at
from batchgen.system.addresses import is_url, url_fault
from batchgen.system.buckets import Bucket, open_bucket
from batchgen.system.folder import Folder
from batchgen.system.lease import Lease, LeaseLostError
from batchgen.workers import Recipe, open_worker
from tests.ledgers.samples import attempt, task
from tests.stores.images import ORIGIN, answer, names, picture
from tests.support.cli import Desk, ended, pick, together, until
from tests.support.cluster import LOOPBACK
from tests.support.paid import Rule, refuse
from tests.support.weed import KEY, READER, READER_SECRET, SECRET, Weed, objects

pytest_plugins = ("tests.support.fixtures",)

TASKS, CONCURRENCY = 40, 8
FLEET = [{"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(n) for n in range(1, TASKS + 1)]}}]


@pytest.fixture
def url(desk: Desk, weed: Weed) -> Iterator[str]:
    """A prefix that the desk's commands may write to. No file of the desk holds the store's key afterwards."""
    desk.environ |= weed.environ
    yield weed.url()
    files = (path for path in desk.folder.rglob("*") if path.is_file())
    assert [] == [path for path in files if SECRET.encode() in path.read_bytes()]


def images(bucket: Bucket) -> dict[str, bytes]:
    """What the store has under final names."""
    there = objects(bucket)
    return {name: there[name] for name in there if name.startswith("images/") and name.endswith(".png")}


def test_workers_of_a_cluster_write_straight_to_the_store(desk: Desk, url: str, weed: Weed) -> None:
    """With the engine ray the images are in the store, each asked for once, and a second run keeps them."""
    desk.manifest([{"id": "boat", "prompt": "Boat.", "images": 6}], limits={"concurrency": 3})
    first = desk.json("run", "job.yaml", "--output", url, "--engine", "ray")
    assert (6, 6, 6) == (first["stored"], len(images(weed.bucket(f"{url}/job"))), len(desk.till.requests))
    again = desk.json("run", "job.yaml", "--output", url)
    assert (6, 6) == (again["kept"], len(desk.till.requests))


def test_killed_in_the_middle(desk: Desk, url: str, weed: Weed) -> None:
    """After SIGKILL the next run finishes all; what was uploaded or lay on the local disk is not asked for again."""
    desk.till.script(Rule(delay_s=0.03))
    desk.manifest(FLEET, limits={"concurrency": CONCURRENCY}, report={"thumbnails": False})
    with ended(desk.start("run", "job.yaml", "--output", url)) as running:
        until(lambda: len(desk.till.requests) >= TASKS // 2, running)
        running.signal(signal.SIGKILL)
        running.done()
    before = images(weed.bucket(f"{url}/job"))
    summary = desk.run("--output", url)
    after = images(weed.bucket(f"{url}/job"))
    assert (TASKS, 0, 0, None) == pick(summary, "tasks", "failed", "pending", "stopped_by")
    assert TASKS == len(after) == len(set(after.values()))
    assert before == {name: after[name] for name in before}
    assert len(desk.till.charged) - TASKS <= CONCURRENCY
    lost = [one for one in desk.attempts() if one["class"] == "unknown"]
    assert len(desk.till.charged) - TASKS <= len(lost)
    logs = {name for name in objects(weed.bucket(f"{url}/job")) if name.endswith("events.jsonl")}
    assert logs == {str(path.relative_to(desk.job)) for path in desk.job.glob("runs/*/events.jsonl")}
    assert 2 == len(logs)


def test_a_store_that_goes_away_and_comes_back(desk: Desk, url: str, weed: Weed) -> None:
    """Answers that come meanwhile wait on the local disk; the run ends well, and each image was paid for once."""
    desk.till.script(Rule(do="hold"))
    desk.manifest(FLEET[:1], limits={"concurrency": TASKS}, report={"thumbnails": False})
    with ended(desk.start("run", "job.yaml", "--output", url, "--json")) as running:
        until(lambda: len(desk.till.requests) == TASKS, running)
        weed.stop()
        try:
            desk.till.script()
            until(lambda: len(list((desk.job / "state").glob("*.json"))) >= TASKS, running)
        finally:
            weed.start()
        done = running.done()
    assert (0, TASKS) == (done.code, done.last["stored"]), done.err
    assert (1, 1) == (done.err.count("does not answer"), done.err.count("answers again")), done.err
    assert TASKS == len(desk.till.charged) == len(set(images(weed.bucket(f"{url}/job")).values()))


def test_a_store_that_hangs(desk: Desk, url: str, weed: Weed) -> None:
    """The run stops by itself with exit code 3 and says why, a plan says it at once; what was paid for is not again."""
    desk.till.script(Rule(do="hold"))
    (desk.folder / "batchgen.yaml").write_text("objects: {patience: 5s}\n")
    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 4}], limits={"concurrency": 2})
    with ended(desk.start("run", "job.yaml", "--output", url, "--json")) as running:
        until(lambda: len(desk.till.requests) == 2, running)
        weed.hang()
        try:
            desk.till.script()
            done = running.done()
            plan = desk.do("plan", "job.yaml", "--output", url)
        finally:
            weed.go_on()
    assert (3, "storage", 4) == (done.code, *pick(done.last, "stopped_by", "pending")), done.err
    assert (1, 2) == (done.err.count("is asked again for up to 5 s"), plan.code)
    assert "the store does not answer" in plan.err
    assert (2, 4) == (len(desk.till.charged), desk.run("--output", url)["stored"])
    assert 4 == len(desk.till.charged)


def test_two_machines_at_one_time(desk: Desk, url: str, weed: Weed, tmp_path: Path) -> None:
    """The second one finds the first at work, ends with exit code 4 and sends nothing; so does a verification."""
    desk.till.script(Rule("mug", "hold"))
    others = {verb: Desk(tmp_path / verb, desk.till) for verb in ("run", "verify", "verify --repair")}
    for other in others.values():
        other.folder.mkdir()
        other.environ |= desk.environ | {"HOME": str(other.folder)}
    for one in (desk, *others.values()):
        one.manifest([{"id": "boat", "prompt": "A boat."}, {"id": "mug", "prompt": "A mug."}])
    with ended(desk.start("run", "job.yaml", "--output", url, "--json")) as running:
        until(lambda: len(desk.till.requests) == 2 and images(weed.bucket(f"{url}/job")) != {}, running)
        refused = together(
            [partial(one.do, *verb.split(), "job.yaml", "--output", url) for verb, one in others.items()]
        )
        desk.till.script()
        done = running.done()
    assert (0, [4] * 3) == (done.code, [one.code for one in refused]), [one.err for one in refused]
    assert all("another machine works on this job" in one.err for one in refused)
    assert (2, 2) == (others["run"].run("--output", url)["kept"], len(desk.till.charged))


@pytest.mark.parametrize(
    ("words", "waits"), [("report", "60 s"), ("verify", "7.5 s"), ("verify --repair", "60 s")]
)
def test_who_holds_a_job_is_said_at_once(desk: Desk, url: str, weed: Weed, words: str, waits: str) -> None:
    """Whoever waits knows for whom, and for how long at most; it goes on as soon as the job is free."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.run("--output", url)
    other = lease(weed.bucket(f"{url}/job"), "elsewhere")
    assert other.take() is None
    with ended(desk.start(*words.split(), "job.yaml", "--output", url)) as running:
        told = running.wait_for(f"{url}/job is held by {other.holder().host}, since today")
        other.file.unlink()
        done = running.done()
    assert (0, True) == (done.code, told.endswith(f" in {waits}\n")), done.err


def lease(bucket: Bucket, place: str) -> Lease:
    """One that a place may take."""
    return Lease(bucket.file(".lock"), place, "today")


@pytest.mark.anyio
async def test_a_lease_has_one_holder(tmp_path: Path, weed: Weed) -> None:
    """It is taken from one that gave no sign, who then writes nothing more; a place knows its own again at once."""
    bucket, mine = weed.bucket(weed.url()), attempt(task())
    first, second = lease(bucket, "here"), lease(bucket, "there")
    assert first.take() is None
    seen = second.take()
    assert seen is not None
    first.renew(again=False)
    assert not second.take_over(seen)
    assert second.take_over(second.holder())
    async with open_store_at(replace(bucket, confirm=first.confirm), tmp_path, ORIGIN) as store:
        await store.reserve(mine)
        with pytest.raises(LeaseLostError):
            first.renew(again=False)
        with pytest.raises(StorageError, match="another machine took the job over"):
            await store.keep(mine, answer(picture("one")))
        assert {} == images(bucket)
        assert (tmp_path / "state" / f"{mine.attempt_id}.part").read_bytes() == picture("one")
    first.release()
    third = lease(bucket, "there")
    assert third.take() is None
    third.release()
    assert first.file.key not in objects(bucket)


@pytest.mark.anyio
async def test_a_store_that_stays_away(tmp_path: Path, weed: Weed) -> None:
    """`keep` gives up with the image durable in the local folder, and the next run's `adopt` uploads it for free."""
    address, mine, data = weed.url(), attempt(task()), picture("one")
    nowhere = weed.bucket(address, patience_s=0, endpoint="http://127.0.0.1:1")
    with pytest.raises(StorageError, match="does not answer"):
        async with open_store_at(nowhere, tmp_path, ORIGIN):
            raise AssertionError("a store that is away was opened")
    bucket = weed.bucket(address, patience_s=0)
    async with open_store_at(bucket, tmp_path, ORIGIN) as store:
        await store.reserve(mine)
        weed.stop()
        try:
            with pytest.raises(StorageError, match="does not answer"):
                await store.keep(mine, answer(data))
        finally:
            weed.start()
    assert data == (tmp_path / "state" / f"{mine.attempt_id}.part").read_bytes()
    async with open_store_at(bucket, tmp_path, ORIGIN) as store:
        adopted = await store.adopt(mine)
        assert adopted is not None
        assert {} == dict(await store.damaged([adopted.image]))
    assert {adopted.image.file: data} == images(bucket)
    assert [] == names(tmp_path)


@pytest.mark.anyio
async def test_what_waits_on_a_node_of_a_cluster(
    tmp_path: Path, weed: Weed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that a node with a folder of its own could not upload is brought to the store by the next run, for free."""
    address, mine, data = weed.url(), attempt(task()), picture("one")
    node = tmp_path / "cache" / "batchgen" / ORIGIN.job
    async with open_store_at(weed.bucket(address, patience_s=0), node, ORIGIN) as store:
        await store.reserve(mine)
        weed.stop()
        try:
            with pytest.raises(StorageError, match="does not answer"):
                await store.keep(mine, answer(data))
        finally:
            weed.start()
    known = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "COMETAPI_KEY": "sk-of-nobody"}
    for name, value in {**LOOPBACK, **weed.environ, **known}.items():
        monkeypatch.setenv(name, value)
    settings = replace(BUILT_IN["cometapi"], base_url="http://127.0.0.1:1", base_url_env=None)
    away = tmp_path / "of the coordinator"
    recipe = Recipe(settings, away, ORIGIN, concurrency=1, pictures=away, token="unseen", store=address)
    try:
        async with (
            open_store_at(weed.bucket(address), tmp_path / "here", ORIGIN) as store,
            open_ray(partial(open_worker, recipe), store, None) as engine,
        ):
            assert await store.adopt(mine) is None
            adopted = await engine.adopt(mine)
            assert adopted is not None
            assert {} == dict(await store.damaged([adopted.image]))
    finally:
        import ray

        ray.shutdown()
    assert {adopted.image.file: data} == images(weed.bucket(address))


@pytest.mark.parametrize(
    ("keys", "bucket", "told"),
    [
        ((READER, READER_SECRET), "", "the store refuses"),
        ((READER, "wrong"), "", "the store refuses"),
        (("nobody", "wrong"), "", "the store refuses"),
        ((KEY, SECRET), "s3://elsewhere/x", "no such bucket"),
    ],
    ids=["may only read", "wrong secret", "unknown key", "no bucket"],
)
def test_a_store_that_refuses(desk: Desk, url: str, keys: tuple[str, str], bucket: str, told: str) -> None:
    """It is found at once and before anything is paid for, leaves no folder behind, and the keys are not told."""
    desk.environ |= {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
    desk.manifest(FLEET)
    done = desk.do("run", "job.yaml", "--output", bucket or url)
    assert (3, []) == (done.code, desk.till.requests)
    assert told in done.err
    assert keys[0] not in done.err
    assert not (desk.folder / "output").exists()


@pytest.mark.parametrize(
    ("endpoint", "told"), [("127.0.0.1:9", "no web address"), ("http://127.0.0.1:9", "allow_http")]
)
def test_an_endpoint_that_cannot_be_asked(desk: Desk, url: str, endpoint: str, told: str) -> None:
    """It is a mistake that is named at once, from the environment as from the configuration, and leaves no folder behind."""
    del desk.environ["AWS_ALLOW_HTTP"]
    desk.manifest(FLEET[:1])
    done = desk.do("run", "job.yaml", "--output", url)
    desk.environ["AWS_ENDPOINT_URL"] = endpoint
    again = desk.do("run", "job.yaml", "--output", url)
    assert ([2, 2], []) == ([done.code, again.code], desk.till.requests)
    assert not (desk.folder / "output").exists()
    assert "what AWS_ENDPOINT_URL names" in done.err
    assert told in again.err
    with pytest.raises(UsageError, match=told):
        open_bucket(url, {"endpoint": endpoint, "allow_http": "false"})


@pytest.mark.parametrize("words", [("run", "job.yaml"), ("nightly", ".")], ids=["a run", "a night"])
def test_a_signal_before_the_store_was_reached(desk: Desk, url: str, words: tuple[str, ...]) -> None:
    """Nothing is in flight then, so that one signal is enough: the outage is not waited out, and is not the reason."""
    desk.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    desk.manifest(FLEET)
    (desk.folder / "batchgen.yaml").write_text(f"output: {url}\n")
    with ended(desk.start(*words, "--json")) as running:
        running.wait_for("does not answer")
        running.signal(signal.SIGINT)
        done = running.done()
    assert (130, []) == (done.code, desk.till.requests)
    assert ("signal", 0) == pick(done.lines[0], "stopped_by", "attempts")
    assert not desk.job.exists()
    assert "was not waited for any longer" in done.err


def test_one_patience_for_all(weed: Weed) -> None:
    """What waits behind an upload that was given up on is not tried for as long again, so that a run ends."""
    asked: list[str] = []

    def away() -> None:
        asked.append("")
        raise ConnectionError

    bucket = weed.bucket(weed.url(), patience_s=2)
    with pytest.raises(OSError, match="does not answer"):
        bucket.outages.ask("first", away)
    tried = len(asked)
    with pytest.raises(OSError, match="does not answer"):
        bucket.outages.ask("second", away)
    assert 1 < tried == len(asked)


def test_a_lost_local_folder(desk: Desk, url: str, weed: Weed) -> None:
    """`verify --repair`, or the next run, goes on from the store alone: refusals and what was spent in vain are known."""
    desk.till.script(refuse("battle"), Rule("spoilt", "empty"))
    battle, spoilt = {"id": "battle", "prompt": "A battle."}, {"id": "spoilt", "prompt": "A spoilt one."}
    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 3}, battle, spoilt], retry={"max_attempts": 1})
    before = desk.run("--output", url, expect=1)
    known, bucket = desk.attempts(), weed.bucket(f"{url}/job")
    assert {"index.html", "ledger.sqlite", "results.csv"} <= set(objects(bucket))
    assert [] == list(desk.job.glob(".*.new"))
    asked = len(desk.till.requests)
    for verb in ("verify --repair", "plan", "run"):
        shutil.rmtree(desk.job)
        done = desk.do(*verb.split(), "job.yaml", "--output", url)
        assert asked == len(desk.till.requests)
        if verb != "plan":
            assert known == desk.attempts(), done.err
            assert "its copy in" in done.out + done.err
        after = desk.run("--output", url, expect=1)
        assert pick(before, "job_cost_usd", "failed") == pick(after, "job_cost_usd", "failed")
        assert (3, 0) == pick(after, "kept", "stored")
    shutil.rmtree(desk.job)
    bucket.file("ledger.sqlite").unlink()
    refused = desk.do("run", "job.yaml", "--output", url)
    assert (3, True) == (refused.code, "there are images of this job" in refused.err)
    assert 0 == desk.do("verify", "job.yaml", "--output", url, "--repair").code
    told = ("attempt_id", "state", "class", "cost_usd")
    assert sorted(pick(one, *told) for one in known) == sorted(pick(one, *told) for one in desk.attempts())
    assert (asked, pick(before, "job_cost_usd")) == (
        len(desk.till.requests),
        pick(desk.run("--output", url, expect=1), "job_cost_usd"),
    )


def test_another_output_is_refused(desk: Desk, url: str) -> None:
    """Every image would be missing there: both places are named, and nothing is sent."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.run("--output", url)
    done = desk.do("run", "job.yaml")
    assert (2, 1) == (done.code, len(desk.till.requests))
    assert f"{url}/job" in done.err
    assert "output/job" in done.err


def test_status_names_where_the_images_are(desk: Desk, url: str) -> None:
    """For people and for programs, also where no output is named; of a job in a folder there is no store to name."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.run("--output", url)
    desk.manifest([{"id": "boat", "prompt": "A boat."}], name="here.yaml", job="here")
    desk.json("run", "here.yaml")
    text = desk.do("status", "job.yaml").out.splitlines()
    assert [f"  images   {url}/job", "  folder   output/job"] == text[-2:]
    assert [None, f"{url}/job"] == [one["store"] for one in desk.do("status", "--json").lines]
    assert "  images " not in desk.do("status", "here.yaml").out


def test_a_report_goes_where_its_images_are(desk: Desk, url: str, weed: Weed) -> None:
    """Without an output too: the page and the ledger are put beside them again, and never into another bucket."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.run("--output", url)
    bucket, copies = weed.bucket(f"{url}/job"), ("index.html", "ledger.sqlite", "results.csv")
    for name in copies:
        bucket.file(name).unlink()
    (desk.job / "index.html").unlink()
    done = desk.do("report", "job.yaml")
    there = objects(bucket)
    assert (0, set()) == (done.code, set(copies) - set(there)), done.err
    assert f"copied to {url}/job\n" == done.err
    assert (desk.job / "index.html").read_bytes() == there["index.html"]
    other = weed.url()
    refused = desk.do("report", "job.yaml", "--output", other)
    assert (2, {}) == (refused.code, objects(weed.bucket(other)))
    assert f"lie in {url}/job" in refused.err


def test_a_report_that_cannot_be_copied(desk: Desk, url: str) -> None:
    """The page is written here all the same; that it was not copied, and the command that does it, are said."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.run("--output", url)
    (desk.job / "index.html").unlink()
    desk.environ["AWS_SECRET_ACCESS_KEY"] = "wrong"
    done = desk.do("report", "job.yaml")
    assert (3, True) == (done.code, (desk.job / "index.html").is_file())
    assert "the store refuses" in done.err
    assert f"not copied to {url}/job: `batchgen report job.yaml --output {url}` does it" in done.err


def test_what_a_repair_changes_is_copied(desk: Desk, url: str, weed: Weed) -> None:
    """The ledger's copy in the store knows of the image that the next run buys again. One that may not write leaves nothing."""
    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 2}])
    desk.run("--output", url)
    bucket = weed.bucket(f"{url}/job")
    bucket.file("images/boat--01.png").unlink()
    done = desk.do("verify", "job.yaml", "--output", url, "--repair")
    assert 1 == done.code, done.err
    shutil.rmtree(desk.job)
    desk.job.mkdir()
    (desk.job / "ledger.sqlite").write_bytes(objects(bucket)["ledger.sqlite"])
    assert ["pending", "stored"] == [one["state"] for one in desk.tasks().values()]
    shutil.rmtree(desk.folder / "output")
    desk.environ |= {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": READER_SECRET}
    assert 3 == desk.do("verify", "job.yaml", "--output", url, "--repair").code
    assert not (desk.folder / "output").exists()


@pytest.mark.anyio
async def test_what_lies_there_is_never_overwritten(tmp_path: Path, weed: Weed) -> None:
    """An object that batchgen did not make is moved aside; foreign names are told and left alone."""
    bucket, mine = weed.bucket(weed.url()), attempt(task())
    bucket.file("images/boat--01.png").put(b"by hand")
    bucket.file("images/notes.txt").put(b"notes")
    async with open_store_at(bucket, tmp_path, ORIGIN) as store:
        await store.reserve(mine)
        kept = await store.keep(mine, answer(picture("one")))
        assert "images/notes.txt" in await store.foreign(5)
    there = objects(bucket)
    assert (picture("one"), b"notes") == (there[kept.image.file], there["images/notes.txt"])
    assert [b"by hand"] == [data for name, data in there.items() if name.startswith("superseded/")]


@pytest.mark.anyio
async def test_an_upload_in_parts_that_was_interrupted(tmp_path: Path, weed: Weed) -> None:
    """One that was whole is finished by whoever asks for the attempt; what is left of others is removed."""
    bucket, mine, data = weed.bucket(weed.url()), attempt(task()), picture("one")
    async with open_store_at(bucket, tmp_path, ORIGIN) as store:
        await store.reserve(mine)
        kept = await store.keep(mine, answer(data))
    image = bucket.file(kept.image.file)
    image.upload().put(data)
    image.unlink()
    bucket.file("images/other.png").upload().put(data[:9])
    async with open_store_at(bucket, tmp_path, ORIGIN) as store:
        adopted = await store.adopt(mine)
        assert 0 == await store.set_parts_aside()
    assert adopted is not None
    assert {kept.image.file, "images/boat--01.json"} == set(objects(bucket))
    assert {kept.image.file: data} == images(bucket)


@pytest.mark.parametrize("size_bytes", [0, 1000, 17 << 20], ids=["empty", "small", "in parts"])
def test_an_image_is_created_never_replaced(tmp_path: Path, weed: Weed, size_bytes: int) -> None:
    """The same bytes twice are harmless; other bytes under the name are refused, and both stay."""
    bucket, folder = weed.bucket(weed.url()), Folder.open(tmp_path)
    target, part = bucket.file("images/boat.png"), folder.file("boat.part")
    for _ in range(2):
        part.write(b"x" * size_bytes)
        part.rename(target)
        assert not part.exists()
    part.write(b"y" * (size_bytes + 1))
    with pytest.raises(FileExistsError):
        part.rename(target)
    assert (size_bytes, size_bytes + 1) == (target.status().size_bytes, part.status().size_bytes)
    folder.close()


@pytest.mark.parametrize(
    ("place", "sound"),
    [
        ("s3://bucket/prefix", True),
        ("gs://bucket", True),
        ("az://container/prefix", True),
        ("s3://key:secret@bucket/x", False),
        ("s3://bucket/x?X-Amz-Signature=1", False),
        ("s3://bucket/../other", False),
        ("s3://bucket/%2e%2e/other", False),
        ("S3://bucket/prefix", False),
        ("s3:/bucket/prefix", False),
        ("ftp://host/x", False),
        ("s3://", False),
    ],
)
def test_addresses(place: str, sound: bool) -> None:
    """Only plain prefixes of known stores are taken, none for a folder; what is refused is not repeated."""
    fault = url_fault(place)
    assert is_url(place)
    assert sound == (fault is None)
    assert "secret" not in (fault or "")


def test_other_clouds_open_by_the_same_way() -> None:
    """Google's and Microsoft's are made of an address and options; a wrong option is a user's mistake."""
    assert "gs://b/p" == open_bucket("gs://b/p", {"skip_signature": "true"}).url
    assert "az://c/p" == open_bucket("az://c/p", {"account_name": "a", "skip_signature": "true"}).url
    with pytest.raises(UsageError, match="cannot be opened"):
        open_bucket("s3://b/p", {"nonsense": "1"})
