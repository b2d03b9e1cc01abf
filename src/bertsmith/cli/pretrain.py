"""`bertsmith pretrain`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", metavar="RUN.toml|RECIPE")
@click.option("--corpus", required=True, type=click.Path(path_type=Path), help="A corpus folder.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run folder.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one value of the run."
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="Go on from this model folder, with its shape and its tokenizer.",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and the whole config.")
def pretrain(
    run: str,
    corpus: Path,
    out: Path,
    assignments: tuple[str, ...],
    source: Path | None,
    dry_run: bool,
) -> int:
    """Pre-train on a corpus; the same command again goes on where it stopped.

    RUN.toml holds what differs from its recipe's defaults; a recipe's name alone takes them
    all. Ctrl-C or SIGTERM stops cleanly after the current step. For several processes:
    torchrun --nproc-per-node N -m bertsmith pretrain ...
    """
    from bertsmith.engine.distributed import joined
    from bertsmith.jobs.pretrain import load_config
    from bertsmith.jobs.pretrain import pretrain as job
    from bertsmith.jobs.setup import describe, prepare
    from bertsmith.text.corpus import Corpus

    with joined() as group:
        config, opened = load_config(run, assignments, source, out), Corpus.open(corpus)
        if dry_run:
            setup = prepare(config, opened, group)
            lines = [f"{name:>16}  {value}" for name, value in describe(setup).items()]
            lines += ["", setup.config.to_toml().rstrip()]
            status = 0
        else:
            result = job(config, opened, out)
            scores = result.evaluation.items()
            lines = [f"held-out {name:<14} {score:.3f}" for name, score in scores]
            if result.finished:
                lines += [f"model   {result.model}", f"report  {out / 'report.html'}"]
            else:
                tokens = f"{result.tokens:,} tokens"
                lines += [f"stopped after {tokens}; the same command goes on from there"]
            status = result.exit_status
        if group.leads:
            click.echo("\n".join(lines))
    return status
