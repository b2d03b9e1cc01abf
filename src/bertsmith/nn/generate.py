"""What a decoder writes: greedy and beam search over a step function, one input at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from bertsmith.nn.decoder import Memory

Step = Callable[[Tensor, Memory], tuple[Tensor, Memory]]
"""(ids (b,), memory of b sequences) -> scores (b, V) of what comes next, memory with them."""


@dataclass(frozen=True)
class Hypothesis:
    """One answer: its tokens, the end token included where it was reached."""

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]  # of each token, given those before it

    def score(self, length_penalty: float) -> float:
        """Log probability over length ** length_penalty (Wu et al. 2016, section 7, simplified)."""
        length: float = len(self.ids) ** length_penalty
        return sum(self.log_probabilities) / length

    def then(self, token: int, log_probability: float) -> Hypothesis:
        """One token longer."""
        return Hypothesis((*self.ids, token), (*self.log_probabilities, log_probability))


@torch.no_grad()
def greedy(step: Step, memory: Memory, start_id: int, end_id: int, max_length: int) -> Hypothesis:
    """The most probable token each time, until `end_id` or `max_length` tokens."""
    answer, last = Hypothesis((), ()), start_id
    while last != end_id and len(answer.ids) < max_length:
        scores, memory = step(torch.tensor([last], device=memory.past[0].device), memory)
        value, index = scores[0].float().log_softmax(-1).max(dim=-1)
        last = int(index)
        answer = answer.then(last, float(value))
    return answer


@torch.no_grad()
def beam_search(
    step: Step,
    memory: Memory,
    start_id: int,
    end_ids: Collection[int],
    max_length: int,
    num_beams: int = 4,
    length_penalty: float = 1.0,
) -> list[Hypothesis]:
    """Up to `num_beams` answers of at most `max_length` tokens or with one of `end_ids` at their
    end, the best first.

    As transformers' `generate` has it by default (early_stopping False): the `num_beams` best
    of all continuations that have not ended go on; one that ends is kept where it is among
    the `num_beams` best of its round; the search is over when there are `num_beams` answers
    and the best open one would not, ending here, come among them.
    """
    device = memory.past[0].device
    beams, totals_b = [Hypothesis((), ())], torch.zeros(1, device=device)
    answers: list[Hypothesis] = []
    ids_b = torch.tensor([start_id], device=device)

    def score(answer: Hypothesis) -> float:
        return answer.score(length_penalty)

    while True:
        scores_bV, memory = step(ids_b, memory)
        logs_bV = scores_bV.float().log_softmax(dim=-1)
        sums = (totals_b[:, None] + logs_bV).flatten()
        # Of so many at least `num_beams` go on, in however many ways each beam can end.
        best = sums.topk(min((1 + len(end_ids)) * num_beams, len(sums)))
        going: list[tuple[int, float, Hypothesis]] = []
        for rank, (place, total) in enumerate(
            zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ):
            row, token = divmod(place, logs_bV.shape[1])
            longer = beams[row].then(token, float(logs_bV[row, token]))
            if token not in end_ids and len(longer.ids) < max_length:
                going.append((row, total, longer))
            elif rank < num_beams:
                answers.append(longer)
        answers = sorted(answers, key=score, reverse=True)[:num_beams]
        going = going[:num_beams]
        if not going:
            return answers
        length = len(going[0][2].ids)
        within_reach = going[0][1] / length**length_penalty
        if len(answers) == num_beams and within_reach <= score(answers[-1]):
            return answers
        rows = torch.tensor([row for row, _, _ in going], device=device)
        memory = memory.select(rows)
        totals_b = torch.tensor([total for _, total, _ in going], device=device)
        beams = [longer for _, _, longer in going]
        ids_b = torch.tensor([longer.ids[-1] for longer in beams], device=device)
