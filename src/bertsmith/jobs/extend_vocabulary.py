"""A domain's words added to a model: its tokenizer, its embedding, and what they save."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from bertsmith.errors import ConfigError, DataError, ModelError
from bertsmith.export.folder import CONFIG, load_tokenizer
from bertsmith.export.model_card import model_card
from bertsmith.export.sentences import (
    SETTINGS,
    is_sentence_folder,
    read_sentence_folder,
    write_steps,
)
from bertsmith.export.vocabulary import save_with_words
from bertsmith.files import check_replaceable, replace_folder
from bertsmith.jobs.source import shown_name
from bertsmith.text.record_files import TEXT
from bertsmith.text.sources import Layout, read_texts
from bertsmith.text.vocabulary import (
    Cut,
    NewWord,
    count_words,
    cut,
    most_useful,
    new_words,
    read_words,
    require_wordpiece,
    with_words,
)


@dataclass(frozen=True)
class Extension:
    """What was added, and how the counted words are cut before and after."""

    added: tuple[NewWord, ...]
    vocab_size: int
    """Tokens of the new tokenizer."""
    before: Cut
    after: Cut


def extend_vocabulary(
    model: str | Path,
    out: str | Path,
    *,
    texts: Sequence[str | Path] = (),
    add: int = 0,
    words: str | Path | None = None,
    layout: Layout = "auto",
    text_column: str = TEXT,
    progress: Callable[[int, int], None] = lambda done, total: None,
    now: Callable[[str], None] = lambda what: None,
) -> Extension:
    """Write `model` with further words into the folder `out`; see `bertsmith.text.vocabulary`.

    A folder of sentence-transformers stays one, with the same steps after its last layer.
    `words` is a file of words to add, one a line; `add` more are those that would save the most
    tokens of `texts`. Without texts the words of the file are what is counted. Raises ConfigError
    for choices that do not go together, DataError for what is wrong with the files,
    TokenizerError and ModelError for a model that cannot be extended.
    """
    model, out = Path(model), Path(out)
    if bool(texts) != (add > 0) and not (texts and words):
        raise ConfigError("--text and --add go together", mend="give both, or --words FILE")
    if not texts and words is None:
        raise ConfigError("no word was named", mend="give --text and --add, or --words FILE")
    if out.resolve() == model.resolve():
        raise ConfigError("is the model itself", where=out, mend="choose another folder")
    check_replaceable(out, CONFIG, ModelError)
    sentences = read_sentence_folder(model)
    source = sentences.source
    if not source.has("encoder"):
        raise source.lacks("encoder", "give a model that reads whole sequences")
    tokenizer = load_tokenizer(source)
    require_wordpiece(tokenizer, model)
    given = [] if words is None else read_words(tokenizer, Path(words))
    counts = Counter(given)
    if texts:
        counts = count_words(tokenizer, read_texts(texts, layout, progress, text_column))
    now("choosing words")
    added = new_words(tokenizer, given, counts)
    added += most_useful(tokenizer, counts, add, but=given)
    if not added:
        raise DataError(
            "every word is one token already, or too rare to be worth one",
            where=words if words is not None else "--text",
            mend="give other words, or more text",
        )
    extended = with_words(tokenizer, [word.word for word in added])
    card = model_card(
        out.resolve().name,
        architecture=source.architecture,
        summary=f"`{shown_name(str(model))}` with {len(added):,} further words in its vocabulary, "
        "made with bertsmith. Each begins as the mean of its pieces: pre-train it further on text "
        "with these words.",
        labels=source.labels,
        mask="" if source.config.causal else extended.specials[-1],
    )
    now("writing")
    pieces = [word.piece_ids for word in added]
    with replace_folder(out, holds=CONFIG, error=ModelError) as temporary:
        save_with_words(temporary, source, extended, pieces, card)
        if is_sentence_folder(model):
            write_steps(
                temporary,
                sentences.pooling,
                source.config.hidden_size,
                sentences.max_length,
                sentences.projections,
                sentences.normalise,
            )
            if (model / SETTINGS).exists():  # prompts, and how vectors are compared
                copyfile(model / SETTINGS, temporary / SETTINGS)
    return Extension(
        tuple(added), extended.vocab_size, cut(tokenizer, counts), cut(extended, counts)
    )
