"""What must be true of a job whose runs were killed: the promises, checked against the provider's bill.

Each function yields sentences that begin with the invariant's number, as docs/testing.md lists them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.support.paid import IMAGE_USD
from tests.torture.snapshot import Post, Row, Snapshot, is_json, sha256

RESENDS = 1
"""How often a lost answer is sent again without being asked to: `on_unknown: resend`."""


@dataclass(frozen=True)
class Expected:
    """How the job ends when nothing goes wrong.

    `outcome` is (state, class) by task id, `older` are the images that were there before.
    """

    code: int
    outcome: dict[str, tuple[str, str | None]]
    concurrency: int
    older: frozenset[bytes]


def violations(expected: Expected, kills: Sequence[Snapshot], end: Snapshot, code: int) -> list[str]:
    """Everything that is wrong; `kills` are the moments right after each kill, `end` and `code` the last run's."""
    found: list[str] = []
    for number, kill in enumerate(kills, start=1):
        found += (f"{wrong} (at kill {number})" for wrong in _durable_before_sent(kill))
        found += (f"{wrong} (after kill {number})" for wrong in _nothing_forgotten(kill, end, expected))
    found += _durable_before_sent(end)
    found += _all_there(expected, end, code)
    found += _bought_once(end)
    found += _unknowns_were_open(kills, end)
    found += _nothing_open(end)
    found += _costs_counted(end)
    found += _reports_agree(end)
    return found


def _durable_before_sent(moment: Snapshot) -> Iterator[str]:
    if moment.ledger_fault:
        yield f"I1 the ledger cannot be read: {moment.ledger_fault}"
    for post in moment.posts:
        if post.attempt_id not in moment.attempts_by_id:
            yield f"I1 {post.name} ({post.prompt}) was sent and is not on the ledger"


def _bought(post: Post, end: Snapshot) -> str:
    """What a request was for: samples of one prompt are told apart by the ledger only."""
    row = end.attempts_by_id.get(post.attempt_id)
    return post.prompt if row is None else str(row["fingerprint"])


def _nothing_forgotten(kill: Snapshot, end: Snapshot, expected: Expected) -> Iterator[str]:
    """What a kill left, and what became of it."""
    later = Counter(_bought(post, end) for post in end.posts[len(kill.posts) :])
    for post in kill.posts:
        again = later[_bought(post, end)]
        if post.name in kill.fetched and again:
            yield f"I4 the link of {post.name} ({post.prompt}) was being fetched, and it was bought again"
        if post.attempt_id in kill.whole and again:
            yield f"I7 {post.name} ({post.prompt}) lay whole on the disk, and it was bought again"
    at_the_end = {sha256(data) for data in end.images.values()}
    for attempt_id, digest in kill.whole.items():
        if digest not in at_the_end:
            yield f"I2 the image of attempt {attempt_id} was whole on the disk and is gone"
    opened = {row["attempt_id"] for row in kill.attempts if row["state"] == "sent"}
    lost = [row for row in end.attempts if row["class"] == "unknown" and row["attempt_id"] in opened]
    if max(len(opened), len(lost)) > expected.concurrency:
        yield f"I5 {len(opened)} attempts were open and {len(lost)} are unknown, with {expected.concurrency} in flight"


def _all_there(expected: Expected, end: Snapshot, code: int) -> Iterator[str]:
    held = any(row["in_manifest"] and row["state"] == "held" for row in end.tasks.values())
    wanted_code = 1 if held else expected.code
    if code != wanted_code:
        yield f"I2 the exit code is {code}, not {wanted_code}"
    if end.ledger_fault:
        yield f"I2 the ledger is damaged: {end.ledger_fault}"
    lost = Counter(row["fingerprint"] for row in end.attempts if row["class"] == "unknown")
    outcome = {
        task_id: (row["state"], row["class"]) for task_id, row in end.tasks.items() if row["in_manifest"]
    }
    for task_id, wanted in expected.outcome.items():
        # A second lost answer is held, as the policy says.
        given_up = outcome.get(task_id) == ("held", "unknown")
        if outcome.get(task_id) != wanted and not (
            given_up and lost[end.tasks[task_id]["fingerprint"]] > RESENDS
        ):
            yield f"I2 {task_id} is {outcome.get(task_id)}, not {wanted}"
    if outcome.keys() != expected.outcome.keys():
        yield f"I2 the tasks are {sorted(outcome)}"
    yield from _images_are_right(end)
    for data in expected.older - set(end.images.values()):
        yield f"I2 an older image is gone ({sha256(data)[:8]})"


def _images_are_right(end: Snapshot) -> Iterator[str]:
    yield from _images_have_sidecars(end)
    yield from _sidecars_have_images(end)
    twice = Counter(sha256(data) for data in end.images.values())
    yield from (f"I2 an image lies there {count} times" for count in twice.values() if count > 1)
    for row in end.stored:
        if row["file"] not in end.images or sha256(end.images[row["file"]]) != row["sha256"]:
            yield f"I2 the ledger has an image {row['file']} that is not there, or altered"
    for name in end.images.keys() - {row["file"] for row in end.stored}:
        yield f"I2 the ledger does not know {name}"
    for task_id, row in end.tasks.items():
        if row["in_manifest"] and row["state"] == "stored" and not _current(end, task_id):
            yield f"I2 {task_id} is stored without an image"


def _images_have_sidecars(end: Snapshot) -> Iterator[str]:
    made = set(end.made.values())
    for name, data in end.images.items():
        if data not in made:
            yield f"I2 {name} was never made by the provider"
        sidecar = end.sidecars.get(f"{name.rpartition('.')[0]}.json")
        if sidecar is None:
            yield f"I2 {name} has no sidecar"
        elif sidecar["sha256"] != sha256(data) or sidecar["file"] != name.rpartition("/")[2]:
            yield f"I2 {name} is not what its sidecar says"


def _sidecars_have_images(end: Snapshot) -> Iterator[str]:
    for name in end.files:
        if not name.startswith(("images/", "superseded/")) or not is_json(name):
            continue
        sidecar = end.sidecars.get(name)
        if sidecar is None:
            yield f"I2 {name} is no sidecar"
        elif f"{name.rpartition('/')[0]}/{sidecar['file']}" not in end.images:
            yield f"I2 {name} has no image"


def _current(end: Snapshot, task_id: str) -> list[Row]:
    return [row for row in end.stored if row["task_id"] == task_id and row["current"]]


def _bought_once(end: Snapshot) -> Iterator[str]:
    posts: dict[str, list[Post]] = {}
    for post in end.posts:
        posts.setdefault(_bought(post, end), []).append(post)
    for each in posts.values():
        if len(each) > 1 + RESENDS:
            yield f"I3 {each[0].prompt} was sent {len(each)} times"
    attempts: dict[str, list[Row]] = {}
    for row in end.attempts:
        attempts.setdefault(row["fingerprint"], []).append(row)
    for rows in attempts.values():
        for before, after in pairwise(rows):
            if before["class"] != "unknown":
                yield f"I3 {after['task_id']} was sent again after {before['state']} {before['class'] or ''}"
            if not after["possible_duplicate"]:
                yield f"I3 {after['task_id']} was sent again, and is not called a possible duplicate"


def _unknowns_were_open(kills: Sequence[Snapshot], end: Snapshot) -> Iterator[str]:
    opened = {row["attempt_id"] for kill in kills for row in kill.attempts if row["state"] == "sent"}
    for row in end.attempts:
        if row["class"] == "unknown" and row["attempt_id"] not in opened:
            yield f"I5 {row['task_id']} is unknown, and no kill left its attempt open"


def _nothing_open(end: Snapshot) -> Iterator[str]:
    for name in end.files:
        if name.startswith("state/") and not name.startswith("state/quarantine/"):
            yield f"I6 {name} is left"
    for row in end.attempts:
        if row["state"] in {"sent", "received"}:
            yield f"I6 an attempt of {row['task_id']} is left {row['state']}"


def _costs_counted(end: Snapshot) -> Iterator[str]:
    charged_usd = IMAGE_USD * sum(post.charged for post in end.posts)
    if end.cost_usd < charged_usd - 1e-9:
        yield f"I8 the provider charged {charged_usd:.6f} USD, the ledger has {end.cost_usd:.6f}"


def _reports_agree(end: Snapshot) -> Iterator[str]:
    page, lines = end.files.get("index.html", b"").decode(), end.files.get("results.jsonl", b"").decode()
    told = [json.loads(line) for line in lines.splitlines()]
    tasks = sorted(
        (row for row in end.tasks.values() if row["in_manifest"]), key=lambda row: int(row["position"])
    )
    wanted = [(row["task_id"], row["state"], row["class"]) for row in tasks]
    if [(line["task_id"], line["state"], line["class"]) for line in told] != wanted:
        yield "I9 results.jsonl is not what the ledger says"
    for line in told:
        images = _current(end, line["task_id"])
        if line["state"] == "stored" and [(line["file"], line["sha256"])] != [
            (row["file"], row["sha256"]) for row in images
        ]:
            yield f"I9 results.jsonl has another image for {line['task_id']}"
    missing = [row["task_id"] for row in tasks if row["task_id"] not in page]
    if missing:
        yield f"I9 index.html does not show {missing}"
