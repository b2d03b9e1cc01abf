"""Fill the gaps of a text: what pre-training taught a model, seen directly."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from bertsmith.data.pack import collate
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import DataError
from bertsmith.export.huggingface import (
    ModelFolder,
    load_encoder_decoder,
    load_masked_lm,
    load_tokenizer,
    read_model,
)
from bertsmith.nn.generate import Hypothesis, beam_search
from bertsmith.nn.models import EncoderDecoder, MaskedLM, model_device
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example

Guess = tuple[str, float]
"""A token, or the text of a span, and its probability."""

BEAMS = 4
"""Of a search, at least."""
SPAN_TOKENS = 20
"""Of an answer, for each span that is asked for."""


def fill(
    model: str | Path, text: str, top: int = 5, *, device: str = "auto", precision: str = "auto"
) -> list[list[Guess]]:
    """`fill_spans` where the folder's model has a decoder, else `fill_mask`.

    In fp32 unless `precision` says otherwise: bfloat16 would round near candidates to ties.
    """
    folder = read_model(model)
    hardware = choose_hardware(device, "float32" if precision == "auto" else precision)
    tokenizer = load_tokenizer(folder)
    if folder.has("decoder"):
        network = load_encoder_decoder(folder).to(hardware.device, hardware.dtype)
        return fill_spans(network, tokenizer, text, top)
    masked_lm = load_filler(folder).to(hardware.device, hardware.dtype)
    return fill_mask(masked_lm, tokenizer, text, top)


def load_filler(model: str | Path | ModelFolder) -> MaskedLM:
    """The masked LM of a folder, in evaluation mode.

    Raises ModelError where it has none, or one that knows nothing of what stands after a mask.
    """
    folder = model if isinstance(model, ModelFolder) else read_model(model)
    if folder.config.causal:
        raise folder.lacks("way to fill a mask", "it reads from left to right; use another model")
    return load_masked_lm(folder)


@torch.no_grad()
def fill_mask(model: MaskedLM, tokenizer: Tokenizer, text: str, top: int = 5) -> list[list[Guess]]:
    """For each [MASK] of `text`, the `top` most probable tokens, the best first.

    Every [MASK] is filled on its own, the others still masked. Raises DataError where the
    text has none, or is longer than the model reads.
    """
    mask = tokenizer.specials[-1]
    encoding = tokenizer.encode(text)
    input_ids = np.array(encoding.ids, dtype=np.int64)
    positions = np.flatnonzero(input_ids == tokenizer.mask_id)
    if not len(positions):
        raise DataError(
            f"no {mask} in the text",
            where=repr(text[:60]),
            mend=f"write {mask} where a word is to be found",
        )
    limit = model.encoder.config.max_position_embeddings
    if len(input_ids) > limit:
        raise DataError(
            f"the text has {len(input_ids)} tokens, and the model reads {limit}",
            where=repr(text[:60]),
            mend="shorten the text",
        )
    example = Example(input_ids, np.array(encoding.type_ids, dtype=np.int64))
    device = model_device(model)
    batch = collate([example], [0]).to(device)
    was_training = model.training
    model.eval()
    scores = model.scores(model(batch), torch.from_numpy(positions).to(device)).float()
    model.train(was_training)
    best = scores.softmax(dim=1).topk(min(top, scores.shape[1]), dim=1)
    return [
        [(tokenizer.text(index), probability) for index, probability in zip(*row, strict=True)]
        for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def fill_spans(
    model: EncoderDecoder, tokenizer: Tokenizer, text: str, top: int = 5
) -> list[list[Guess]]:
    """For each sentinel of `text`, what the best answers of a beam search say there, the best
    answer first, and `top` different guesses at most.

    An answer begins with the first sentinel, and ends with its end token or where it turns to a
    gap that the text has not. A guess has the probability of its tokens and its end, given what
    the answer says before it; a sentinel that an answer leaves out has an empty guess of
    probability 0. `model` is in evaluation mode. Raises DataError where the text has no sentinel.
    """
    ids = np.array(tokenizer.encode(text).ids, dtype=np.int64)
    sentinels = [index for index in dict.fromkeys(ids.tolist()) if index in tokenizer.sentinel_ids]
    if not sentinels:
        raise DataError(
            "no <extra_id_0> in the text",
            where=repr(text[:60]),
            mend="write <extra_id_0> where words are to be found",
        )
    device = model_device(model)
    batch = collate([Example(ids, np.zeros_like(ids))], [0]).to(device)
    with torch.no_grad():
        _, memory = model.step(torch.tensor([tokenizer.pad_id], device=device), model.begin(batch))
        found = beam_search(
            model.step,
            memory,
            start_id=sentinels[0],
            end_ids={tokenizer.sep_id, *tokenizer.sentinel_ids} - set(sentinels),
            max_length=SPAN_TOKENS * len(sentinels),
            num_beams=max(top, BEAMS),
        )
    answers = [
        Hypothesis((sentinels[0], *answer.ids), (0.0, *answer.log_probabilities))
        for answer in found
    ]
    return [_guesses(answers, tokenizer, sentinel)[:top] for sentinel in sentinels]


def _guesses(answers: Iterable[Hypothesis], tokenizer: Tokenizer, sentinel: int) -> list[Guess]:
    """What the answers say for `sentinel`, each text once, as the first that says it has it."""
    guesses: dict[str, float] = {}
    for answer in answers:
        text, probability = _span(answer, tokenizer, sentinel)
        guesses.setdefault(text, probability)
    return list(guesses.items())


def _span(answer: Hypothesis, tokenizer: Tokenizer, sentinel: int) -> Guess:
    """What `answer` says for `sentinel`, up to the next sentinel or the end."""
    if sentinel not in answer.ids:
        return "", 0.0
    begin = answer.ids.index(sentinel) + 1
    ends = (*tokenizer.sentinel_ids, tokenizer.sep_id)
    length = next((at for at, index in enumerate(answer.ids[begin:]) if index in ends), None)
    end = len(answer.ids) if length is None else begin + length
    probability = math.exp(sum(answer.log_probabilities[begin : end + 1]))
    return tokenizer.decode(answer.ids[begin:end]).strip(), probability
