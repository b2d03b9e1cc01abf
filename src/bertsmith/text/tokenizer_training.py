"""Tokenizers out of text, with five kinds of vocabulary.

    wordpiece    BERT's: greedy longest pieces, `##` inside a word (Schuster & Nakajima 2012)
    bpe          byte-level pair merges, never an unknown token (Sennrich et al. 2016)
    unigram      the most probable pieces (Kudo 2018)
    words        whole words
    characters   single characters, `##` inside a word

All kinds share BERT's normaliser: control characters out, Chinese characters set apart,
accents stripped, lower case, each of the last three a choice of its own. With RoBERTa's
special tokens, byte-level BPE is RoBERTa's own and changes nothing in the text; with T5's,
Unigram has sentinels for spans that are cut out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers

from bertsmith.config import MAX_VOCABULARY
from bertsmith.errors import BertsmithError, ConfigError, TokenizerError
from bertsmith.text.alphabet import CharacterCounts, bare, choose_pieces
from bertsmith.text.pieces import pieces
from bertsmith.text.pipeline import (
    FIRST,
    IN_ROLES,
    SPECIAL_TOKENS,
    Kind,
    SpecialTokens,
    add_roberta_template,
    bert_template,
    numbered,
    t5_template,
    word_format,
)
from bertsmith.text.tokenizer import Tokenizer


def train_tokenizer(
    texts: Iterable[str],
    vocab_size: int,
    kind: Kind = "wordpiece",
    *,
    lowercase: bool = True,
    strip_accents: bool = False,
    isolate_chinese: bool = True,
    min_frequency: int = 2,
    special_tokens: SpecialTokens = "bert",
    show_progress: bool = False,
) -> Tokenizer:
    """A vocabulary of `vocab_size` tokens for `texts`, special tokens first.

    For `characters`, whose number the text decides, `vocab_size` is the most there may be. What
    occurs less than `min_frequency` times is left out, but for `unigram`, which weighs all, and
    `characters`; of `wordpiece`, what is longer than a character, and which characters there are
    `bertsmith.text.alphabet` says.
    With `special_tokens` "roberta", which goes with `bpe` and text as it is, the tokenizer is
    transformers' RobertaTokenizer: `<s>` is 0 and `<mask>` the last. Those of "t5" go with
    `unigram`: `</s>` ends a text, nothing opens it, and there are 100 sentinels. Raises
    ConfigError for choices that do not go together, TokenizerError where the text cannot fill
    the vocabulary.
    """
    _check_choices(kind, vocab_size, special_tokens, lowercase or strip_accents or isolate_chinese)
    is_roberta = special_tokens == "roberta"
    first, roles = FIRST[special_tokens], IN_ROLES[special_tokens]
    backend = tokenizers.Tokenizer(_EMPTY_MODELS[kind]())
    if not is_roberta:
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=isolate_chinese,
            strip_accents=strip_accents,
            lowercase=lowercase,
        )
    backend.pre_tokenizer, backend.decoder = word_format(kind, plain=is_roberta)
    if kind == "characters":
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex("."), "isolated")]
        )
    room = vocab_size - is_roberta  # for `<mask>`
    counts = CharacterCounts()
    trainer = _trainer(kind, room, first, roles[1], min_frequency, show_progress)
    _train(backend, counts.of(texts), trainer)
    backend.model = _settled_model(kind, backend, vocab_size, first, roles[1], counts)
    backend.pre_tokenizer, backend.decoder = word_format(kind, plain=is_roberta)
    if is_roberta:
        add_roberta_template(backend)
    size = backend.get_vocab_size()
    if size != vocab_size and kind != "characters":
        if size > vocab_size:
            raise TokenizerError(
                f"the text's characters alone fill {size} tokens, more than {vocab_size}",
                mend=f"ask for --vocab-size {size} or more, or use --kind bpe",
            )
        raise TokenizerError(
            f"the text fills a {kind} vocabulary of {size} tokens, not {vocab_size}",
            mend=f"ask for --vocab-size {size} or less, or give more text",
        )
    assert [backend.token_to_id(token) for token in first] == list(range(len(first)))
    if special_tokens == "bert":
        backend.post_processor = bert_template(*map(SPECIAL_TOKENS.index, ("[CLS]", "[SEP]")))
    elif special_tokens == "t5":
        backend.post_processor = t5_template(first.index("</s>"))
    return Tokenizer(backend, roles)


def _check_choices(
    kind: Kind, vocab_size: int, special_tokens: SpecialTokens, normalises: bool
) -> None:
    if kind not in get_args(Kind):
        raise ConfigError(f"no kind {kind!r}", mend=f"choose from {', '.join(get_args(Kind))}")
    smallest = len({*FIRST[special_tokens], *IN_ROLES[special_tokens]}) + (
        256 if kind == "bpe" else 1
    )
    if vocab_size > MAX_VOCABULARY:
        raise ConfigError(
            f"a vocabulary of {vocab_size:,} is too large", mend=f"{MAX_VOCABULARY:,} are the most"
        )
    if vocab_size < smallest:
        raise ConfigError(
            f"a {kind} vocabulary of {vocab_size} has no room", mend=f"ask for {smallest} or more"
        )
    if special_tokens == "roberta" and (kind != "bpe" or normalises):
        raise ConfigError(
            "RoBERTa's special tokens go with byte-level BPE of text as it is",
            mend="choose kind bpe, without lower-casing, accent stripping or isolated Chinese; on "
            "the command line --recipe roberta has all of it",
        )
    if special_tokens == "t5" and kind != "unigram":
        raise ConfigError(
            "T5's special tokens go with a unigram vocabulary",
            mend="choose kind unigram; on the command line --recipe t5 has all of it",
        )


_EMPTY_MODELS: dict[str, Any] = {
    "wordpiece": lambda: models.WordPiece(unk_token="[UNK]"),
    "bpe": lambda: models.BPE(),
    "unigram": lambda: models.Unigram(),
    "words": lambda: models.WordLevel(unk_token="[UNK]"),
    "characters": lambda: models.WordLevel(unk_token="[UNK]"),
}


def _trainer(
    kind: Kind,
    vocab_size: int,
    first: Sequence[str],
    unknown: str,
    min_frequency: int,
    show_progress: bool,
) -> Any:
    common: dict[str, Any] = {
        "vocab_size": vocab_size,
        "special_tokens": list(first),
        "show_progress": show_progress,
    }
    match kind:
        case "wordpiece":
            # Room for every character twice, at a word's beginning and inside it: which of them are
            # kept is decided when all have been counted (`bertsmith.text.alphabet`).
            common["vocab_size"] = 3 * vocab_size
            return trainers.WordPieceTrainer(
                **common, min_frequency=min_frequency, limit_alphabet=vocab_size
            )
        case "bpe":
            return trainers.BpeTrainer(
                **common,
                min_frequency=min_frequency,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            )
        case "unigram":
            return trainers.UnigramTrainer(**common, unk_token=unknown)
        case "words":
            return trainers.WordLevelTrainer(**common, min_frequency=min_frequency)
        case "characters":
            common["vocab_size"] = 2**31
            return trainers.WordLevelTrainer(**common, min_frequency=1)


def _train(backend: tokenizers.Tokenizer, texts: Iterable[str], trainer: Any) -> None:
    # The library gathers some hundred texts at a time, so they had better be small; and what
    # it takes for a special token when it encodes is no word to learn.
    special = re.compile("|".join(re.escape(token.content) for token in trainer.special_tokens))
    parts = (special.sub(" ", piece) for piece in pieces(texts))
    try:
        backend.train_from_iterator(parts, trainer)
    except BertsmithError:
        raise
    except Exception as error:  # the library raises nothing more exact
        if "not large enough" not in str(error):
            raise
        raise TokenizerError(
            f"a vocabulary of {trainer.vocab_size} is too small for the text's characters",
            mend="ask for a larger --vocab-size, or use --kind bpe",
        ) from None


def _settled_model(
    kind: Kind,
    trained: tokenizers.Tokenizer,
    vocab_size: int,
    first: Sequence[str],
    unknown: str,
    counts: CharacterCounts,
) -> models.Model:
    """The trained model, its ids in an order that does not change from one run to the next."""
    match kind:
        case "wordpiece":
            by_id = sorted(trained.get_vocab().items(), key=lambda item: item[1])
            found = [token for token, _ in by_id if token not in SPECIAL_TOKENS]
            characters = counts.normalised(trained.normalizer.normalize_str)
            pieces = choose_pieces(found, characters, vocab_size - len(SPECIAL_TOKENS))
            pieces.sort(key=lambda piece: (len(bare(piece)), piece))
            return models.WordPiece(numbered([*SPECIAL_TOKENS, *pieces]), unk_token="[UNK]")
        case "unigram":
            # Rounded, since the last digits change with the order of sums, and in JSON.
            scored = json.loads(trained.to_str())["model"]["vocab"][len(first) :]
            ranked = sorted((-round(score, 6), p) for p, score in scored if p not in first)
            vocabulary = [(token, 0.0) for token in first]
            vocabulary += [(piece, -negative) for negative, piece in ranked]
            return models.Unigram(vocabulary, unk_id=first.index(unknown))
        case "characters":
            return _character_model(trained, vocab_size)
        case _:
            model: models.Model = trained.model
            return model


def _character_model(trained: tokenizers.Tokenizer, vocab_size: int) -> models.BPE:
    """Pair merging with no merges: every character is a token, `##` inside a word."""
    most = (vocab_size - len(SPECIAL_TOKENS)) // 2
    by_id = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    characters = [token for token, _ in by_id if token not in SPECIAL_TOKENS][:most]
    tokens = [*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]
    return models.BPE(numbered(tokens), [], unk_token="[UNK]", continuing_subword_prefix="##")
