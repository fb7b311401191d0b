"""`batchgen sandbox`: the embedded image API, alone, with faults on request."""

from __future__ import annotations

import signal
from typing import Any

import anyio
import click

from batchgen.cli.params import Number
from batchgen.core.errors import UsageError
from batchgen.sandbox.faults import AnswerAs, Behaviour
from batchgen.sandbox.mishaps import MISHAPS
from batchgen.sandbox.server import serve

_SHARE = Number(0, 1)
_SECONDS = Number(min=0)


class _Failure(click.ParamType[tuple[str, float]]):
    """A fault by its name, and its share."""

    name = "fault"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Refuse what is no share; whether there is such a fault is the sandbox's to know."""
        name, equals, share = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r} names no share (write {name}=0.1)", param, ctx)
        return name, _SHARE.convert(share, param, ctx)  # type: ignore[arg-type]  # text is what it converts


_FAULTS = "\n".join(
    ("\b", "Faults for --fail:", *(f"  {name:26} {mishap.about}" for name, mishap in MISHAPS.items()))
)


@click.command("sandbox", epilog=_FAULTS)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8801,
    show_default=True,
    help="Port on 127.0.0.1; 0 for any.",
)
@click.option(
    "--latency", "latency_s", type=_SECONDS, default=0.0, metavar="SECONDS", help="What every image takes."
)
@click.option(
    "--rate-limit-share", type=_SHARE, default=0.0, metavar="SHARE", help="Answered 429 with Retry-After."
)
@click.option(
    "--retry-after",
    "retry_after_s",
    type=_SECONDS,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="What those 429 say.",
)
@click.option("--error-share", type=_SHARE, default=0.0, metavar="SHARE", help="Answered 500.")
@click.option("--slow-share", type=_SHARE, default=0.0, metavar="SHARE", help="Answered late.")
@click.option(
    "--slow", "slow_s", type=_SECONDS, default=30.0, show_default=True, metavar="SECONDS", help="How late."
)
@click.option("--cut-share", type=_SHARE, default=0.0, metavar="SHARE", help="Cut in the middle of the answer.")
@click.option(
    "--fail",
    "failures",
    type=_Failure(),
    multiple=True,
    metavar="FAULT=SHARE",
    help="Answered with a fault of the list below; may be repeated.",
)
@click.option("--refuse-word", metavar="WORD", help="Refuse prompts that hold this word.")
@click.option(
    "--images-per-minute",
    type=Number(min=0, min_open=True),
    metavar="N",
    help="A strict limit in any minute.",
)
@click.option(
    "--answer",
    type=click.Choice([way.value for way in AnswerAs]),
    default=AnswerAs.AUTO.value,
    show_default=True,
    help="How images come.",
)
@click.option(
    "--link-lifetime",
    "link_lifetime_s",
    type=_SECONDS,
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="Until a link expires.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which requests meet which fault.")
def command(port: int, **values: Any) -> None:
    """Serve the image API on this machine until it is stopped: it paints for free, takes any key, and fails on request."""
    try:
        chosen = {"answer": AnswerAs(values["answer"]), "failures": dict(values["failures"])}
        behaviour = Behaviour(**(values | chosen))
    except ValueError as error:
        raise UsageError(str(error)) from error
    anyio.run(_serve, behaviour, port)


async def _serve(behaviour: Behaviour, port: int) -> None:
    async with serve(behaviour, port=port) as sandbox:
        click.echo(f"{sandbox.base_url}  (any key works; Ctrl-C stops it)")
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for _ in received:
                return
