"""A linear-chain conditional random field over flat, unpadded sequences (Lafferty et al. 2001).

    score(y | x) = start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_t-1, y_t] + end[y_n]

Sequences are taken longest first, so that at step t those still going on are the first few
rows: nothing is padded. All sums are exact, in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bertsmith.nn.recurrent import by_step

FORBIDDEN = -1e4
"""The score of what may not be: exp of it is 0 in fp32, and it is finite."""


@dataclass(frozen=True)
class Rules:
    """Which labels may begin a sequence, follow each other and end it: False where not."""

    start: Tensor  # (K,)
    transitions: Tensor  # (K, K), row: the label before
    end: Tensor  # (K,)


class CRF(nn.Module):
    """Scores of K labels beginning a sequence, following each other and ending it."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(num_labels))
        self.transitions = nn.Parameter(torch.zeros(num_labels, num_labels))
        self.end = nn.Parameter(torch.zeros(num_labels))

    def log_likelihood(
        self, emissions_WK: Tensor, lengths: Tensor, labels_W: Tensor, rules: Rules | None = None
    ) -> Tensor:
        """(B,) log p(labels | emissions) of sequences of `lengths` (B,), each at least 1.

        With `rules`, among the sequences that they allow, of which `labels_W` are.
        """
        start_K, transitions_KK, end_K = self._scores(emissions_WK, rules)
        starts = lengths.cumsum(0) - lengths
        score_W = emissions_WK.gather(1, labels_W[:, None]).squeeze(1)
        score_W = score_W.index_add(0, starts, start_K[labels_W[starts]])
        ends = starts + lengths - 1
        score_W = score_W.index_add(0, ends, end_K[labels_W[ends]])
        follows_W = torch.ones_like(labels_W, dtype=torch.bool)
        follows_W[starts] = False
        places = follows_W.nonzero().squeeze(1)
        pairs = transitions_KK[labels_W[places - 1], labels_W[places]]
        score_W = score_W.index_add(0, places, pairs)
        rows_W = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
        score_B = score_W.new_zeros(len(lengths)).index_add(0, rows_W, score_W)
        return score_B - self.log_partition(emissions_WK, lengths, rules)

    def log_partition(
        self, emissions_WK: Tensor, lengths: Tensor, rules: Rules | None = None
    ) -> Tensor:
        """(B,) log of the sum of exp(score) over all label sequences."""
        start_K, transitions_KK, end_K = self._scores(emissions_WK, rules)
        # Taken apart once: a gradient that each step put into a whole would cost S times as much.
        rows_W, sizes = by_step(lengths)
        first_BK, *following = torch.split(emissions_WK[rows_W], sizes.tolist() or [0])
        alpha_bK, ended = start_K + first_BK, list[Tensor]()
        for own_bK in following:
            alive = len(own_bK)
            ended.append(alpha_bK[alive:])
            alpha_bK = (alpha_bK[:alive, :, None] + transitions_KK).logsumexp(dim=1) + own_bK
        alpha_BK = torch.cat([alpha_bK, *reversed(ended)])
        order, _ = _longest_first(lengths)
        return (alpha_BK + end_K).logsumexp(dim=1)[order.argsort()]

    def marginals(
        self, emissions_WK: Tensor, lengths: Tensor, rules: Rules | None = None
    ) -> Tensor:
        """(W, K) the probability of each label at each word: the gradient of log_partition."""
        with torch.enable_grad():
            emissions_WK = emissions_WK.detach().requires_grad_()
            total = self.log_partition(emissions_WK, lengths, rules).sum()
            (marginals_WK,) = torch.autograd.grad(total, emissions_WK)
        return marginals_WK

    @torch.no_grad()
    def viterbi(self, emissions_WK: Tensor, lengths: Tensor, rules: Rules | None = None) -> Tensor:
        """(W,) the most probable labels of each sequence; of equals, those of lower number."""
        start_K, transitions_KK, end_K = self._scores(emissions_WK, rules)
        order, starts = _longest_first(lengths)
        best_bK, ended = start_K + emissions_WK[starts[order]], list[Tensor]()
        back_WK = torch.zeros_like(emissions_WK, dtype=torch.int64)
        steps = list(_steps(lengths[order]))
        for step, alive in steps:
            places = starts[order[:alive]] + step
            ended.append(best_bK[alive:])
            top_bK, back_WK[places] = (best_bK[:alive, :, None] + transitions_KK).max(dim=1)
            best_bK = top_bK + emissions_WK[places]
        label_B = (torch.cat([best_bK, *reversed(ended)]) + end_K).argmax(dim=1)
        labels_W = lengths.new_zeros(len(emissions_WK))
        labels_W[starts[order] + lengths[order] - 1] = label_B
        for step, alive in reversed(steps):
            places = starts[order[:alive]] + step
            labels_W[places - 1] = back_WK[places, labels_W[places]]
        return labels_W

    def _scores(self, like: Tensor, rules: Rules | None) -> tuple[Tensor, Tensor, Tensor]:
        start_K, transitions_KK = self.start.to(like.dtype), self.transitions.to(like.dtype)
        end_K = self.end.to(like.dtype)
        if rules is None:
            return start_K, transitions_KK, end_K
        return (
            start_K.masked_fill(~rules.start, FORBIDDEN),
            transitions_KK.masked_fill(~rules.transitions, FORBIDDEN),
            end_K.masked_fill(~rules.end, FORBIDDEN),
        )


def _longest_first(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) the sequences by falling length, and where each of them starts (not in that order)."""
    order = lengths.argsort(descending=True, stable=True)
    return order, lengths.cumsum(0) - lengths


def _steps(falling_lengths: Tensor) -> list[tuple[int, int]]:
    """(step, how many sequences have a word there) for every step after the first."""
    lengths = falling_lengths.tolist()
    longest = lengths[0] if lengths else 0
    steps, alive = [], len(lengths)
    for step in range(1, longest):
        while lengths[alive - 1] <= step:
            alive -= 1
        steps.append((step, alive))
    return steps
