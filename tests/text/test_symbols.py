"""Symbols with a language's vocabulary: what they are, what they stand for, and in transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from bertsmith.errors import ConfigError
from bertsmith.text.symbols import count_symbols, symbol_tokenizer, symbols_of
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from wordpieces import wordpiece

WORDS = "the cat sat on a mat and their dog ran after it in rain"
TUNE = '"G"d2B|:^c\'3/2 (3def "E m"z||[1 A,:|'


@pytest.fixture(scope="module")
def own() -> Tokenizer:
    return wordpiece([WORDS], 60)


def test_what_a_symbol_is() -> None:
    assert symbols_of("Ac gT-", "letters") == ["a", "c", "g", "t", "-"]
    assert symbols_of(" C4 c4\tX ", "words") == ["C4", "c4", "X"]
    notes = ['"G"', "d2", "B", "|:", "^c'3/2", "(3", "d", "e", "f", '"', "E", "m", '"', "z"]
    assert symbols_of(TUNE, "notes") == [*notes, "||", "[1", "A,", ":|"]
    assert count_symbols(["ACA", "ca"], "letters") == {"a": 3, "c": 2}


@pytest.mark.parametrize("new", [False, True])
def test_a_symbol_stands_for_a_word_or_for_itself(own: Tokenizer, new: bool) -> None:
    made, meanings = symbol_tokenizer(own, "acgt", "letters", new=new, seed=0)
    ids = made.encode("ACGT n", "a").ids
    assert (ids[0], ids[6], ids[8], ids[5]) == (own.cls_id, own.sep_id, own.sep_id, own.unk_id)
    assert ids[1] == ids[7]
    assert made.vocab_size == own.vocab_size + 4 * new
    for symbol, index in zip("acgt", ids[1:5], strict=True):
        if new:
            assert (meanings[symbol], index) == ("", own.vocab_size + "acgt".index(symbol))
        else:
            assert own.token(index) == meanings[symbol]
            assert meanings[symbol].isalpha()
    assert len({*ids[1:5]}) == 4
    assert made.decode(ids[1:5]) == "a c g t"


def test_the_seed_decides_and_the_vocabulary_ends(own: Tokenizer) -> None:
    drawn = [symbol_tokenizer(own, "acgt", "letters", new=False, seed=s)[1] for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    many = [f"s{number}" for number in range(100)]
    with pytest.raises(ConfigError, match=r"100 symbols, and \d+ words .*--new-embeddings"):
        symbol_tokenizer(own, many, "words", new=False, seed=0)
    made, _ = symbol_tokenizer(own, [*many, "[SEP]", "cat"], "words", new=True, seed=0)
    assert made.vocab_size == own.vocab_size + 101
    assert made.encode("cat dog [SEP]", add_special_tokens=False).ids[1:] == [
        own.unk_id,
        own.sep_id,
    ]


def test_transformers_reads_the_same(own: Tokenizer, tmp_path: Path) -> None:
    for alphabet, text in (("letters", "acgTTx"), ("notes", TUNE), ("words", "C4 c4 [X] C4")):
        made, _ = symbol_tokenizer(own, symbols_of(text, alphabet), alphabet, new=True, seed=0)  # type: ignore[arg-type]
        made.save(tmp_path / alphabet)
        loaded = Tokenizer.load(tmp_path / alphabet)
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / alphabet)
        assert loaded.fingerprint == made.fingerprint
        assert own.unk_id not in made.encode(text).ids
        assert theirs(text)["input_ids"] == made.encode(text).ids == loaded.encode(text).ids


@pytest.mark.parametrize("kind", ["bpe", "words"])
def test_other_vocabularies_have_words_too(kind: str) -> None:
    own = train_tokenizer([WORDS] * 9, 275 if kind == "bpe" else 19, kind)  # type: ignore[arg-type]
    made, meanings = symbol_tokenizer(own, "acg", "letters", new=False, seed=3)
    assert all(word.isalpha() for word in meanings.values())
    assert len({*made.encode("acg").ids}) == 5
