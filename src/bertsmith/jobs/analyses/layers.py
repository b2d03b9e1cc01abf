"""`bertsmith analyze layers`: a model and labelled text in, what each layer knows of it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.analysis import probes
from bertsmith.analysis.probes import Items
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.folder import ModelFolder
from bertsmith.export.huggingface import load_encoder, load_tagger, load_tokenizer, read_model
from bertsmith.export.sentences import read_sentence_folder
from bertsmith.jobs.progress import Bar
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.features import FeatureTagger
from bertsmith.report import layers as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.report.images import save_or_remove
from bertsmith.tasks.conll import read_sentences
from bertsmith.tasks.schemes import OUTSIDE, scheme_of, split_tag
from bertsmith.tasks.sentences import Sentence, sentence_of
from bertsmith.tasks.windows import encode_sentences
from bertsmith.text.clean import clean_document
from bertsmith.text.sources import read_documents
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example, Float32Array

LONGEST = 300
"""Characters of a sentence that is taken out of a text."""
MOST_SENTENCES = 50_000
"""Read of a text."""
CONTENT_WORDS = 50
"""To be told from one another; Conneau et al. have 1,000, and more text."""
TEST_SHARE = 1 / 3
"""Of the sentences of a text."""
POINTS = 600
"""Words in the plane of most variance."""
FEWEST_POINTS = 3
SEED = 0


@dataclass(frozen=True)
class Probing:
    """A task: examples of both splits, their items, and how vectors are made of them."""

    name: str
    split: str  # in words
    classes: tuple[str, ...]
    train: tuple[list[Example], Items]
    test: tuple[list[Example], Items]
    pool: probes.Pool
    sentences: tuple[Sentence, ...] = ()  # of the test split, where items are words
    left_out: int = 0  # sentences of the test file that the training file has, too


def analyze_layers(
    model: str | Path,
    out: str | Path,
    *,
    pos: tuple[str | Path, str | Path] | None = None,
    ner: tuple[str | Path, str | Path] | None = None,
    texts: Sequence[str] = (),
    tagger: str | Path | None = None,
    words: int = 10_000,
    sentences: int = 3_000,
    draws: int = 3,
) -> Path:
    """Probes of each layer; see `analysis.probes`. Returns the page's path.

    `pos` and `ner` are a training and a test file of tagged words, `texts` give sentences for
    length and word content, `tagger` is a fine-tuned one whose layers are mixed. Probes learn
    from `words` words, or `sentences` sentences, and are tried on half as many, of sentences
    that the training file has not; each control task is drawn `draws` times. Raises DataError,
    ConfigError, ModelError.
    """
    require_folder(out)
    files = {"part of speech": pos, "entity": ner}
    if not (pos or ner or texts or tagger):
        raise ConfigError("nothing to probe", mend="give --pos, --ner, --text or --tagger")
    source = read_sentence_folder(model).source
    mix = None if tagger is None else _mix(tagger)
    if mix and len(mix["weights"]) != source.config.num_layers + 1:
        raise ConfigError(
            f"a tagger of {len(mix['weights']) - 1} layers, where the model has "
            f"{source.config.num_layers}",
            where=str(tagger),
            mend="give one that was fine-tuned from this model",
        )
    tokenizer = load_tokenizer(source)
    tasks = [
        _tagged(name, Path(both[0]), Path(both[1]), tokenizer, source, words)
        for name, both in files.items()
        if both is not None
    ]
    if texts:
        tasks += _of_text(texts, tokenizer, source, sentences)
    encoder = load_encoder(source).to(choose_hardware("auto", "float32").device)
    data: dict[str, Any] = {
        "model": str(model),
        "draws": draws,
        "tasks": [],
        "plane": None,
        "mix": mix,
    }
    layers = source.config.num_layers + 1
    with Bar("probing", max(len(tasks) * (layers + 1), 1)) as bar:
        for number, task in enumerate(tasks):
            if task.left_out:
                bar.say(f"{task.name}: {shown.left_out(task.left_out)}")
            record, test_vectors = _probe(encoder, task, draws, bar, number * (layers + 1))
            data["tasks"].append(record)
            if task.sentences and data["plane"] is None:
                data["plane"] = _plane(task, test_vectors)
    page = write_analysis(Path(out), "layers", data, shown.columns(data), shown.rows(data))
    plane = shown.plane_figure(data["plane"]) if data["plane"] else None
    save_or_remove(plane, Path(out) / "layers-plane")
    save_or_remove(shown.mix_figure(mix) if mix and tasks else None, Path(out) / "layers-mix")
    return page


def _probe(
    encoder: Encoder, task: Probing, draws: int, bar: Bar, done: int
) -> tuple[dict[str, Any], Float32Array]:
    (own_train, train), (own_test, test) = task.train, task.test
    bar.update(done, task.name)
    train_LND, test_LMD = (
        probes.layer_vectors(encoder, examples, task.pool) for examples in (own_train, own_test)
    )
    scores = []
    for layer, (known, unknown) in enumerate(zip(train_LND, test_LMD, strict=True)):
        scores.append(probes.score_layer(known, train, unknown, test, len(task.classes), draws))
        bar.update(done + 2 + layer, f"{task.name}, layer {layer}")
    record = {
        "task": task.name,
        "split": task.split,
        "left_out": task.left_out,
        "classes": list(task.classes),
        "train": len(train),
        "test": len(test),
        "majority": probes.majority(train, test),
        "layers": [asdict(score) for score in scores],
    }
    return record, test_LMD


def _tagged(
    name: str, train: Path, test: Path, tokenizer: Tokenizer, source: ModelFolder, words: int
) -> Probing:
    """Words and their tags; where tags spell spans, the type of the span that a word is in."""
    rows = [read_sentences(path).rows for path in (train, test)]
    known = {_folded(sentence) for sentence in rows[0]}
    unseen = [sentence for sentence in rows[1] if _folded(sentence) not in known]
    if not unseen:
        raise DataError(
            f"{train.name} has all its sentences, too",
            where=test,
            mend="give sentences that a probe has not learnt from",
        )
    drawn = [_draw(rows[0], words), _draw(unseen, words // 2)]
    tags = []
    for path, own, chosen in zip((train, test), rows, drawn, strict=True):
        is_plain = scheme_of(own, str(path)) == "plain"
        tags.append(
            [
                [tag if is_plain else split_tag(tag)[1] or OUTSIDE for tag in sentence.tags]
                for sentence in chosen
            ]
        )
    classes = tuple(sorted({tag for both in tags for own in both for tag in own}))
    if len(classes) < 2:
        raise DataError("one tag only", where=train, mend="give words of two tags or more")
    ids = {tag: number for number, tag in enumerate(classes)}
    limit = source.config.max_position_embeddings
    made = []
    for chosen, own_tags in zip(drawn, tags, strict=True):
        labels = [[ids[tag] for tag in own] for own in own_tags]
        encoded = encode_sentences(chosen, tokenizer, limit, labels)
        types = tuple(word.casefold() for sentence in chosen for word in sentence.words)
        places = np.repeat(np.arange(len(chosen)), encoded.lengths)
        assert encoded.tags is not None
        made.append((encoded.examples, Items(encoded.tags, types, places)))
    split = f"{train.name} and {test.name}, sentences drawn with seed {SEED}"
    return Probing(
        name,
        split,
        classes,
        made[0],
        made[1],
        probes.words_told,
        tuple(drawn[1]),
        len(rows[1]) - len(unseen),
    )


def _folded(sentence: Sentence) -> tuple[str, ...]:
    """The same for sentences that a model without capitals cannot tell apart."""
    return tuple(word.casefold() for word in sentence.words)


def _draw(rows: Sequence[Sentence], words: int) -> list[Sentence]:
    """Sentences in a random order until there are enough words."""
    order = np.random.default_rng(SEED).permutation(len(rows))
    counts = np.cumsum([len(rows[place].words) for place in order])
    enough = int(np.searchsorted(counts, words)) + 1
    return [rows[place] for place in order[:enough]]


def _of_text(
    texts: Sequence[str], tokenizer: Tokenizer, source: ModelFolder, count: int
) -> list[Probing]:
    """Sentence length and word content, of sentences in a random order, each once."""
    found: dict[str, None] = {}
    for document in read_documents(texts):
        clean = clean_document(document.text)[0]
        found.update(dict.fromkeys(text for text in clean if len(text) <= LONGEST))
        if len(found) >= MOST_SENTENCES:
            break
    sentences = [sentence_of(text) for text in found]
    order = np.random.default_rng(SEED).permutation(len(sentences))
    sentences = [sentences[place] for place in order]
    words = [sentence.words for sentence in sentences]
    whole = round(count / (1 - TEST_SHARE))
    lengths, length_labels = probes.by_length(words, whole)
    contents, content_labels, names = probes.by_content(words, whole, CONTENT_WORDS)
    bins = tuple(
        f"{low} to {high - 1}"
        for low, high in zip(probes.LENGTH_BINS, probes.LENGTH_BINS[1:], strict=False)
    )
    made = []
    for name, taken, labels, classes in (
        ("sentence length", lengths, length_labels, bins),
        ("word content", contents, content_labels, tuple(names)),
    ):
        own = [sentences[place] for place in taken]
        encoded = encode_sentences(own, tokenizer, source.config.max_position_embeddings)
        if len(encoded.examples) != len(own):
            raise DataError("sentences do not fit the model", mend="give a text of shorter ones")
        types = tuple(sentence.words[0].casefold() for sentence in own)
        cut = len(own) - round(TEST_SHARE * len(own))
        halves = [
            (
                list(encoded.examples[part]),
                Items(labels[part], types[part], np.arange(len(own))[part]),
            )
            for part in (slice(0, cut), slice(cut, None))
        ]
        split = (
            f"sentences of {', '.join(Path(text).name for text in texts)}, drawn with seed {SEED}"
        )
        made.append(Probing(name, split, classes, halves[0], halves[1], probes.sentence_means))
    return made


def _plane(task: Probing, test_LMD: Float32Array) -> dict[str, Any] | None:
    """Some test words in the plane of most variance of each layer; None where too few have a tag
    for there to be one."""
    items = task.test[1]
    inside = np.flatnonzero(np.array(task.classes)[items.labels] != OUTSIDE)
    chosen = np.sort(np.random.default_rng(SEED).permutation(inside)[:POINTS])
    if len(chosen) < FEWEST_POINTS:
        return None
    first = np.concatenate([[0], np.cumsum([len(own.words) for own in task.sentences])])
    planes = [probes.principal_plane(vectors[chosen]) for vectors in test_LMD]
    points = []
    for place in chosen.tolist():
        sentence = task.sentences[items.sentences[place]]
        word = sentence.words[place - first[items.sentences[place]]]
        points.append({"word": word, "tag": task.classes[items.labels[place]], "in": sentence.text})
    return {
        "task": task.name,
        "points": points,
        "places": [np.round(places, 3).tolist() for places, _ in planes],
        "shares": [shares.tolist() for _, shares in planes],
    }


def _mix(folder: str | Path) -> dict[str, Any]:
    """What a tagger has learnt of the layers. Raises ModelError, ConfigError."""
    source = read_model(folder)
    model = load_tagger(source)
    if not isinstance(model, FeatureTagger) or model.head.mix is None:
        raise ConfigError(
            "this tagger mixes no layers",
            where=folder,
            mend="fine-tune one with --features mix",
        )
    mix = model.head.mix
    return {
        "tagger": str(folder),
        "labels": len(source.labels or ()),
        "weights": mix.weights.detach().double().softmax(0).tolist(),
        "gamma": float(mix.gamma.detach()),
    }
