"""The kinds of networks that a model folder can hold, and how each is read.

A new kind has its name in `bertsmith.export.families.base`, a class in each family, and here a
case of `kind_of` and a loader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.export.configs import TAGGERS
from bertsmith.export.families.base import Kind
from bertsmith.export.folder import ModelFolder, read_model
from bertsmith.export.naming import neutral_name
from bertsmith.nn.electra import Electra
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.features import AnyTagger, FeatureTagger, tagger_of
from bertsmith.nn.heads import uses_pooler
from bertsmith.nn.models import (
    ChoiceModel,
    EncoderDecoder,
    EncoderDecoderWithMaskedLM,
    HeadedEncoder,
    MaskedLM,
    ReplacedTokenDetector,
    SequenceClassifier,
    SpanModel,
    TokenClassifier,
)
from bertsmith.nn.sentence import SentenceEncoder
from bertsmith.nn.word2vec import Word2Vec

PAIR_PARTS = ("next_sentence", "sentence_order")
"""The pair heads that a MaskedLM may have."""
M = TypeVar("M", bound=nn.Module)

H = TypeVar("H", bound=HeadedEncoder)


def kind_of(model: nn.Module) -> Kind:
    """What `model` is. Raises TypeError for a class of networks that no format is known for."""
    match model:
        case SentenceEncoder():
            return "encoder"
        case SequenceClassifier():
            return "classifier"
        case TokenClassifier():
            return "tagger"
        case FeatureTagger():
            return "feature_tagger"
        case SpanModel():
            return "span"
        case ChoiceModel():
            return "choice"
        case ReplacedTokenDetector():
            return "replaced_token"
        case Word2Vec():
            return "word_vectors"
        case EncoderDecoder():
            return "encoder_decoder"
        case MaskedLM(next_sentence_head=None, sentence_order_head=None):
            return "masked_lm"
        case MaskedLM(sentence_order_head=None):
            return "next_sentence"
        case MaskedLM():
            return "sentence_order"
        case _:
            raise TypeError(f"no format is known for a {type(model).__name__}")


def networks_of(model: nn.Module) -> dict[str, nn.Module]:
    """What is kept of a pre-trained network, each in a folder of that name.

    "model" is what one goes on from; ELECTRA's generator is a masked LM of its own. The head
    that an encoder-decoder's encoder is asked through is of no use without its loss.
    """
    if isinstance(model, Electra):
        return {"generator": model.generator, "model": model.discriminator}
    if isinstance(model, EncoderDecoderWithMaskedLM):
        return {"model": model.network}
    return {"model": model}


def load_model(folder: str | Path | ModelFolder) -> nn.Module:
    """The network that the folder's architecture names, in evaluation mode.

    Raises ModelError where it names one that only its encoder can be read of.
    """
    source = _source(folder)
    if source.kind is None:
        raise source.lacks("network that can be read whole", "read its encoder")
    return _LOADERS[source.kind](source)


def load_encoder(folder: str | Path | ModelFolder) -> Encoder:
    """The encoder of any model folder, in evaluation mode."""
    source = _source_of_encoder(folder)
    with torch.device("meta"):
        encoder = Encoder(source.config)
    return _assemble_encoder(encoder, source.state).eval()


def load_masked_lm(folder: str | Path | ModelFolder) -> MaskedLM:
    """The masked LM, with its pair head where there is one, in evaluation mode.

    Raises ModelError where the folder has no masked-LM head.
    """
    source = _source(folder)
    scores = "vocabulary" if source.config.tied else "untied"
    if not (source.has("transform") and source.has(scores)):
        detects = source.has("replaced_token")
        mend = (
            "give the generator beside it" if detects else "give the model that pre-training left"
        )
        raise source.lacks("masked-LM head", mend)
    pairs = {part: source.has(part) and source.has("pooler") for part in PAIR_PARTS}
    with torch.device("meta"):
        model = MaskedLM(source.config, **pairs)
    return _assemble(model, source).eval()


def load_replaced_token_detector(folder: str | Path | ModelFolder) -> ReplacedTokenDetector:
    """ELECTRA's discriminator, in evaluation mode.

    Raises ModelError where the folder has no replaced-token head.
    """
    source = _source(folder)
    if not source.has("replaced_token"):
        raise source.lacks("replaced-token head", "give the model that ELECTRA's recipe left")
    with torch.device("meta"):
        model = ReplacedTokenDetector(source.config)
    return _assemble(model, source).eval()


def load_word2vec(folder: str | Path | ModelFolder) -> Word2Vec:
    """word2vec's two tables, in evaluation mode. Raises ModelError where the folder has none."""
    source = _source(folder)
    if not source.has("input"):
        raise source.lacks("word vectors", "give the model that the recipe word2vec left")
    with torch.device("meta"):
        model = Word2Vec(source.config)
    return _assemble(model, source).eval()


def load_encoder_decoder(folder: str | Path | ModelFolder) -> EncoderDecoder:
    """The whole of an encoder-decoder, in evaluation mode.

    Raises ModelError where the folder has no decoder.
    """
    source = _source(folder)
    if not source.has("decoder"):
        raise source.lacks("decoder", "give the model that pre-training left")
    with torch.device("meta"):
        model = EncoderDecoder(source.config)
    return _assemble(model, source).eval()


def load_classifier(folder: str | Path | ModelFolder) -> SequenceClassifier:
    """The fine-tuned classifier, in evaluation mode; its labels are `read_model(...).labels`.

    Raises ModelError where the folder has no sequence classifier.
    """
    source = _source(folder)
    if source.problem_type is None or source.labels is None:
        raise source.lacks("sequence classifier", "fine-tune it first")
    with torch.device("meta"):
        model = SequenceClassifier(source.config, len(source.labels), source.classifier_dropout)
    return _assemble(model, source).eval()


def load_finetuned(folder: str | Path | ModelFolder) -> HeadedEncoder:
    """A fine-tuned network of whatever task, in evaluation mode.

    Raises ModelError where the folder has no head that fine-tuning leaves.
    """
    source = _source(folder)
    if source.kind in TAGGERS:
        return load_tagger(source)
    match source.kind:
        case "span":
            return load_span_model(source)
        case "choice":
            return load_choice_model(source)
        case _:
            return load_classifier(source)


def load_span_model(folder: str | Path | ModelFolder) -> SpanModel:
    """What answers questions by spans, in evaluation mode.

    Raises ModelError where the folder has no span head.
    """
    source = _source(folder)
    if not source.has("span"):
        raise source.lacks("span head", "fine-tune it with finetune qa first")
    with torch.device("meta"):
        model = SpanModel(source.config, source.classifier_dropout)
    return _assemble(model, source).eval()


def load_choice_model(folder: str | Path | ModelFolder) -> ChoiceModel:
    """What chooses among options, in evaluation mode.

    Raises ModelError where the folder has no choice head.
    """
    source = _source(folder)
    if source.kind != "choice" or not source.has("classifier"):
        raise source.lacks("choice head", "fine-tune it with finetune choice first")
    with torch.device("meta"):
        model = ChoiceModel(source.config, source.classifier_dropout)
    return _assemble(model, source).eval()


def load_tagger(folder: str | Path | ModelFolder) -> AnyTagger:
    """The fine-tuned tagger of words, in evaluation mode; its labels are the folder's.

    Raises ModelError where the folder has none, or not the whole of it.
    """
    source = _source(folder)
    if source.kind not in TAGGERS or source.labels is None:
        raise source.lacks("tagger of words", "fine-tune it first")
    rate, count = source.classifier_dropout, len(source.labels)
    settings = source.extra.get("settings")
    with torch.device("meta"):
        model = tagger_of(
            source.config, count, rate, settings if isinstance(settings, dict) else {}
        )
    return _assemble(model, source).eval()


def load_for_classification(
    folder: str | Path | ModelFolder,
    num_labels: int,
    *,
    dropout: float = 0.1,
    encoder_dropout: float | None = None,
) -> SequenceClassifier:
    """`load_for_finetuning` with a fresh classifier of whole texts."""
    return load_for_finetuning(
        folder,
        lambda config: SequenceClassifier(config, num_labels, dropout),
        encoder_dropout=encoder_dropout,
    )


def load_for_finetuning(
    folder: str | Path | ModelFolder,
    network: Callable[[ModelConfig], H],
    *,
    encoder_dropout: float | None = None,
) -> H:
    """A pre-trained encoder under a fresh head, in training mode, to be fine-tuned.

    A head's transform is what pre-training left: the pooler (BERT) or the masked-LM
    transform (ModernBERT); fresh where the folder has none. What is fresh is drawn from
    torch's generator: call torch.manual_seed before. `encoder_dropout` replaces both of the
    encoder's dropout rates.
    """
    source = _source_of_encoder(folder)
    config = source.config
    if encoder_dropout is not None:
        rates = {"dropout": encoder_dropout, "attention_dropout": encoder_dropout}
        config = config.model_copy(update=rates)
    with torch.device("meta"):
        model = network(config)
    _assemble_encoder(model.encoder, source.state)
    model.head = model.make_head()
    part = "pooler" if uses_pooler(config) else "transform"
    transform = getattr(model.head, "transform", None)
    if transform is not None and source.has(part):
        transform.load_state_dict(_part(source.state, part))
    return model


_LOADERS: Mapping[Kind, Callable[[ModelFolder], nn.Module]] = {
    "encoder": load_encoder,
    "masked_lm": load_masked_lm,
    "next_sentence": load_masked_lm,
    "sentence_order": load_masked_lm,
    "replaced_token": load_replaced_token_detector,
    "encoder_decoder": load_encoder_decoder,
    "classifier": load_classifier,
    "tagger": load_tagger,
    "feature_tagger": load_tagger,
    "span": load_span_model,
    "choice": load_choice_model,
    "word_vectors": load_word2vec,
}


def _source(folder: str | Path | ModelFolder) -> ModelFolder:
    return folder if isinstance(folder, ModelFolder) else read_model(folder)


def _source_of_encoder(folder: str | Path | ModelFolder) -> ModelFolder:
    source = _source(folder)
    if not source.has("encoder"):
        raise source.lacks("encoder", "give a model that reads whole sequences")
    return source


def _assemble(model: M, source: ModelFolder) -> M:
    """Give a model on the meta device its tensors. ModelError for a part that is not there."""
    names = {own: neutral_name(own, source.config) for own in model.state_dict()}
    missing = [name for name in names.values() if name not in source.state]
    if missing:
        raise source.lacks(missing[0].partition(".")[0], "use a whole, unchanged model")
    state = {own: source.state[name].clone() for own, name in names.items()}
    model.load_state_dict(state, assign=True)
    return model


def _assemble_encoder(encoder: Encoder, state: Mapping[str, Tensor]) -> Encoder:
    own = {name: tensor.clone() for name, tensor in _part(state, "encoder").items()}
    encoder.load_state_dict(own, assign=True)
    return encoder


def _part(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
