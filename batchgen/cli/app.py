"""The command with its verbs, each imported only when it is used: `--help` must not wait for a network library."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

from batchgen import __version__
from batchgen.cli import settle
from batchgen.core.errors import BatchgenError

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "run": "Make what a manifest asks for, or go on with it.",
        "nightly": "Run every manifest of a folder in one night.",
        "plan": "Show what a run would do and cost.",
        "validate": "Show everything that is wrong with a manifest.",
        "status": "Show where jobs stand.",
        "retry": "Order failed, held and missing images again.",
        "verify": "Check every stored byte; repair what can be.",
        "report": "Write a job's report again.",
        "models": "Show which model is for what, and its price.",
        "sandbox": "Serve the embedded image API on this machine.",
        "schema": "Print the JSON Schema of a manifest.",
        "init": "Write a starter manifest and configuration.",
    }
)


class Verbs(click.Group):
    """Verbs by name; the one that is asked for is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """In the order that people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's interface
        """Import a verb's module."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"batchgen.cli.{cmd_name}").command
        settle()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb; for one that there is not, say which was probably meant."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from batchgen.manifest.guess import did_you_mean  # only where it is needed: start-up is a feature

            ctx.fail(f"there is no command '{args[0]}' ({did_you_mean(args[0], VERBS)})")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's interface
        """The table of verbs, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; what a person can mend is said in words, without a traceback."""
        try:
            return super().invoke(ctx)
        except BatchgenError as error:
            from batchgen.cli.saying import say

            say(str(error))
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(err=True)  # the terminal shows ^C in the line
            sys.exit(128 + signal.SIGINT)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="batchgen %(version)s")
def app() -> None:
    """Turn a YAML manifest of prompts into images, overnight, and stay right after a crash, a bad answer or a
    spent budget.

    Start with `batchgen init`, or try `batchgen run MANIFEST --provider sandbox`, which needs no key.
    """  # noqa: D205 - click shows the text as it is
