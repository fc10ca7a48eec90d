"""`eurolm VERB …`: finds the verb, runs it, turns errors into one message and an exit code.

Verbs are imported when they are called, so that `eurolm --help` answers at once on a login node.
"""

from __future__ import annotations

import errno
import importlib
import json
import sys
from collections.abc import Sequence

import click

from eurolm import __version__
from eurolm.errors import EurolmError, MachineError, StoppedError

# verb → (module, command, one-line help). The help stands here so that listing verbs imports none of them; a verb
# without one is for job scripts and is not listed.
VERBS: dict[str, tuple[str, str, str]] = {
    "init": ("eurolm.cli.init", "init", "Write a config of your own."),
    "run": ("eurolm.cli.run", "run", "Run the stages of a config, here."),
    "launch": ("eurolm.cli.launch", "launch", "Submit a run to Slurm: stages as jobs, training as a chain."),
    "status": ("eurolm.cli.status", "status", "Show stages, jobs, progress and time left of a launched run."),
    "logs": ("eurolm.cli.logs", "logs", "Show the last lines of a launched run's jobs."),
    "cancel": ("eurolm.cli.cancel", "cancel", "Stop a launched run in good order."),
    "doctor": ("eurolm.cli.doctor", "doctor", "Say why a launched run does not go on."),
    "job": ("eurolm.cli.job", "job", ""),
    "preflight": ("eurolm.cli.preflight", "preflight", ""),
    "evaluate": ("eurolm.cli.evaluate", "evaluate", "Score a run's model, or any model, on a suite of tasks."),
    "compare": ("eurolm.cli.compare", "compare", "Say which differences between evaluated models are real."),
    "generate": ("eurolm.cli.generate", "generate", "Continue a prompt with a run's model or a model directory."),
    "bundle": ("eurolm.cli.bundle", "bundle", "Pack a run with its wheels for a machine without internet."),
    "inspect": ("eurolm.cli.inspect", "inspect", "Show what a run, an artifact, a shard or a file holds."),
    "corpus": ("eurolm.cli.corpus", "corpus", "Explain what became of a document; check a corpus again."),
    "tokenizer": ("eurolm.cli.tokenizer", "tokenizer", "Score tokenizers; extend one."),
    "tokens": ("eurolm.cli.tokens", "tokens", "Show, decode and verify token shards."),
    "tasks": ("eurolm.cli.tasks", "tasks", "List evaluation tasks, show their prompts, export them for lm-eval."),
    "which": ("eurolm.cli.which", "which", "List the documents of a training step."),
    "plan": ("eurolm.cli.plan", "plan", "Memory, hours, energy and storage of a run before it is submitted."),
    "cluster": ("eurolm.cli.cluster", "cluster", "Show a machine profile."),
    "verify": ("eurolm.cli.verify", "verify", "Check every file and checkpoint of a run against its hashes."),
    "fork": ("eurolm.cli.fork", "fork", "Begin another training from a checkpoint."),
    "export": ("eurolm.cli.export", "export", "Write the model of a checkpoint in Hugging Face format."),
    "config": ("eurolm.cli.config", "config", "Explain a config, or print its JSON Schema."),
}
ERROR_LABEL = click.style("error:", fg="red", bold=True)
DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}


class LazyGroup(click.Group):
    """A click group whose commands live in modules that are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for verb, (_, _, text) in VERBS.items() if text]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, attribute, _ = VERBS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, _, text) in VERBS.items() if text])


@click.group(
    cls=LazyGroup,
    subcommand_metavar="VERB …",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 2 bad config or input, 10 stopped in good order, 11 receipt, 12 numerics, 14 machine.",
)
@click.version_option(__version__, prog_name="eurolm")
def cli() -> None:
    """From raw text to an evaluated, documented language model."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        cli.main(args=given, prog_name="eurolm", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; the same command goes on where it was.", err=True)
        sys.exit(130)
    except EurolmError as error:
        _fail(error, as_json="--json" in given)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        place = error.filename or "a file"
        _fail(
            MachineError(f"{place} cannot be written: {DISK_ERRORS[error.errno]}. Free space or choose another place "
                         "with run.workspace=DIR, then run the same command again."),
            as_json="--json" in given,
        )  # fmt: skip


def _fail(error: EurolmError, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"level": "error", "message": str(error), "exit_code": error.exit_code}), err=True)
    else:
        label = click.style("stopped:", bold=True) if isinstance(error, StoppedError) else ERROR_LABEL
        click.echo(f"{label} {error}", err=True)
    sys.exit(error.exit_code)
