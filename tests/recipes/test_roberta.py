"""RoBERTa: masks drawn anew, full sentences, its tokenizer; one network there and here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from bertsmith.data.pack import collate
from bertsmith.errors import ConfigError, ModelError
from bertsmith.export.huggingface import load_masked_lm, load_tokenizer, read_model, save_model
from bertsmith.jobs.fill import fill
from bertsmith.jobs.pretrain import PretrainResult, pretrain
from bertsmith.jobs.setup import Setup, prepare
from bertsmith.text.corpus import Corpus
from bertsmith.types import Example

from .toy import config, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("roberta", tmp_path_factory.mktemp("corpus") / "c")


@pytest.fixture(scope="module")
def setup(corpus: Corpus) -> Setup:
    return prepare(config("roberta", data={"masking": "word"}), corpus)


@pytest.fixture(scope="module")
def run(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> PretrainResult:
    return pretrain(config("roberta"), corpus, tmp_path_factory.mktemp("run") / "r")


def test_segments_are_full_and_masks_are_drawn_anew(setup: Setup) -> None:
    (source,) = setup.sources
    one, other = source.plan(0), source.plan(1)
    assert one.lengths.tolist() == other.lengths.tolist()
    assert np.median(one.lengths) >= 24  # of 32, and a sentence has about 6
    tokenizer = setup.tokenizer
    masks = []
    for epoch in (0, 1):
        example = source.example(epoch, 5)
        assert example.input_ids[0] == tokenizer.cls_id
        assert example.input_ids[-1] == tokenizer.sep_id
        assert not example.token_type_ids.any()
        masks.append(example.mlm_positions.tolist())
    assert masks[0] != masks[1]


def test_documents_are_parted_by_a_separator(setup: Setup) -> None:
    (source,) = setup.sources
    plan, sep = source.plan(0), setup.tokenizer.sep_id
    inside = 0
    for index in range(len(plan)):
        segment = source.segment(0, index)
        first = int(plan.begins[index])
        assert segment.input_ids[1] == setup.corpus.read(first, first + 1)[0]
        inside += int((segment.input_ids[:-1] == sep).sum())
    assert inside > 20


def test_words_are_masked_whole(setup: Setup) -> None:
    """A word is what stands between two spaces, punctuation apart; its space is its own."""
    (source,) = setup.sources
    tokenizer, longest = setup.tokenizer, 0
    for index in range(40):
        segment = source.segment(0, index)
        begins = np.flatnonzero(segment.word_starts)
        words = [tokenizer.decode(w.tolist()) for w in np.split(segment.input_ids, begins[1:])]
        assert all(" " not in word.strip() for word in words)
        example = source.example(0, index)
        chosen = np.zeros(len(segment.input_ids), dtype=np.bool_)
        chosen[example.mlm_positions] = True
        for word in np.split(chosen, begins[1:]):
            assert word.all() or not word.any()
            longest = max(longest, int(word.sum()))
    assert longest > 1


@torch.no_grad()
def test_transformers_reads_text_and_says_our_numbers(run: PretrainResult) -> None:
    """Padded there, flat here: positions begin after the padding's in both."""
    texts = ["the cat sees the <mask>.", "this was <mask> number 7. the fox hears the hen."]
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(run.model).eval()
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(run.model)
    assert isinstance(theirs, transformers.RobertaForMaskedLM)
    inputs = their_tokenizer(texts, return_tensors="pt", padding=True)
    expected = theirs(**inputs).logits
    tokenizer, model = load_tokenizer(run.model), load_masked_lm(run.model)
    for row, text in enumerate(texts):
        ids = np.array(tokenizer.encode(text).ids)
        assert inputs["input_ids"][row, : len(ids)].tolist() == ids.tolist()
        batch = collate([Example(ids, np.zeros_like(ids))], [0])
        scores = model.scores(model(batch), torch.arange(len(ids)))
        torch.testing.assert_close(scores, expected[row, : len(ids)], atol=1e-4, rtol=0.0)
    content = theirs.config
    assert (content.pad_token_id, content.bos_token_id, content.eos_token_id) == (1, 0, 2)
    assert (content.max_position_embeddings, content.type_vocab_size) == (66, 1)
    assert their_tokenizer.model_max_length == read_model(run.model).config.max_position_embeddings
    assert len(fill(run.model, texts[0], top=3)[0]) == 3
    assert "the <mask> is here" in (run.folder / "model" / "README.md").read_text("utf-8")


def test_another_padding_is_told_so(tmp_path: Path, run: PretrainResult) -> None:
    """A WordPiece tokenizer pads with 0: its positions begin at 1."""
    pieces = make_corpus("bert", tmp_path / "c")
    with pytest.raises(ConfigError, match=r"pads with 1, and the corpus' pads with 0.* set it to"):
        prepare(config("roberta"), pieces)
    changed = prepare(config("roberta", model={"position_offset": 1}), pieces)
    save_model(tmp_path / "m", changed.model(), changed.tokenizer)
    assert read_model(tmp_path / "m").family == "roberta"
    with pytest.raises(ModelError, match="the tokenizer pads with 0, the model with 1"):
        save_model(tmp_path / "n", load_masked_lm(run.model), changed.tokenizer)
    assert not (tmp_path / "n").exists()
