"""Tokenizers: what they train, save and load, held against transformers."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertsmith.errors import ConfigError, TokenizerError
from bertsmith.text.encoding import CachedEncoder, _words_of
from bertsmith.text.pipeline import SPECIAL_TOKENS, Kind, SpecialTokens
from bertsmith.text.report import tokenizer_report
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer

KINDS: tuple[Kind, ...] = ("wordpiece", "bpe", "unigram", "words", "characters")
TRICKY = [
    "Café naïve Ünïcode don't stop.",
    "中文字符 and 日本語テキスト",
    "emoji 😀👍🏽 [MASK] x \u200b zero",
    "İstanbul ΑΣ Σς ﬁ ① ½\ttab\nline",
    "a\u0301 b\u0301  two  spaces",
    "x" * 150,
    "¿Qué? ¡No! — “quoted”…",
    "",
]


def sample_text(lines: int = 600) -> list[str]:
    rng = random.Random(7)
    stems = ["walk", "talk", "jump", "größ", "naïv", "compute", "read", "write", "Paris", "中文"]
    ends = ["", "s", "ed", "ing", "er", ",", ".", "!", "'t"]
    return [" ".join(rng.choice(stems) + rng.choice(ends) for _ in range(12)) for _ in range(lines)]


SIZES: dict[Kind, int] = {
    "wordpiece": 80, "bpe": 300, "unigram": 55, "words": 40, "characters": 80,
}  # fmt: skip


ROBERTA: dict[str, Any] = {
    "kind": "bpe", "lowercase": False, "isolate_chinese": False, "special_tokens": "roberta",
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_tokenizer(sample_text(), SIZES[request.param], request.param)


def test_special_tokens_come_first(tokenizer: Tokenizer) -> None:
    assert tokenizer.tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.special_ids == frozenset(range(5))
    pair = tokenizer.encode("walks", "talks")
    assert pair.tokens[0] == "[CLS]"
    assert pair.tokens.count("[SEP]") == 2
    assert set(pair.type_ids) == {0, 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("lowercase", "strip_accents", "isolate_chinese"),
    [(True, False, True), (False, True, False), (True, True, True)],
)
def test_transformers_gives_the_same_ids_and_offsets(
    tmp_path: Path, kind: Kind, lowercase: bool, strip_accents: bool, isolate_chinese: bool
) -> None:
    transformers = pytest.importorskip("transformers")
    ours = train_tokenizer(
        [*sample_text(200), *TRICKY],
        {**SIZES, "wordpiece": 110, "unigram": 95}[kind],
        kind,
        lowercase=lowercase,
        strip_accents=strip_accents,
        isolate_chinese=isolate_chinese,
        min_frequency=1,
    )
    ours.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.model_max_length == 512
    assert (theirs.pad_token_id, theirs.mask_token_id) == (ours.pad_id, ours.mask_id)
    for text in TRICKY:
        for pair in (None, "walks talks"):
            mine = ours.encode(text, pair)
            other = theirs(text, pair, return_offsets_mapping=True)
            assert mine.ids == other["input_ids"]
            assert mine.offsets == [tuple(span) for span in other["offset_mapping"]]
            assert mine.type_ids == other["token_type_ids"]
    assert Tokenizer.load(tmp_path).fingerprint == ours.fingerprint
    theirs.save_pretrained(tmp_path / "theirs")
    back = Tokenizer.load(tmp_path / "theirs")
    assert [back.encode(text).ids for text in TRICKY] == [ours.encode(text).ids for text in TRICKY]


@pytest.mark.parametrize("name", ["AutoTokenizer", "RobertaTokenizerFast"])
def test_roberta_s_tokenizer_is_transformers_own(tmp_path: Path, name: str) -> None:
    """Its class makes everything but the vocabulary anew, so that nothing else may differ."""
    transformers = pytest.importorskip("transformers")
    ours = train_tokenizer([*sample_text(200), *TRICKY], 320, min_frequency=1, **ROBERTA)
    assert ours.tokens(range(4)) == ["<s>", "<pad>", "</s>", "<unk>"]
    assert ours.token(319) == "<mask>"
    assert (ours.vocab_size, ours.mask_id, ours.pad_id) == (320, 319, 1)
    ours.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
    }
    theirs = getattr(transformers, name).from_pretrained(tmp_path)
    assert isinstance(theirs, transformers.RobertaTokenizerFast)
    assert len(theirs) == 320
    for text in [*TRICKY, "The <mask> sat<mask>.", " x"]:
        for pair in (None, "walks talks"):
            mine = ours.encode(text, pair)
            other = theirs(text, pair, return_offsets_mapping=True, return_token_type_ids=True)
            assert mine.ids == other["input_ids"]
            assert mine.offsets == [tuple(span) for span in other["offset_mapping"]]
            assert mine.type_ids == other["token_type_ids"] == [0] * len(mine.ids)
    assert Tokenizer.load(tmp_path).fingerprint == ours.fingerprint
    theirs.save_pretrained(tmp_path / "theirs")
    back = Tokenizer.load(tmp_path / "theirs")
    assert [back.encode(text).ids for text in TRICKY] == [ours.encode(text).ids for text in TRICKY]
    assert ours.encode("The <mask> sat").ids[:4] == ours.encode("The<mask> sat").ids[:4]


def test_roberta_s_special_tokens_go_with_bytes_alone() -> None:
    for wrong in ({"kind": "wordpiece"}, {"lowercase": True}, {"strip_accents": True}):
        with pytest.raises(ConfigError, match="go with byte-level BPE of text as it is"):
            train_tokenizer(sample_text(), 320, **{**ROBERTA, **wrong})


T5: dict[str, Any] = {
    "kind": "unigram", "lowercase": False, "isolate_chinese": False, "special_tokens": "t5",
}  # fmt: skip


def test_roberta_s_template_with_another_mask(tmp_path: Path) -> None:
    """transformers' class would make a <mask> of its own."""
    ours = train_tokenizer(sample_text(), 320, **ROBERTA)
    description = ours.backend.to_str().replace("<mask>", "[MASK]")
    other = Tokenizer(type(ours.backend).from_str(description), [*ours.specials[:4], "[MASK]"])
    other.save(tmp_path)
    assert "RobertaTokenizer" not in (tmp_path / "tokenizer_config.json").read_text()
    assert Tokenizer.load(tmp_path).fingerprint == other.fingerprint


def test_t5_s_special_tokens(tmp_path: Path) -> None:
    """In transformers: tests/export/test_t5.py."""
    tokenizer = train_tokenizer([*sample_text(), "of <extra_id_7> </s> it"], 150, **T5)
    assert tokenizer.tokens(range(4)) == ["<pad>", "</s>", "<unk>", "<extra_id_0>"]
    assert tokenizer.tokens(tokenizer.sentinel_ids) == [f"<extra_id_{i}>" for i in range(100)]
    assert tokenizer.special_ids == frozenset(range(103))
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.sep_id) == (0, 2, 1)
    encoded = tokenizer.encode("walks <extra_id_0> talk<extra_id_99>", "jumps")
    assert encoded.tokens[-1] == "</s>"
    assert encoded.tokens.count("</s>") == 2
    assert encoded.tokens.count("<extra_id_0>") == encoded.tokens.count("<extra_id_99>") == 1
    assert set(encoded.type_ids) == {0}
    assert tokenizer.decode(tokenizer.encode("walks talks").ids) == "walks talks"
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert (again.fingerprint, again.specials) == (tokenizer.fingerprint, tokenizer.specials)
    assert not train_tokenizer(sample_text(), 55, "unigram").sentinel_ids


def test_t5_s_special_tokens_go_with_unigram_alone() -> None:
    with pytest.raises(ConfigError, match="go with a unigram vocabulary; choose kind unigram"):
        train_tokenizer(sample_text(), 400, **{**T5, "kind": "bpe"})
    with pytest.raises(ConfigError, match="ask for 104 or more"):
        train_tokenizer(sample_text(), 103, **T5)


def test_a_token_reads_as_in_a_text() -> None:
    for kind in ("bpe", "roberta"):
        _encoder(kind)
        tokenizer = _TRAINED[kind]
        index = tokenizer.encode("x w", add_special_tokens=False).ids[-1]
        assert (tokenizer.token(index), tokenizer.text(index)) == ("Ġw", "w")
        assert tokenizer.text(tokenizer.mask_id) == tokenizer.specials[-1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sentences=st.lists(
        st.text(
            alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40
        ).map(lambda text: " ".join(text.split())),
        max_size=8,
    )
)
@pytest.mark.parametrize("kind", [*KINDS, "roberta"])
def test_words_end_to_end_are_the_sentence(kind: str, sentences: list[str]) -> None:
    sentences = [*sentences, "walks [MASK] Talking, größe 中文x", "[SEP]", "don't </s> <mask>'s"]
    encoder = _encoder(kind)
    assert encoder.by_word
    encoded = encoder.encode(sentences)
    tokenizer = _TRAINED[kind]
    literal = type(tokenizer.backend).from_str(tokenizer.backend.to_str())
    literal.encode_special_tokens = True
    expected = [literal.encode(sentence, add_special_tokens=False) for sentence in sentences]
    assert encoded.ids.tolist() == [index for one in expected for index in one.ids]
    assert encoded.lengths.tolist() == [len(one.ids) for one in expected]
    words = [_words_of(*each) for each in zip(sentences, expected, strict=True)]
    starts = [
        place == 0 or one[place] != one[place - 1] for one in words for place in range(len(one))
    ]
    assert encoded.word_starts.tolist() == starts
    special = {tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id}
    assert not special & set(encoded.ids.tolist())


@pytest.mark.parametrize("names", ["bert", "roberta"])
def test_a_mark_cuts_no_word_of_bytes(names: SpecialTokens) -> None:
    """Whichever script; what GPT-2's pattern keeps together with a mark, such as a comma, stays."""
    text = "हिन्दी भाषा، لُغَةٌ - cafe\u0301s, می\u200cخواهم שָׁלוֹם don't"
    folded = {"lowercase": False, "isolate_chinese": False} if names == "roberta" else {}
    tokenizer = train_tokenizer([text] * 2, 262, kind="bpe", special_tokens=names, **folded)
    encoded = CachedEncoder(tokenizer).encode([text])
    starts = np.flatnonzero(encoded.word_starts).tolist()
    ends = [*starts[1:], len(encoded.ids)]
    words = [
        unicodedata.normalize("NFC", tokenizer.decode(encoded.ids[begin:end].tolist()))
        for begin, end in zip(starts, ends, strict=True)
    ]
    expected = ["हिन्दी", "भाषा،", "لُغَةٌ", "-", "cafés", ",", "می\u200cخواهم", "שָׁלוֹם", "don", "'t"]
    expected = [unicodedata.normalize("NFC", word) for word in expected]
    assert words == [word.replace("\u200c", "") if names == "bert" else word for word in expected]


@pytest.mark.parametrize("names", ["bert", "t5"])
def test_special_tokens_in_a_text_are_no_pieces_of_unigram(names: SpecialTokens) -> None:
    tokenizer = train_tokenizer(
        [*sample_text(), "< > [ ] / _ MASK SEP pad extra id 7"] * 2,
        {"bert": 68, "t5": 166}[names],
        "unigram",
        lowercase=False,
        special_tokens=names,
    )
    texts = ["walks [MASK] talk[SEP]", "<s>walks</s> <pad>", "<extra_id_7>talks", "walks talks"]
    encoded = CachedEncoder(tokenizer).encode(texts)
    assert not tokenizer.special_ids - {tokenizer.unk_id} & set(encoded.ids.tolist())
    plain = tokenizer.encode("walks talks", add_special_tokens=False).ids
    assert encoded.ids.tolist()[-len(plain) :] == plain


def test_an_added_token_leaves_the_space_before_it(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(sample_text(), 320, **ROBERTA)
    tokenizer.backend.add_tokens(["WORD"])
    tokenizer.save(tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    expected = tokenizer.encode("walks WORD talks", add_special_tokens=False).ids
    assert CachedEncoder(tokenizer).encode(["walks WORD talks"]).ids.tolist() == expected


def test_words_of_a_merging_vocabulary_with_gaps(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "gap", "c", "Ġ", "Ġa"]
    vocabulary = {name: index for index, name in enumerate(names) if name != "gap"}
    backend = Backend(models.BPE(vocabulary, [("Ġ", "a")], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    (tmp_path / "tokenizer.json").write_text(backend.to_str())
    encoder = CachedEncoder(Tokenizer.load(tmp_path))
    encoded = encoder.encode(["acc aca"])
    assert encoded.ids.tolist() == [9, 7, 7, 9, 7, 5]
    assert encoded.word_starts.tolist() == [True, False, False, True, False, False]


_TRAINED: dict[str, Tokenizer] = {}
_ENCODERS: dict[str, CachedEncoder] = {}


def _encoder(kind: str) -> CachedEncoder:
    if kind not in _ENCODERS:
        _TRAINED[kind] = (
            train_tokenizer(sample_text(), 320, **ROBERTA)
            if kind == "roberta"
            else train_tokenizer(sample_text(), SIZES[kind], kind)
        )
        _ENCODERS[kind] = CachedEncoder(_TRAINED[kind])
    return _ENCODERS[kind]


def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = sample_text(50)
    expected = _encoder("wordpiece").encode(sentences).ids.tolist()
    monkeypatch.setattr("bertsmith.text.encoding.MAX_WORDS", 3)
    encoder = CachedEncoder(_TRAINED["wordpiece"])
    found = [index for one in sentences for index in encoder.encode([one]).ids.tolist()]
    assert found == expected


def test_a_tokenizer_that_looks_across_spaces_is_used_on_whole_sentences(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend.train_from_iterator(
        sample_text(50), trainers.BpeTrainer(vocab_size=320, special_tokens=specials)
    )
    (tmp_path / "tokenizer.json").write_text(backend.to_str())
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.cls_id, tokenizer.pad_id, tokenizer.mask_id) == (0, 1, 4)
    encoder = CachedEncoder(tokenizer)
    assert not encoder.by_word
    encoded = encoder.encode(["walks talks", "", "walks"])
    assert encoded.ids.tolist() == [
        index for text in ("walks talks", "walks") for index in backend.encode(text).ids
    ]
    assert encoded.word_starts.sum() == 3


def test_a_vocabulary_with_gaps_keeps_all_its_tokens_apart(tmp_path: Path) -> None:
    """A vocab.txt that has a token twice: the second place counts, and the first id is nobody's."""
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "a", "c", "d"]
    (tmp_path / "vocab.txt").write_text("\n".join(entries) + "\n")
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.vocab_size == 10
    assert (tokenizer.token(5), tokenizer.token(9)) == ("", "d")
    encoded = CachedEncoder(tokenizer).encode(["a b c d", "d c"])
    assert encoded.ids.tolist() == [7, 6, 8, 9, 9, 8]
    assert encoded.lengths.tolist() == [4, 2]


def test_a_vocabulary_written_on_windows(tmp_path: Path) -> None:
    entries = ["\ufeff[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s", ""]
    (tmp_path / "vocab.txt").write_bytes("\r\n".join(entries).encode())
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.pad_id == 0
    assert tokenizer.encode("cats").tokens == ["[CLS]", "cat", "##s", "[SEP]"]


def test_an_albert_s_tokenizer_is_known_by_its_names(tmp_path: Path) -> None:
    """As transformers makes it, with the roles written nowhere but in the vocabulary."""
    transformers = pytest.importorskip("transformers")
    trained = train_tokenizer(sample_text(), 60, "unigram")
    pieces = [(piece, score) for piece, score in trained.description["model"]["vocab"][5:]]
    specials = [(token, 0.0) for token in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")]
    theirs = transformers.AlbertTokenizer(vocab=[*specials, *pieces])
    theirs.save_pretrained(tmp_path)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / name).unlink(missing_ok=True)
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.specials == ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    for text in sample_text(20):
        assert tokenizer.encode(text, "a [MASK].").ids == theirs(text, "a [MASK].")["input_ids"]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "words"])
def test_a_vocabulary_that_the_text_cannot_fill_is_refused(kind: Kind) -> None:
    with pytest.raises(TokenizerError, match=r"vocabulary of \d+ tokens, not 5000; ask for"):
        train_tokenizer(["too few words here"] * 3, 5000, kind)


def test_a_vocabulary_without_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="no room"):
        train_tokenizer(["text"], 3)
    with pytest.raises(ConfigError, match="no kind"):
        train_tokenizer(["text"], 300, "syllables")  # type: ignore[arg-type]
    with pytest.raises(TokenizerError, match="too small"):
        train_tokenizer(["abcdefghijklmnopqrstuvwxyz " * 3], 10, "unigram")


@pytest.mark.parametrize("kind", KINDS)
def test_an_absurd_size_is_refused(kind: Kind) -> None:
    with pytest.raises(ConfigError, match=r"of 2,147,483,648 is too large; 16,777,216 are the"):
        train_tokenizer(sample_text(), 2**31, kind)


def test_a_size_below_the_alphabet_is_refused_with_one_that_will_do() -> None:
    text = ["abcdefghijklmnopqrstuvwxyz " * 3]
    with pytest.raises(TokenizerError, match=r"than 30; ask for .* 32 or more"):
        train_tokenizer(text, 30, "unigram")
    assert train_tokenizer(text, 32, "unigram").vocab_size == 32


def test_special_tokens_written_in_the_text_are_not_learned() -> None:
    texts = [(text + " [MASK]") * 3 + " [PA\u200bD]" for text in sample_text()]
    tokenizer = train_tokenizer(texts, 72, "unigram", lowercase=False)
    assert tokenizer.encode("[MASK]", add_special_tokens=False).ids == [4]
    with pytest.raises(TokenizerError, match="fills a unigram vocabulary"):
        train_tokenizer(texts, 100, "unigram", lowercase=False)


def test_a_long_document_is_learned_from_in_little_memory() -> None:
    program = (
        "import resource; from bertsmith.text.tokenizer_training import train_tokenizer\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (400 * 2**20,) * 2)\n"
        "train_tokenizer(['some words and others\\n' * 200_000] * 2, 9, 'words')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=280)


def test_no_text_is_refused() -> None:
    with pytest.raises(TokenizerError, match="fills a wordpiece vocabulary"):
        train_tokenizer([], 300)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "no such tokenizer folder"),
        ("empty", "neither tokenizer.json nor vocab.txt"),
        ("lost", "tokenizer.json is missing"),
        ("cut", "not a tokenizer"),
        ("config", "not JSON"),
        ("vocab", r"no \[SEP\], \[MASK\]"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(tmp_path: Path, damage: str, message: str) -> None:
    folder = tmp_path / "tokenizer"
    if damage != "missing":
        folder.mkdir()
    if damage in ("cut", "config"):
        train_tokenizer(sample_text(), 80).save(folder)
        name = "tokenizer.json" if damage == "cut" else "tokenizer_config.json"
        (folder / name).write_text((folder / name).read_text()[:100])
    if damage == "lost":
        train_tokenizer(sample_text(), 300, "bpe").save(folder)
        (folder / "tokenizer.json").unlink()
    if damage == "vocab":
        (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n")
    with pytest.raises(TokenizerError, match=message) as caught:
        Tokenizer.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is not a JSON object"),
        ('{"unk_token": 5}', "unk_token is 5, which is no text"),
        ('{"mask_token": {"lstrip": true}}', "mask_token is None, which is no text"),
        ('{"strip_accents": "no"}', "strip_accents is 'no'; write true or false there"),
        ('{"do_lower_case": [1]}', r"do_lower_case is '\[1\]'; write true or false there"),
    ],
    ids=range(6),
)
def test_a_config_that_makes_no_sense_is_refused_in_one_line(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(TokenizerError, match=rf"tokenizer_config\.json: {message}") as caught:
        Tokenizer.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-chinese"])
def test_a_published_vocabulary_gives_the_ids_of_transformers(tmp_path: Path, name: str) -> None:
    transformers = pytest.importorskip("transformers")
    source = Path(os.environ.get("BERTSMITH_DATA", "")) / "vocab" / f"{name}_vocab.txt"
    if not source.is_file():
        pytest.skip("BERTSMITH_DATA names no folder with vocab/")
    shutil.copy(source, tmp_path / "vocab.txt")
    ours = Tokenizer.load(tmp_path)
    theirs = transformers.BertTokenizer(vocab=str(source), do_lower_case=True)
    for text in [*TRICKY, *sample_text(50)]:
        assert ours.encode(text, "und größer").ids == theirs(text, "und größer")["input_ids"]


@pytest.mark.parametrize("tokenizer_class", ["BertTokenizer", "ElectraTokenizerFast", None])
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"tokenize_chinese_chars": False},
    ],
    ids=str,
)
def test_a_berts_config_is_above_its_tokenizer_json(
    tmp_path: Path, tokenizer_class: str | None, choices: dict[str, bool]
) -> None:
    """As in transformers: a folder may say one thing in one file and another in the other."""
    transformers = pytest.importorskip("transformers")
    named = {"tokenizer_class": tokenizer_class} if tokenizer_class else {"model_max_length": 512}
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    texts = ["The Café 中国", "DON'T"]
    for lowercase in (True, False):
        words = [
            "The",
            "the",
            *("Café", "cafe", "café"),
            "中",
            "国",
            *("don", "Don", "DON"),
            "'",
            "t",
            "T",
        ]
        (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, *words]) + "\n")
        (tmp_path / "tokenizer_config.json").write_text("{}")
        (tmp_path / "tokenizer.json").unlink(missing_ok=True)
        whole = json.loads(Tokenizer.load(tmp_path).backend.to_str())
        whole["normalizer"] |= {"lowercase": lowercase, "handle_chinese_chars": lowercase}
        (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(named | choices))
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
        ours = Tokenizer.load(tmp_path)
        assert [ours.encode(text).ids for text in texts] == theirs(texts)["input_ids"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("added_tokens.json", {"newword": 6}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"6": {"content": "newword"}}}),
    ],
)
def test_tokens_that_a_vocabulary_lacks_are_not_lost(
    tmp_path: Path, name: str, content: dict[str, object]
) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "a"]) + "\n")
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(TokenizerError, match="lacks 1 tokens that were added, such as 'newword'"):
        Tokenizer.load(tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"[MASK]": 4}')
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert Tokenizer.load(tmp_path).vocab_size == 6


GERMAN = "Die Vögel hören müde Männer über schöne Straßen laufen. " * 20
ENGLISH = "The café served an ordinary cup of tea to every ordinary visitor of the town. " * 20


@pytest.mark.parametrize(
    ("text", "strip", "warned"),
    [(GERMAN, True, True), (GERMAN, False, False), (ENGLISH.replace("é", "e", 18), True, False)],
)
def test_stripping_a_languages_letters_is_warned_of(text: str, strip: bool, warned: bool) -> None:
    tokenizer = train_tokenizer([text], 30, "characters", strip_accents=strip)
    report = tokenizer_report(tokenizer, [text])
    assert any("accent stripping" in warning for warning in report.warnings) == warned


def test_the_report_looks_at_the_text_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertsmith.text.report.SAMPLE_CHARS", 5_000)
    tokenizer = train_tokenizer([GERMAN, ENGLISH], 60, "characters", strip_accents=True)
    texts = [*[ENGLISH.replace("é", "e")] * 10, *[GERMAN] * 10]
    report = tokenizer_report(tokenizer, texts)
    assert 2_000 < report.characters <= 5_000
    assert any("accent stripping" in warning for warning in report.warnings)


def test_the_report_counts() -> None:
    tokenizer = train_tokenizer(["aa bb"] * 5, 7, "words")
    report = tokenizer_report(tokenizer, ["aa bb zzz."])
    assert (report.words, report.tokens) == (4, 4)
    assert report.unknown_rate == 0.5
    assert report.known_characters == 0.5
    tokenizer = train_tokenizer(sample_text(), SIZES["unigram"], "unigram")
    report = tokenizer_report(tokenizer, ["walk §§ walk.", "§"])
    assert (report.characters, report.known_characters) == (12, 9 / 12)
