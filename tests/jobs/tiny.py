"""A toy language of two moods, and tiny models that read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bertsmith.config import ModelConfig
from bertsmith.export.huggingface import save_model
from bertsmith.nn.models import MaskedLM, ReplacedTokenDetector
from wordpieces import wordpiece

GLAD, SAD = ("good", "great", "lovely", "fine"), ("bad", "awful", "dull", "poor")
PLAIN = ("the", "film", "was", "a", "story", "of", "two", "friends", "and", "their", "dog")
POST = ModelConfig(num_layers=2, num_heads=2, hidden_size=32, intermediate_size=64)
PRE = POST.model_copy(
    update={"norm": "pre", "positions": "rotary", "feed_forward": "geglu", "bias": False}
    | {"type_vocab_size": 0, "layer_norm_eps": 1e-5}
)

ALBERT = POST.model_copy(
    update={"embedding_size": 16, "share": "all", "feed_forward": "gelu_tanh", "dropout": 0.0}
)
ELECTRA = POST.model_copy(update={"embedding_size": 16, "pooler": "gelu"})


def write_table(
    path: Path,
    count: int,
    seed: int = 0,
    label: Callable[[str], str] = str,
) -> Path:
    """`count` rows of text and label, made out of "glad" or "sad"."""
    generator = np.random.default_rng(seed)
    lines = ["text\tlabel"]
    for index in range(count):
        words = list(generator.choice(PLAIN, size=generator.integers(3, 12)))
        words.insert(int(generator.integers(len(words))), generator.choice((GLAD, SAD)[index % 2]))
        lines.append(f"{' '.join(words)}\t{label(('glad', 'sad')[index % 2])}")
    path.write_text("\n".join(lines) + "\n")
    return path


def save_tiny_model(folder: Path, config: ModelConfig = POST) -> Path:
    """What pre-training would leave of `config`, having learnt nothing, with its tokenizer."""
    tokenizer = wordpiece([" ".join((*GLAD, *SAD, *PLAIN))], 60)
    torch.manual_seed(0)
    config = config.model_copy(update={"vocab_size": tokenizer.vocab_size})
    albert = config.share == "all"
    model = (
        ReplacedTokenDetector(config)
        if config.pooler == "gelu"
        else MaskedLM(config, config.norm == "post" and not albert, sentence_order=albert)
    )
    save_model(folder, model, tokenizer)
    return folder
