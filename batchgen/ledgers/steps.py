"""The steps of a run as changes of the ledger: each function is one caller's part of a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any

from batchgen.core.plan import RESENDS
from batchgen.core.records import Due, RunRecord, Totals, Unfinished
from batchgen.core.retry import NextStep
from batchgen.core.types import (
    Attempt,
    Failure,
    FailureClass,
    ImageRequest,
    Link,
    Paid,
    Price,
    PriceKind,
    Stored,
    TaskState,
    forgotten_task,
)
from batchgen.core.values import replace
from batchgen.ledgers.history import keep_shares
from batchgen.ledgers.queries import queries
from batchgen.ledgers.reconcile import request_for
from batchgen.ledgers.rows import attempt_of, link_fields, link_of
from batchgen.ledgers.staging import put_image
from batchgen.ledgers.tasks import dump_pictures, task_of
from batchgen.ledgers.values import amount, count, dump, moment, reads, storable, sum_usd


def begin_run(connection: sqlite3.Connection, run: RunRecord) -> None:
    """Note a run, and what the job is now."""
    sql = queries()
    fields = {
        "run_id": run.run_id,
        "manifest": run.manifest,
        "provider": run.provider,
        "host": run.host,
        "started": run.started,
    }
    connection.execute(sql["run_begin"], fields)
    facts = {"job": run.job, "manifest": run.manifest, "provider": run.provider, "host": run.host}
    if run.store:
        facts["store"] = run.store
    for key, value in facts.items():
        connection.execute(sql["job_set"], {"key": key, "value": value})


def end_run(connection: sqlite3.Connection, run_id: str, ended: str, stopped_by: str | None) -> None:
    """Note a run's end."""
    connection.execute(queries()["run_end"], {"run_id": run_id, "ended": ended, "stopped_by": stopped_by})
    if connection.execute(queries()["fact"], {"key": TOTALS}).fetchone() is None:
        _keep_totals(connection)
        keep_shares(connection)


@reads
def unfinished(connection: sqlite3.Connection) -> list[Unfinished]:
    """What a dead run left open, as it was sent."""
    connection.execute(queries()["stage_create"])
    return [_unfinished(connection, row) for row in connection.execute(queries()["unfinished"]).fetchall()]


def _unfinished(connection: sqlite3.Connection, row: sqlite3.Row) -> Unfinished:
    wanted = {"task_id": row["task_id"], "fingerprint": row["fingerprint"]}
    task = request_for(connection, **wanted)
    if task is None:  # what it may have cost is still known
        reserved = Price(PriceKind.UNPRICED, bound_usd=amount(row["reserved_usd"]))
        task = replace(forgotten_task(**wanted), price=reserved)
    unknowns, resends_allowed = row["unknowns"], row["resends_allowed"]
    if unknowns is None:
        (unknowns,) = connection.execute(queries()["lost_count"], wanted).fetchone()
        resends_allowed = RESENDS
    return Unfinished(
        attempt_of(row, task),
        link=link_of(row),
        unknowns=count(unknowns),
        resends_allowed=count(resends_allowed),
    )


def open_links(connection: sqlite3.Connection) -> list[str]:
    """Tasks of the manifest that wait for paid links, once a link."""
    connection.execute(queries()["stage_create"])
    return [row["waiting"] for row in connection.execute(queries()["open_links"])]


@reads
def due(
    connection: sqlite3.Connection, run_id: str, models: Collection[str], now: str, limit: int
) -> list[Due]:
    """The first queued tasks that may be sent now."""
    wanted = {"run_id": run_id, "now": now, "limit": limit}
    # Model by model, since only so an index has them in their order.
    asked = ({**wanted, "model": model} for model in sorted(set(models)))
    queues = [connection.execute(queries()["due"], one).fetchall() for one in asked]
    return [
        Due(
            task_of(row),
            number=row["attempts"] + 1,
            tried=count(row["tried"]),
            unknowns=count(row["unknowns"]),
            resends_allowed=count(row["resends_allowed"]),
            idempotency_key=row["retry_key"],
        )
        for row in islice(merge(*queues, key=itemgetter("position")), limit)
    ]


@reads
def next_due(connection: sqlite3.Connection, run_id: str, models: Collection[str]) -> str | None:
    """When the next queued task may be sent; "" for at once, None for never."""
    asked = ({"run_id": run_id, "model": model} for model in models)
    found = (moment(connection.execute(queries()["next_due"], one).fetchone()[0]) for one in asked)
    return min((one for one in found if one is not None), default=None)


def sent(connection: sqlite3.Connection, attempt: Attempt) -> None:
    """Note an attempt before its request."""
    sql = queries()
    task = attempt.task
    fields = {
        "attempt_id": attempt.attempt_id,
        "task_id": task.task_id,
        "fingerprint": task.fingerprint,
        "number": attempt.number,
        "run_id": attempt.run_id,
        "idempotency_key": attempt.idempotency_key,
        "started": attempt.started,
        "reserved_usd": task.price.bound_usd,
        "possible_duplicate": attempt.possible_duplicate,
    }
    connection.execute(sql["attempt_insert"], fields)
    connection.execute(sql["task_sent"], {"task_id": task.task_id})


def received(connection: sqlite3.Connection, attempt_id: str, link: Link) -> None:
    """Note a link before it is fetched."""
    sql = queries()
    connection.execute(sql["attempt_received"], link_fields(link) | {"attempt_id": attempt_id})
    connection.execute(sql["task_received"], {"attempt_id": attempt_id})


def stored(connection: sqlite3.Connection, stored: Stored, ended: str, seconds: float) -> None:
    """Note an image that is durable."""
    sql = queries()
    image, answer = stored.image, stored.answer
    put_image(connection, stored)
    fields = {
        "attempt_id": image.attempt_id,
        "http_status": answer.http_status,
        "request_id": storable(answer.request_id),
        "ended": ended,
        "seconds": seconds,
        "cost_usd": image.cost_usd,
    }
    connection.execute(sql["attempt_stored"], fields)
    connection.execute(sql["task_stored"], {"task_id": image.task_id, "fingerprint": image.fingerprint})


def failed(
    connection: sqlite3.Connection,
    attempt: Attempt,
    failure: Failure,
    step: NextStep,
    not_before: str | None,
    ended: str,
    seconds: float,
) -> None:
    """Note a failure and what its task does next. A task that stays `received` keeps its attempt open."""
    sql = queries()
    waits = step.state is TaskState.RECEIVED
    fields = {
        "attempt_id": attempt.attempt_id,
        "task_id": attempt.task.task_id,
        "fingerprint": attempt.task.fingerprint,
        "state": "received" if waits else "failed",
        "task_state": step.state.value,
        "class": failure.failure_class.value,
        "reason": storable(failure.reason),
        "http_status": failure.http_status,
        "request_id": storable(failure.request_id),
        "paid": (Paid.YES if waits else failure.paid).value,
        "not_before": not_before,
        "ended": ended,
        "seconds": seconds,
        "unknown": failure.failure_class is FailureClass.UNKNOWN,
        "retry_key": attempt.idempotency_key if step.same_key else None,
    }
    connection.execute(sql["attempt_failed"], fields)
    connection.execute(sql["task_failed"], fields)


def fail_unsent(connection: sqlite3.Connection, run_id: str, model: str, failure: Failure) -> int:
    """Fail a model's queued tasks."""
    fields = {
        "run_id": run_id,
        "model": model,
        "class": failure.failure_class.value,
        "reason": storable(failure.reason),
    }
    return connection.execute(queries()["fail_unsent"], fields).rowcount


TOTALS = "totals"
"""The fact that holds the job's sums until an attempt changes: the schema's triggers see to that."""


@reads
def totals(connection: sqlite3.Connection, run_id: str | None) -> Totals:
    """Money of a run, or of the job."""
    sql = queries()
    if run_id is not None:
        return _totals(connection.execute(sql["totals_of_run"], {"run_id": run_id}).fetchone())
    kept = connection.execute(sql["fact"], {"key": TOTALS}).fetchone()
    return _totals(json.loads(kept["value"]) if kept else connection.execute(sql["totals"]).fetchone())


def _keep_totals(connection: sqlite3.Connection) -> None:
    """So that who asks a job that has ended need not read a million attempts."""
    sums = tuple(connection.execute(queries()["totals"]).fetchone())
    connection.execute(queries()["job_set"], {"key": TOTALS, "value": json.dumps(sums)})


def _totals(sums: Sequence[Any]) -> Totals:
    attempts, spent_usd, unknown_usd, twice_usd, images, images_usd, useless_usd, refused = sums
    return Totals(
        attempts,
        sum_usd(spent_usd),
        sum_usd(unknown_usd),
        sum_usd(twice_usd),
        images=images,
        images_usd=sum_usd(images_usd),
        useless_usd=sum_usd(useless_usd),
        refused=refused,
    )


def fail_unsent_shape(
    connection: sqlite3.Connection, run_id: str, request: ImageRequest, failure: Failure
) -> int:
    """Fail the queued tasks that ask for the same beside the prompt."""
    fields = {
        "run_id": run_id,
        "model": request.model,
        "parameters": dump(request.parameters),
        "extra": dump(request.extra),
        "pictures": dump_pictures(request),
        "class": failure.failure_class.value,
        "reason": storable(failure.reason),
    }
    return connection.execute(queries()["fail_unsent_shape"], fields).rowcount


@reads
def longest(connection: sqlite3.Connection, models: Collection[str]) -> float:
    """How long the slowest of the last hundred images of these models took, in seconds; 0 when there is none."""
    wanted = {"models": dump(sorted(models))}
    return amount(connection.execute(queries()["longest"], wanted).fetchone()[0]) or 0.0
