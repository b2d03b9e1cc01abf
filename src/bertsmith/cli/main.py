"""The `bertsmith` command: verbs are imported only when they are used.

`bertsmith --help` answers in under 0.3 s, so nothing here imports a verb's module; the
table below holds each verb's one line of help.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from typing import NoReturn

import click

from bertsmith.cli.options import require_values
from bertsmith.errors import BertsmithError

VERBS: dict[str, tuple[str, str]] = {
    "tokenizer": ("bertsmith.cli.tokenizer:tokenizer", "Train a tokenizer, or look at one."),
    "vocab": ("bertsmith.cli.vocab:vocab", "Add a domain's words to a model."),
    "corpus": ("bertsmith.cli.corpus:corpus", "Turn text into a token corpus on disk."),
    "pretrain": ("bertsmith.cli.pretrain:pretrain", "Pre-train a model on a corpus."),
    "check": ("bertsmith.cli.check:check", "Look at labelled data before training."),
    "finetune": ("bertsmith.cli.finetune:finetune", "Fine-tune a model on labelled text."),
    "glue": ("bertsmith.cli.glue:glue", "Fine-tune on all of GLUE, and write the submission."),
    "predict": ("bertsmith.cli.predict:predict", "Label texts with a fine-tuned model."),
    "evaluate": ("bertsmith.cli.predict:evaluate", "Score a fine-tuned model on a labelled file."),
    "fill": ("bertsmith.cli.fill:fill", "Fill the [MASK]s of a text."),
    "embed": ("bertsmith.cli.embed:embed", "Turn texts into vectors."),
    "search": ("bertsmith.cli.embed:search", "Find the texts nearest to a query."),
    "analyze": ("bertsmith.cli.analyze:analyze", "Look into a model: tables, figures, a page."),
    "similar": ("bertsmith.cli.vectors:similar", "Name the words nearest to a word."),
    "analogies": ("bertsmith.cli.vectors:analogies", "Score word vectors on analogies."),
    "wordsim": ("bertsmith.cli.vectors:wordsim", "Compare word vectors with people's ratings."),
    "quickstart": (
        "bertsmith.cli.quickstart:quickstart",
        "All of it in ten minutes, no data needed.",
    ),
}


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the journey."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb `cmd_name`; None where there is no such verb."""
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest verb named where there is no such verb."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(VERBS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        name, verb, rest = super().resolve_command(ctx, args)
        if isinstance(verb, click.Group) and rest and rest[0] in verb.commands:
            require_values(verb.commands[rest[0]], rest[1:])
        elif verb is not None:
            require_values(verb, rest)
        return name, verb, rest


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bertsmith", message="%(prog)s %(version)s")
def main() -> None:
    """Your own BERT: raw text in, a pre-trained and fine-tuned model out."""


def run(argv: list[str] | None = None) -> None:
    """Run the command line; errors are one line on stderr and exit code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        status = main.main(args=argv, prog_name="bertsmith", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except BertsmithError as error:
        _fail(str(error))
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":
            raise
        name = error.object[max(0, error.start - 40) : error.end]
        _fail(f"{name!r}: a name that is not UTF-8; rename it")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno is None or error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        mend = (
            "; free some space and run the same command again"
            if error.errno
            in (
                errno.ENOSPC,
                errno.EDQUOT,
            )
            else ""
        )
        _fail(f"{where}{error.strerror}{mend}")
    _leave(status if isinstance(status, int) else 0)


def _fail(message: str) -> NoReturn:
    print(f"bertsmith: error: {' '.join(message.split())}", file=sys.stderr)
    _leave(2)


def _leave(status: int) -> NoReturn:
    """End the process; one of torchrun's without Python's own end.

    FSDP2's caches hold the process group and so its threads, and one of them that lets go of a
    tensor while Python ends aborts the process.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
