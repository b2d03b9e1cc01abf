"""word2vec: two tables of vectors, and negative sampling for its two architectures.

    skip-gram   each context word's input vector predicts the word
    CBOW        the mean of the context words' input vectors predicts it

A word is predicted by telling it from noise words, with its own and their output vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bertsmith.config import ModelConfig
from bertsmith.nn.gradients import Embedding
from bertsmith.types import Batch


class Word2Vec(nn.Module):
    """v and v' of Mikolov et al. 2013b, section 2: each word's vector as context, which is what
    is kept and used, and its vector as the word predicted.

    Of the config it takes `vocab_size` and `hidden_size`. First values as in the released code.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.input = Embedding(config.vocab_size, size)
        self.output = Embedding(config.vocab_size, size)
        nn.init.uniform_(self.input.weight, -0.5 / size, 0.5 / size)
        nn.init.zeros_(self.output.weight)

    def contexts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The input vectors around each word, (T, C, D), and which are its context, (T, C).

        Word t's context is the `targets["windows"][t]` words of its sequence on each side. C is
        twice the widest window.
        """
        windows_T, device = batch.targets["windows"], batch.input_ids.device
        widest = int(windows_T.max()) if batch.num_tokens else 1
        offsets = [offset for offset in range(-widest, widest + 1) if offset]
        padded = functional.pad(self.input(batch.input_ids), (0, 0, widest, widest))
        begins = [widest + offset for offset in offsets]
        around_TCD = torch.stack([padded[at : at + batch.num_tokens] for at in begins], dim=1)
        lengths_B = torch.tensor(batch.lengths, device=device)
        lengths_T = lengths_B.repeat_interleave(lengths_B)
        offsets_C = torch.tensor(offsets, device=device)
        places_TC = batch.position_ids[:, None] + offsets_C
        is_inside_TC = (places_TC >= 0) & (places_TC < lengths_T[:, None])
        return around_TCD, is_inside_TC & (offsets_C.abs() <= windows_T[:, None])


def skip_gram_loss(model: Word2Vec, batch: Batch) -> dict[str, Tensor]:
    """Every word predicted from each word of its context; the mean over the pairs."""
    total = batch.total(lambda share: _num_contexts(share).sum())
    return _negative_sampling(batch, model, *model.contexts(batch), total)


def cbow_loss(model: Word2Vec, batch: Batch) -> dict[str, Tensor]:
    """Every word predicted from the mean of its context (Mikolov et al. 2013a, section 3.1); the
    mean over the words that have one.
    """
    around_TCD, is_context_TC = model.contexts(batch)
    counts_T1 = _num_contexts(batch)[:, None]
    shares_TC = is_context_TC / counts_T1.clamp(min=1)
    means_T1D = torch.bmm(shares_TC[:, None, :].to(around_TCD.dtype), around_TCD)
    total = batch.total(lambda share: (_num_contexts(share) > 0).sum())
    return _negative_sampling(batch, model, means_T1D, counts_T1 > 0, total)


def _num_contexts(batch: Batch) -> Tensor:
    """(T,) how many context words each word has."""
    windows_T, before_T = batch.targets["windows"], batch.position_ids
    lengths_B = torch.tensor(batch.lengths, device=before_T.device)
    after_T = lengths_B.repeat_interleave(lengths_B) - 1 - before_T
    return windows_T.minimum(before_T) + windows_T.minimum(after_T)


def _negative_sampling(
    batch: Batch, model: Word2Vec, inputs_TPD: Tensor, is_used_TP: Tensor, total: Tensor
) -> dict[str, Tensor]:
    """-log s(v'_w v) - sum log s(-v'_n v) over the noise words n (Mikolov et al. 2013b, eq. 4).

    Each word w of the batch is predicted from those of its P inputs v that are used, against
    the noise in `targets["negatives"]` (T, K); where that is w itself it is left out. Returns
    the mean over inputs, "ns_loss" (nats), and in how many w scores highest, "ns_accuracy", where
    all shares of the batch have `total` of them.
    """
    noise_TK = batch.targets["negatives"]
    words_TW = torch.cat([batch.input_ids[:, None], noise_TK], dim=1)
    scores_TWP = torch.bmm(model.output(words_TW), inputs_TPD.transpose(1, 2)).float()
    true_TP, noise_TKP = scores_TWP[:, 0], scores_TWP[:, 1:]
    is_other_TK1 = (noise_TK != batch.input_ids[:, None])[:, :, None]
    noise_loss_TP = (functional.softplus(noise_TKP) * is_other_TK1).sum(dim=1)
    loss_TP = functional.softplus(-true_TP) + noise_loss_TP
    highest_TP = noise_TKP.masked_fill(~is_other_TK1, -torch.inf).amax(dim=1)
    return {
        "ns_loss": (loss_TP * is_used_TP).sum() / total,
        "ns_accuracy": ((true_TP > highest_TP) & is_used_TP).sum() / total,
    }
