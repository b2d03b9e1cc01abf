"""ELECTRA's two networks: a small masked LM whose guesses a second network has to find.

Clark, Luong, Le & Manning: ELECTRA: Pre-training Text Encoders as Discriminators Rather Than
Generators. ICLR 2020. Where the paper is silent, as its released code has it.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.nn.models import MaskedLM, ReplacedTokenDetector
from bertsmith.types import Batch

TIED = ("word", "position", "token_type", "norm")
"""Parts of the embeddings that are the same in both networks (section 3.2, "Weight Sharing")."""


class Electra(nn.Module):
    """Generator and discriminator over the same embeddings.

    The tables are as wide as the discriminator's; each network projects them to its own
    width where that is another.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.generator = MaskedLM(generator_config(config), next_sentence=False)
        self.discriminator = ReplacedTokenDetector(_embed(config, config.embedding_width))
        theirs = self.discriminator.encoder.embeddings
        for part in TIED:
            setattr(self.generator.encoder.embeddings, part, getattr(theirs, part))


def generator_config(config: ModelConfig) -> ModelConfig:
    """The generator: as deep as the discriminator `config`, `generator_size` times as wide.

    Its attention heads are about as large as the discriminator's, and at least one (section
    3.2, "Smaller Generators").
    """
    share = config.generator_size
    heads = max(1, round(share * config.num_heads))
    head_size = 2 * max(1, round(share * config.hidden_size / heads / 2))  # even, for rotary
    sizes = {
        "num_heads": heads,
        "hidden_size": heads * head_size,
        "intermediate_size": max(1, round(share * config.intermediate_size)),
    }
    return _embed(config.model_copy(update=sizes), config.embedding_width)


def _embed(config: ModelConfig, width: int) -> ModelConfig:
    """`config` with embeddings of `width` columns, and a projection only where it takes one."""
    return config.model_copy(update={"embedding_size": 0 if width == config.hidden_size else width})


def replace_tokens(batch: Batch, sampled_M: Tensor) -> tuple[Batch, Tensor]:
    """The batch with `sampled_M` at the masked positions, and (T,) True where that is no copy.

    The other tokens are the text's own. A sample that happens to be the right token counts as
    real (section 3.1).
    """
    positions_M, labels_M = batch.targets["mlm_positions"], batch.targets["mlm_labels"]
    input_ids_T = batch.input_ids.index_copy(0, positions_M, sampled_M)
    original_T = batch.input_ids.index_copy(0, positions_M, labels_M)
    return replace(batch, input_ids=input_ids_T), input_ids_T != original_T
