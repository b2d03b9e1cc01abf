"""The arithmetic of docs/scale.md: what a large run takes, from rates that were measured.

    python -m benchmarks.scale

prints the page's table. A figure that changes in docs/results.md is changed here, and the table
in the page made again; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from bertsmith.markdown import markdown_table

# Measured, docs/results.md.
TEXT_BYTES, TOKEN_BYTES, BOUNDARY_BYTES = 400e6, 183.2e6, 36.4e6  # one corpus of Wikipedia
BYTES_A_TOKEN = TEXT_BYTES / (TOKEN_BYTES / 2)  # of text; ids are 16 bits
STORED_A_TOKEN = 2 * (TOKEN_BYTES + BOUNDARY_BYTES) / TOKEN_BYTES
BUILD_RATE = 10.4e6 / 2  # bytes of text a second and core, Zen 4
CPU_RATE = 1272 / 2  # tokens a second and core, L12 H768, Zen 5 in bf16
SHARD_BYTES = 2**25  # of text, text/corpus_building.py
# Published by others; see the page.
A100_RATE = 70_000 * 4096 * 128 / (11.5 * 3600) / 8  # BERT-Base, tokens a second and GPU
# Assumed.
LINK = 25e9  # bytes a second between machines: 200 Gbit/s
GPU_TOKENS = 32_768  # of one GPU's share of a step
PARAMETERS = 110e6
BUILDERS = 64  # cores


@dataclass(frozen=True)
class Plan:
    """One run."""

    name: str
    corpus_tokens: float
    trained_tokens: float
    gpus: int


PLANS = (
    # 16 GB of text (Liu et al. 2019, section 3.2); 900,000 steps of 256 x 128 and 100,000 of
    # 256 x 512 tokens (Devlin et al. 2019, appendix A.2).
    Plan(
        "BERT-base, 3.3 billion words",
        16e9 / BYTES_A_TOKEN,
        256 * (900_000 * 128 + 100_000 * 512),
        gpus=8,
    ),
    Plan("BERT-base, a trillion tokens", 1e12, 1e12, gpus=64),
)


def rows(plan: Plan) -> dict[str, str]:
    """What the run takes, by what it is."""
    text = plan.corpus_tokens * BYTES_A_TOKEN
    step = plan.gpus * GPU_TOKENS
    compute = GPU_TOKENS / A100_RATE
    message = 2 * 4 * PARAMETERS / LINK  # a ring sends each byte twice
    gpu_days = plan.trained_tokens / A100_RATE / 86400
    cpu_years = plan.trained_tokens / (2 * CPU_RATE) / 86400 / 365
    return {
        "text": size(text),
        "corpus, tokens": f"{plan.corpus_tokens / 1e9:,.2f} billion",
        "corpus, on disk": size(plan.corpus_tokens * STORED_A_TOKEN),
        "shards, each written and checksummed as one": f"{ceil(text / SHARD_BYTES):,}",
        "building it": f"{text / BUILD_RATE / 3600:,.1f} core-hours",
        f"building it on {BUILDERS} cores": hours(text / BUILD_RATE / 3600 / BUILDERS),
        "tokens trained on": f"{plan.trained_tokens / 1e9:,.1f} billion",
        "on two cores of a Zen 5": f"{cpu_years:,.1f} years",
        "A100 days": f"{gpu_days:,.1f}",
        "ranks, one a GPU": f"{plan.gpus}",
        "a step": f"{step:,} tokens",
        "steps": f"{plan.trained_tokens / step:,.0f}",
        "computing a step": f"{compute:.3f} s",
        "adding up its gradients, fp32": f"{message:.3f} s at {LINK / 1e9:.0f} GB/s",
        "the whole run": hours(
            plan.trained_tokens / step * (compute + message) / 3600,
        ),
        "a checkpoint": size(12 * PARAMETERS),
    }


def size(count: float) -> str:
    """Bytes, in decimal units."""
    for unit, name in ((1e12, "TB"), (1e9, "GB")):
        if count >= unit:
            return f"{count / unit:,.2f} {name}"
    return f"{count / 1e6:,.0f} MB"


def hours(count: float) -> str:
    """Hours, and days where there are some."""
    return f"{count:,.1f} h" if count < 48 else f"{count / 24:,.1f} days"


def table() -> str:
    """All plans side by side, in Markdown."""
    columns = [rows(plan) for plan in PLANS]
    names = ["", *(plan.name for plan in PLANS)]
    return markdown_table(names, ([name, *(own[name] for own in columns)] for name in columns[0]))


if __name__ == "__main__":
    print(table())
