"""Masked-LM training steps on a GPU, ours against transformers' BertForMaskedLM.

    python -m benchmarks.gpu [--device cpu --tiny]

Under ten minutes, from a checkout, on a machine with torch (from 2.11), transformers and a CUDA
device. The same network (vocabulary 30,522), dropout 0.1 but on attention weights, fused AdamW,
the same sequences: whole paragraphs of a text, as many as fit, up to 128 or 512 tokens, 15 %
masked. $BERTSMITH_DATA's Wikipedia is read where it is, else the docstrings that Python's
libraries carry.

Theirs is what its users run: SDPA, bf16 autocast, sequences padded to the longest of the batch, or
all to the full length and compiled; the better of the two counts. Ours computes in bf16 with fp32
master weights, without padding, through the variable-length kernel, its layers compiled, gradient
clipping included. Rates are of real tokens, in turns, medians. First our loss and gradient there
must be those of our fp32 network on the processor.

Also printed: model FLOP/s (products of the encoder and of the masked rows of the vocabulary head,
forward and backward; nothing recomputed, nothing for padding) as a share of the rate of the best
of a few large matrix products in bf16, measured on the device.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import bare  # noqa: F401 - before bertsmith
from benchmarks.mistakes import data_at_hand, told_in_a_line
from benchmarks.steps import VOCABULARY, bert_config, vocabulary_products
from benchmarks.timing import Step, ratio
from bertsmith.config import ModelConfig, OptimConfig
from bertsmith.data.pack import collate
from bertsmith.engine.optim import Optimizer
from bertsmith.nn.losses import masked_lm_loss
from bertsmith.nn.models import MaskedLM
from bertsmith.text.docstrings import docstrings
from bertsmith.text.tokenizer_training import train_tokenizer
from bertsmith.types import Batch, Example

SIZES, LENGTHS = ((12, 768), (24, 1024), (4, 256)), (128, 512)
CLS, SEP, MASK, WORDS = 2, 3, 4, 8192
BATCHES, STEP_TOKENS, TEXT_CHARS, SECONDS = 4, 32768, 12_000_000, 1.5
RATIO_BAR, SHARE_BAR = 1.5, 0.5
MOST_DIFFERENCE = 0.02
"""Between our network in bf16 and in fp32, relative."""
MINUTES = 9.0
"""After these, nothing more is begun."""


@dataclass(frozen=True)
class Work:
    """Batches of one length, as ours and as theirs."""

    length: int
    examples: Sequence[Sequence[Example]]  # by batch

    @property
    def tokens(self) -> float:
        """Of a batch, on average."""
        return sum(len(e.input_ids) for batch in self.examples for e in batch) / len(self.examples)

    def ours(self, device: torch.device) -> list[Batch]:
        """Flat batches."""
        return [collate(batch, range(len(batch))).to(device) for batch in self.examples]

    def theirs(self, device: torch.device, whole: bool) -> list[dict[str, Tensor]]:
        """Padded batches: to their longest, in eights as Trainer's collator does, or `whole`."""
        batches = []
        for batch in self.examples:
            longest = max(len(example.input_ids) for example in batch)
            width = self.length if whole else -(-longest // 8) * 8
            rows = {key: np.zeros((len(batch), width), np.int64) for key in ("ids", "mask")}
            labels = np.full((len(batch), width), -100)
            for row, example in enumerate(batch):
                rows["ids"][row, : len(example.input_ids)] = example.input_ids
                rows["mask"][row, : len(example.input_ids)] = 1
                labels[row, example.mlm_positions] = example.mlm_labels
            arrays = {"input_ids": rows["ids"], "attention_mask": rows["mask"], "labels": labels}
            batches.append({key: torch.from_numpy(a).to(device) for key, a in arrays.items()})
        return batches


def texts() -> Iterator[str]:
    """Documents, TEXT_CHARS in all at most."""
    folder = data_at_hand()
    files = sorted(folder.glob("corpora/wikipedia_en_*.jsonl")) if folder else []
    documents = (
        (json.loads(line)["text"] for file in files for line in file.open(encoding="utf-8"))
        if files
        else (text for *_, text in docstrings())
    )
    left = TEXT_CHARS
    for text in documents:
        yield text
        left -= len(text)
        if left < 0:
            return


def sequences(
    documents: Sequence[str], lengths: Sequence[int], words: int
) -> dict[int, list[list[int]]]:
    """For each of `lengths`, whole paragraphs as token ids, as many as fit, a longer one cut.

    They are out of a vocabulary of `words`, which any text fills; the network's is larger.
    """
    tokenizer = train_tokenizer(documents, words, kind="wordpiece", lowercase=True)
    found: dict[int, list[list[int]]] = {length: [] for length in lengths}
    for document in documents:
        separator = "\n\n" if "\n\n" in document else "\n"
        encoded = tokenizer.encode_batch(document.split(separator), add_special_tokens=False)
        paragraphs = [encoding.ids for encoding in encoded if encoding.ids]
        for length, rows in found.items():
            row: list[int] = []
            for ids in paragraphs:
                if row and len(row) + len(ids) > length - 2:
                    rows.append([CLS, *row, SEP])
                    row = []
                row = [*row, *ids][: length - 2]
            if row:
                rows.append([CLS, *row, SEP])
    return found


def make_work(rows: Sequence[list[int]], length: int, step_tokens: int, seed: int = 0) -> Work:
    """BATCHES of about `step_tokens`, drawn at random, 15 % of their tokens masked."""
    generator = np.random.default_rng(seed)
    order = iter(np.resize(generator.permutation(len(rows)), 1 << 20))
    batches = []
    for _ in range(BATCHES):
        batch: list[Example] = []
        while sum(len(example.input_ids) for example in batch) < step_tokens:
            ids = np.array(rows[int(next(order))])
            count = max(1, round(0.15 * len(ids)))
            positions = np.sort(generator.permutation(len(ids))[:count])
            labels = ids[positions]
            ids[positions] = MASK
            batch.append(Example(ids, np.zeros(len(ids), np.int64), positions, labels))
        batches.append(batch)
    return Work(length, batches)


def our_model(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> MaskedLM:
    """The same weights wherever it is."""
    torch.manual_seed(0)
    return MaskedLM(config, next_sentence=False).to(device, dtype).train()


def our_step(config: ModelConfig, work: Work, device: torch.device, backend: str) -> Step:
    """Steps over the batches, one after another."""
    model = our_model(config, device, torch.bfloat16)
    for layer in model.encoder.layers:
        layer.compile(dynamic=True, backend=backend)
    optimizer, batches = Optimizer(model, OptimConfig()), cycle(work.ours(device))

    def step() -> None:
        batch = next(batches)
        masked_lm_loss(model, batch, model(batch))["mlm_loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step(1.0)

    return step


def their_step(config: ModelConfig, work: Work, device: torch.device, backend: str | None) -> Step:
    """Likewise; compiled where a `backend` is given."""
    torch.manual_seed(0)
    sizes = transformers.BertConfig(
        vocab_size=config.vocab_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        attention_probs_dropout_prob=config.attention_dropout,
    )
    model: nn.Module = transformers.AutoModelForMaskedLM.from_config(  # type: ignore[no-untyped-call]
        sizes, attn_implementation="sdpa"
    )
    model.to(device).train()
    if backend is not None:
        model.compile(backend=backend)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batches = cycle(work.theirs(device, whole=backend is not None))

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = model(**next(batches)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(step: Step, device: torch.device, seconds: float) -> float:
    """Median seconds of a step over three rounds of some `seconds` each, whole cycles."""
    for _ in range(2 * BATCHES):  # compiles, and takes its memory
        step()
    wait_for(device)
    began = time.perf_counter()
    for _ in range(BATCHES):
        step()
    wait_for(device)
    count = BATCHES * max(1, round(seconds / (time.perf_counter() - began)))
    rounds = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(count):
            step()
        wait_for(device)
        rounds.append((time.perf_counter() - began) / count)
    return statistics.median(rounds)


def matmul_rate(device: torch.device, sizes: Sequence[int]) -> float:
    """FLOP/s of the best of square products of `sizes` in bf16."""
    best = 0.0
    for size in sizes:
        left, right = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
        seconds = seconds_of(lambda a=left, b=right: a @ b, device, 0.2)  # type: ignore[misc]
        best = max(best, 2.0 * size**3 / seconds)
    return best


def forward_products(config: ModelConfig, work: Work) -> float:
    """Multiply-adds of a forward pass over a batch, on average."""
    hidden, total = config.hidden_size, 0.0
    for example in (example for batch in work.examples for example in batch):
        tokens = len(example.input_ids)
        assert example.mlm_labels is not None
        layer = 4 * hidden**2 + 2 * hidden * config.intermediate_size + 2 * tokens * hidden
        total += tokens * config.num_layers * layer
        total += len(example.mlm_labels) * vocabulary_products(config)
    return total / len(work.examples)


def require_same_network(work: Work, device: torch.device) -> None:
    """End the benchmark where the device's kernels do not compute what the processor does."""
    config = bert_config(2, 128).model_copy(update={"dropout": 0.0, "attention_dropout": 0.0})
    few = Work(work.length, [work.examples[0][:8]])
    values = []
    for place, dtype in ((torch.device("cpu"), torch.float32), (device, torch.bfloat16)):
        model, (batch,) = our_model(config, place, dtype), few.ours(place)
        loss = masked_lm_loss(model, batch, model(batch))["mlm_loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = dict(model.named_parameters())["encoder.layers.0.attention.qkv.weight"].grad
        assert gradient is not None
        values.append((float(loss.detach()), float(gradient.float().norm())))
    print(
        f"loss and gradient in fp32 on the processor {values[0]}, in bf16 on {device} {values[1]}"
    )
    for exact, rounded in zip(*values, strict=True):
        if not abs(exact - rounded) <= MOST_DIFFERENCE * exact:
            raise SystemExit("our network computes something else there")


def measure(config: ModelConfig, work: Work, device: torch.device, peak: float, tiny: bool) -> None:
    """Print one size's lines at one length."""
    name = f"L{config.num_layers}_H{config.hidden_size}_{work.length}"
    backend, seconds = ("eager", 0.01) if tiny else ("inductor", SECONDS)
    rates = {}
    makers: dict[str, Callable[[], Step]] = {
        "ours": partial(our_step, config, work, device, backend),
        "theirs": partial(their_step, config, work, device, None),
        "theirs compiled": partial(their_step, config, work, device, backend),
    }
    for who, make in makers.items():
        torch.compiler.reset()
        try:
            rates[who] = work.tokens / seconds_of(make(), device, seconds)
        except torch.OutOfMemoryError:
            print(f"{name}: {who}: out of memory")
            continue
        finally:
            if device.type == "cuda":
                torch.cuda.empty_cache()
        print(f"{name}: {who}: {rates[who]:,.0f} tokens/s", flush=True)
    if "ours" not in rates or len(rates) == 1:
        return
    theirs = max(rate for who, rate in rates.items() if who != "ours")
    rate = 6.0 * forward_products(config, work) * rates["ours"] / work.tokens
    print(f"{name}: {rate / 1e12:,.1f} model TFLOP/s of {peak / 1e12:,.1f} in bf16")
    ratio(f"gpu_{name}_vs_transformers", rates["ours"] / theirs, RATIO_BAR)
    if (config.num_layers, config.hidden_size) == SIZES[0]:
        ratio(f"gpu_{name}_share_of_bfloat16_matmul_rate", rate / peak, SHARE_BAR)
    else:
        print(f"{name}: {rate / peak:.2f} of the matmul rate")


@told_in_a_line()
def main() -> None:
    """Measure every size at every length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny network: does it run at all")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("this machine has no CUDA device; --device cpu --tiny tries it without")
    began, device, tiny = time.monotonic(), torch.device(given.device), given.tiny
    named = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
    print(f"{named}, torch {torch.__version__}, transformers {transformers.__version__}")
    torch.set_float32_matmul_precision("high")
    documents = [str(thing.__doc__) for thing in vars(functional).values()]
    if not tiny:
        documents = list(texts())
    sizes, lengths = (((2, 64),), (32,)) if tiny else (SIZES, LENGTHS)
    words, vocabulary = (1000, 1000) if tiny else (WORDS, VOCABULARY)
    rows = sequences(documents, lengths, words)
    peak = matmul_rate(device, (256,) if tiny else (4096, 8192, 16384))
    for length in lengths:
        work = make_work(rows[length], length, 256 if tiny else STEP_TOKENS)
        counts = [len(example.input_ids) for batch in work.examples for example in batch]
        print(f"length {length}: sequences of {statistics.fmean(counts):.0f} tokens on average")
        require_same_network(work, device)
    for layers, hidden in sizes:
        fields = {"vocab_size": vocabulary, "attention_dropout": 0.0}
        config = bert_config(layers, hidden).model_copy(update=fields)
        for length in lengths:
            if time.monotonic() - began > 60 * MINUTES:
                print(f"L{layers}_H{hidden}_{length}: no time left")
                continue
            work = make_work(rows[length], length, 256 if tiny else STEP_TOKENS)
            measure(config, work, device, peak, tiny)


if __name__ == "__main__":
    main()
