"""A label for every word: named entities, chunks, parts of speech (BERT, section 5.3).

Spans are learnt in IOB2, or in BIOES where the data are, and scored as conlleval does; plain
tags by accuracy. The head is linear, or a CRF on top of that, whose paths keep to the scheme.
The encoder is trained with it, or frozen, and its layers are features (BERT, table 7).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from bertsmith.config import ModelConfig
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.errors import ConfigError, DataError
from bertsmith.nn.crf import CRF, Rules
from bertsmith.nn.features import AnyTagger, FeatureTagger, Layers, TaggerKind, tagger_of
from bertsmith.nn.models import HeadedEncoder, is_word, model_device, word_counts
from bertsmith.tasks.base import Objective, Setting, Task
from bertsmith.tasks.class_weights import weigh_classes
from bertsmith.tasks.classify import loss as class_loss
from bertsmith.tasks.conll import open_sentences, read_sentences
from bertsmith.tasks.findings import Finding, Item, Place, single
from bertsmith.tasks.fit import EVALUATION_TOKENS
from bertsmith.tasks.labels import in_order, require_known
from bertsmith.tasks.many_scores import (
    Resampling,
    added_up,
    class_scores,
    class_tables,
    of_spans,
    of_sums,
    outermost,
)
from bertsmith.tasks.metrics import ClassScores, Metrics, score_classes, score_each_class
from bertsmith.tasks.mistakes import FILE
from bertsmith.tasks.protocol import Protocol
from bertsmith.tasks.schemes import (
    OUTSIDE,
    Scheme,
    Span,
    broken_tags,
    odd_tags,
    rules_of,
    scheme_by_names,
    scheme_of,
    spans_of,
    split_tag,
    tags_of,
)
from bertsmith.tasks.sentences import Sentence, sentence_of
from bertsmith.tasks.span_scores import score_spans, span_counts
from bertsmith.tasks.tables import Columns, Labelled, Table
from bertsmith.tasks.tagged import TaggedSentence
from bertsmith.tasks.tagging_errors import worst_mistakes
from bertsmith.tasks.windows import EncodedSentences, encode_sentences
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Batch, FloatArray, IntArray

SPAN_METRICS = ("precision", "recall", "f1")
TAG_METRICS = ("macro_f1", "accuracy")
FEATURES_USUAL = {"lr": 1e-3, "epochs": 10}
"""For what is trained on frozen features: all of it is fresh."""
FEWEST_WORDS = 5
"""To each tag, where tags are plain: with fewer, the column holds something else."""


@dataclass(frozen=True, kw_only=True)
class TaggingTask(Task[Sentence, EncodedSentences]):
    """A label for every word. Scheme and names are those of the data: see `suited`."""

    scheme: Scheme = "IOB2"
    names: tuple[str, ...] = ()

    def read(self, path: Path, columns: Columns | None = None) -> Labelled[Sentence]:
        """CoNLL columns or CoNLL-U. See Task."""
        return read_sentences(path, columns)

    def open(
        self, path: Path | None, columns: Columns | None, learnt: Columns, *, labelled: bool
    ) -> Table[Sentence]:
        """The same, or, where no tags are wanted, raw text. See Task."""
        return open_sentences(path, columns, learnt, labelled=labelled)

    def row_of(self, text: str) -> Sentence:
        """Raw text, cut into words."""
        return sentence_of(text)

    def items(self, rows: Sequence[Sentence]) -> list[Item]:
        """See Task. Types of spans are counted, or plain tags."""
        return [
            Item(
                sentence.line,
                sentence.words,
                frozenset({" ".join(self._in_scheme(sentence.tags))}),
                tuple(span.label for span in self.spans(sentence.tags)),
            )
            for sentence in rows
        ]

    def groupings(self, rows: Sequence[Sentence]) -> list[Sequence[Hashable]]:
        """By documents, where a file marks them."""
        return [[sentence.document for sentence in rows]]

    def oddities(self, data: Labelled[Sentence]) -> list[Finding]:
        """Tags that begin a span otherwise than their scheme does, and those that break it."""
        broken = broken_tags(data.rows)
        if broken:
            places = (Place(line, what) for what, line in broken)
            return single("broken tags", "warning", "tags do not fit", places)
        scheme = scheme_of(data.rows, str(data.path))
        places = (Place(line, tag) for tag, line in odd_tags(data.rows, scheme))
        what = f"tags begin a span otherwise than {scheme} does; it is read all the same"
        return single("odd tags", "warning", what, places)

    def suited(self, train: Labelled[Sentence]) -> TaggingTask:
        """For plain tags or for spans, and the tags there are. Raises DataError."""
        found = scheme_of(train.rows, str(train.path))
        scheme: Scheme = "IOB2" if found == "IOB1" else found
        kinds = {tag for sentence in train.rows for tag in sentence.tags}
        if scheme == "plain":
            names = in_order(kinds)
        else:
            types = sorted({split_tag(tag)[1] for tag in kinds} - {""})
            prefixes = "BIES" if scheme == "BIOES" else "BI"
            names = [OUTSIDE, *(f"{prefix}-{label}" for label in types for prefix in prefixes)]
        words = sum(len(sentence.words) for sentence in train.rows)
        if len(names) == 1 or len(names) * FEWEST_WORDS > max(words, 100):
            what = f"one tag only, {names[0]!r:.40}" if len(names) == 1 else f"{len(names):,} tags"
            raise DataError(
                f"{what}, for {words:,} words",
                where=train.path,
                mend="name the column of the tags with --label-column",
            )
        return self.restored({"scheme": scheme}, names)

    def restored(self, settings: Mapping[str, Setting], names: Sequence[str]) -> TaggingTask:
        """The task of `settings`, for tags called `names`."""
        whole = {**self.settings, **settings}
        scheme: Scheme = next(
            (known for known in get_args(Scheme) if known == whole.get("scheme")),
            scheme_by_names(names),
        )
        is_plain = scheme == "plain"
        return replace(
            self,
            scheme=scheme,
            names=tuple(names),
            settings=whole,
            metrics=TAG_METRICS if is_plain else SPAN_METRICS,
            chosen_by=("accuracy",) if is_plain else ("f1",),
        )

    def require_alike(self, other: Labelled[Sentence], train: Labelled[Sentence]) -> None:
        """Both of spans, or both of plain tags. Raises DataError."""
        self._require_scheme(other, str(train.path))

    def output_names(self, train: Labelled[Sentence]) -> list[str]:
        """Every tag; of spans, all that the scheme has for a type."""
        return list(self.names)

    def truths(
        self, data: Labelled[Sentence], names: Sequence[str], known_to: str
    ) -> list[list[int]]:
        """The numbers of each sentence's tags, in the task's scheme. Raises DataError."""
        self._require_scheme(data, known_to)
        ids = {name: number for number, name in enumerate(names)}
        tagged = [self._in_scheme(sentence.tags) for sentence in data.rows]
        pairs = (
            (tag, line)
            for sentence, tags in zip(data.rows, tagged, strict=True)
            for tag, line in zip(tags, sentence.lines, strict=True)
        )
        require_known(pairs, names, str(data.path), known_to)
        return [[ids[tag] for tag in tags] for tags in tagged]

    def _in_scheme(self, tags: Sequence[str]) -> Sequence[str]:
        if self.scheme == "plain":
            return tags
        return tags_of(spans_of(tags), len(tags), self.scheme)

    def _require_scheme(self, data: Labelled[Sentence], known_to: str) -> None:
        if not data.rows:
            raise DataError("no sentences", where=data.path, mend="give a word and a tag a line")
        found = scheme_of(data.rows, str(data.path))
        kinds = {tag for sentence in data.rows for tag in sentence.tags}
        if (found == "plain") != (self.scheme == "plain") and kinds != {OUTSIDE}:
            here, there = ("plain tags", "spans") if found == "plain" else ("spans", "plain tags")
            raise DataError(
                f"{here}, where {known_to} has {there}",
                where=f"{data.path}:{data.rows[0].line}",
                mend="name the column of the tags with --label-column",
            )

    def for_protocol(
        self, protocol: Protocol, names: Sequence[str], truths: Sequence[Sequence[int]]
    ) -> Task[Sentence, EncodedSentences]:
        """Tags weigh as classes do, without a CRF. See Task."""
        if self.settings.get("features") and (protocol.unfreeze or protocol.layer_decay < 1):
            raise ConfigError(
                "the encoder is frozen throughout",
                where="unfreeze" if protocol.unfreeze else "layer_decay",
                mend="leave it out, or --features",
            )
        self.refuse(protocol, "threshold")
        if not protocol.class_weights:
            return self
        if self.settings.get("crf"):
            raise ConfigError(
                "a CRF scores whole sentences, not classes",
                where="class_weights",
                mend="leave it out, or --crf",
            )
        counts = np.bincount([tag for tags in truths for tag in tags], minlength=len(names))
        weights = weigh_classes(protocol.class_weights, names, counts.astype(float))
        return replace(self, class_weights=tuple(weights.tolist()))

    def described(self, train: Labelled[Sentence], names: Sequence[str]) -> str:
        """The columns, the number of labels, and their scheme."""
        columns, found = train.columns, scheme_of(train.rows, str(train.path))
        what = f"{len(names)} tags"
        if self.scheme != "plain":
            types = {split_tag(name)[1] for name in names} - {""}
            learnt = "" if found == self.scheme else f", learnt in {self.scheme}"
            what = f"spans of {len(types)} types in {found}{learnt},"
        odd = odd_tags(train.rows, found)
        against = f"; {len(odd):,} begin otherwise, {odd[0][0]} in line {odd[0][1]}" if odd else ""
        return f"in column {columns.text}, {what} in column {columns.label}{against}"

    def encode(
        self,
        rows: Sequence[Sentence],
        tokenizer: Tokenizer,
        max_length: int,
        truths: Sequence[Sequence[int]] | None = None,
    ) -> EncodedSentences:
        """See `encode_sentences`."""
        return encode_sentences(rows, tokenizer, max_length, truths)

    def shortening(self, max_length: int) -> str:
        """Words are, sentences never. See Task."""
        return f"by the ends of words of more than a quarter of {max_length} tokens"

    def network(self, config: ModelConfig, outputs: int, dropout: float) -> AnyTagger:
        """As `settings` say: a TokenHead, with a CRF or without, or a tagger of features."""
        return tagger_of(config, outputs, dropout, self.settings)

    @property
    def is_prepared(self) -> bool:
        """Where the encoder is frozen."""
        return bool(self.settings.get("features"))

    def prepared(
        self, model: HeadedEncoder, data: EncodedSentences, on_example: Callable[[int], None]
    ) -> EncodedSentences:
        """With the features that a frozen encoder gives of every word."""
        if not isinstance(model, FeatureTagger):
            return data
        examples, done = list(data.examples), 0
        was_training, device = model.training, model_device(model)
        model.eval()
        for batch in sequential_batches(ListSource(data.examples), EVALUATION_TOKENS):
            features = model.features(batch.to(device)).float().cpu()
            parts = torch.split(features, word_counts(batch).tolist())
            for index, own in zip(batch.indices, parts, strict=True):
                targets = {**examples[index].token_targets, "features": own.numpy()}
                examples[index] = replace(examples[index], token_targets=targets)
            done += len(batch.indices)
            on_example(done)
        model.train(was_training)
        return replace(data, examples=examples)

    @contextmanager
    def objective(self, model: HeadedEncoder, train: EncodedSentences) -> Iterator[Objective]:
        """Cross entropy, or the CRF's negative log-likelihood: means over words."""
        crf = cast(AnyTagger, model).head.crf
        weights = torch.tensor(self.class_weights, device=model_device(model))

        def cross_entropy(logits_WK: Tensor, batch: Batch) -> Tensor:
            return class_loss(logits_WK, batch.targets["tags"][is_word(batch)], weights)

        def likelihood(emissions_WK: Tensor, batch: Batch) -> Tensor:
            assert crf is not None
            labels_W = batch.targets["tags"][is_word(batch)]
            likelihood_B = crf.log_likelihood(emissions_WK, word_counts(batch), labels_W)
            return -likelihood_B.sum() / len(labels_W)

        mean = cross_entropy if crf is None else likelihood
        yield Objective(mean, lambda batch: int(is_word(batch).sum()))

    def assess(self, model: HeadedEncoder, data: EncodedSentences, outputs: FloatArray) -> Metrics:
        """conlleval's scores of spans, or accuracy and macro-F1 of plain tags."""
        assert data.tags is not None
        predicted = self.decode(model, data.lengths, outputs)
        if self.scheme == "plain":
            return score_classes(data.tags, predicted, len(self.names))
        return score_spans(data.tags, predicted, data.lengths, self.names)

    def resampling(
        self, model: HeadedEncoder, data: EncodedSentences, outputs: FloatArray
    ) -> Resampling:
        """By documents, whose sentences speak of the same, or, where none are marked, by sentences,
        whose words hang together."""
        assert data.tags is not None
        predicted = self.decode(model, data.lengths, outputs)
        by_itself = range(len(data.sentences))
        units = np.array(outermost(*self.groupings(data.sentences), by_itself))
        if self.scheme != "plain":
            counts = span_counts(data.tags, predicted, data.lengths, self.names)
            return of_spans(*added_up(np.stack(counts, axis=1), units.tolist()).T)
        tables = class_tables(data.tags, predicted, len(self.names))
        by_unit = added_up(tables, np.repeat(units, data.lengths).tolist())
        return of_sums(by_unit, lambda sums: class_scores(*np.split(sums, 3, axis=1)))

    def assess_each(
        self,
        model: HeadedEncoder,
        data: EncodedSentences,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> list[ClassScores]:
        """Of every type of spans, or of every plain tag."""
        assert data.tags is not None
        predicted = self.decode(model, data.lengths, outputs)
        if self.scheme == "plain":
            return score_each_class(data.tags, predicted, names)
        return score_spans(data.tags, predicted, data.lengths, self.names).types

    def decode(self, model: HeadedEncoder, lengths: IntArray, outputs: FloatArray) -> IntArray:
        """(W,) the tags of sentences of `lengths`: a CRF's are the best path of those that the
        scheme allows."""
        if not len(outputs):
            return np.zeros(0, dtype=np.int64)
        crf = cast(AnyTagger, model).head.crf
        if crf is None:
            likeliest_W: IntArray = outputs.argmax(axis=1)
            return likeliest_W
        return crf.viterbi(*self._paths(crf, lengths, outputs)).cpu().numpy()

    def probabilities(
        self, model: HeadedEncoder, lengths: IntArray, outputs: FloatArray
    ) -> FloatArray:
        """(W, K) of each tag: a CRF's are its marginals over the same paths."""
        if not len(outputs):
            return outputs
        crf = cast(AnyTagger, model).head.crf
        if crf is None:
            return np.asarray(softmax(outputs, axis=1))
        marginals_WK = crf.marginals(*self._paths(crf, lengths, outputs))
        return marginals_WK.double().cpu().numpy()

    def _paths(
        self, crf: CRF, lengths: IntArray, outputs: FloatArray
    ) -> tuple[Tensor, Tensor, Rules | None]:
        """Emissions, the lengths of sentences that have a word, and what the scheme allows."""
        device = crf.start.device
        rules = None
        if self.scheme != "plain":
            parts = rules_of(self.names, self.scheme)
            rules = Rules(*(torch.from_numpy(part).to(device) for part in parts))
        emissions_WK = torch.from_numpy(outputs).float().to(device)
        return emissions_WK, torch.from_numpy(lengths[lengths > 0]).to(device), rules

    def predictions(
        self,
        model: HeadedEncoder,
        rows: Sequence[Sentence],
        data: EncodedSentences,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> list[TaggedSentence]:
        """Tags and spans, one a sentence."""
        predicted = self.decode(model, data.lengths, outputs)
        shares_WK = self.probabilities(model, data.lengths, outputs)
        shares = shares_WK[np.arange(len(predicted)), predicted]
        bounds = np.cumsum([0, *data.lengths])
        made = []
        for place, (begin, end) in enumerate(pairwise(bounds.tolist())):
            tags = tuple(self.names[number] for number in predicted[begin:end])
            is_cut = data.is_truncated[place]
            made.append(
                TaggedSentence(rows[place], tags, shares[begin:end], self.spans(tags), is_cut)
            )
        return made

    def spans(self, tags: Sequence[str]) -> tuple[Span, ...]:
        """Those that `tags` spell; where tags are plain, a span a word."""
        if self.scheme == "plain":
            return tuple(Span(place, place + 1, tag) for place, tag in enumerate(tags))
        return tuple(spans_of(tags))

    def files(
        self,
        model: HeadedEncoder,
        data: EncodedSentences,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> Mapping[str, str]:
        """errors.tsv: the worst mistakes."""
        predictions = self.predictions(model, data.sentences, data, outputs, self.names)
        return {FILE: worst_mistakes(predictions, self.spans)}


def tagging(
    *, crf: bool = False, features: str | None = None, tagger: str | None = None
) -> TaggingTask:
    """The task with what is chosen of it. Raises ConfigError.

    `features` freezes the encoder, and says which of its layers a `tagger` reads.
    """
    if features is None:
        if tagger is not None:
            raise ConfigError("a tagger without features", where="tagger", mend="give --features")
        return replace(TASK, settings={"crf": crf}, method=_method(crf))
    for key, value, known in (
        ("features", features, get_args(Layers)),
        ("tagger", tagger or "bilstm", get_args(TaggerKind)),
    ):
        if value not in known:
            raise ConfigError(f"no {value!r}", where=key, mend=f"there are {', '.join(known)}")
    settings: dict[str, Setting] = {"crf": crf, "features": features, "tagger": tagger or "bilstm"}
    method = _method(crf, features, str(settings["tagger"]))
    return replace(TASK, settings=settings, usual=FEATURES_USUAL, method=method)


def _method(crf: bool, features: str | None = None, tagger: str = "") -> str:
    chain = ", and a CRF" if crf else ""
    if features is None:
        return f"All weights are trained, with one linear layer on each word's first piece{chain}."
    reader = "a BiLSTM" if tagger == "bilstm" else "a linear layer"
    return f"The encoder is frozen; {reader} reads its layers ({features}){chain}."


TASK = TaggingTask(
    name="tag",
    product="tagger",
    unit="sentences",
    drawn="documents, or sentences where a file marks none",
    metrics=SPAN_METRICS,
    chosen_by=("f1",),
    method=_method(False),
)
