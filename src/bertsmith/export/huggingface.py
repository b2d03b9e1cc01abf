"""Model folders in the Hugging Face format, out and in.

    config.json  model.safetensors  tokenizer.json  tokenizer_config.json  vocab.txt  README.md
    vectors.txt (word2vec alone: its vectors in their own text format)

Five families are written so that transformers computes our numbers: "bert" (Devlin et al.
2019), "albert" (Lan et al. 2020), "electra" (Clark et al. 2020), "modernbert" (Warner et al.
2024) and "t5" (Raffel et al. 2020). Any other ModelConfig, an ablation, is written as model_type
"bertsmith", which only bertsmith reads. No pickle is ever read, and no code that comes with a
model is ever run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.configs import (
    ARCHITECTURES,
    PROBLEM_TYPES,
    Kind,
    family_of,
    from_json,
    to_json,
)
from bertsmith.export.model_card import model_card
from bertsmith.export.naming import Family, disk_names, neutral_name
from bertsmith.export.vectors import write_vectors
from bertsmith.export.weights import WEIGHTS, read_tensors, write_weights
from bertsmith.files import replace_folder
from bertsmith.nn.electra import Electra
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.heads import SequenceHead, uses_pooler
from bertsmith.nn.models import (
    EncoderDecoder,
    MaskedLM,
    ReplacedTokenDetector,
    SequenceClassifier,
    config_of,
)
from bertsmith.nn.word2vec import Word2Vec
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import WordVectors

CONFIG = "config.json"
PAIR_PARTS = ("next_sentence", "sentence_order")
"""The pair heads that a MaskedLM may have."""
VECTORS = "vectors.txt"
"""Of a word2vec model: its vectors as text, see `bertsmith.export.vectors`."""
M = TypeVar("M", MaskedLM, ReplacedTokenDetector, EncoderDecoder, SequenceClassifier, Word2Vec)
_MAX_CONFIG_BYTES = 16 << 20


@dataclass(frozen=True)
class ModelFolder:
    """A model folder as read: everything checked, nothing assembled yet.

    `state` holds neutral names (see `bertsmith.export.naming`): the encoder, and each head
    that the folder has.
    """

    path: Path
    family: Family
    architecture: str
    config: ModelConfig
    state: Mapping[str, Tensor]
    labels: tuple[str, ...] | None
    problem_type: str | None
    classifier_dropout: float
    pad_token_id: int | None
    extra: Mapping[str, Any]

    @property
    def tokenizer_folder(self) -> Path:
        """Where the tokenizer is: in the same folder."""
        return self.path

    def has(self, part: str) -> bool:
        """Whether a part is there, by its neutral name: "pooler", "transform" ..."""
        return any(name.startswith(f"{part}.") for name in self.state)


def save_model(
    folder: str | Path,
    model: nn.Module,
    tokenizer: Tokenizer,
    *,
    labels: Sequence[str] | None = None,
    problem_type: str = PROBLEM_TYPES[0],
    card: str = "",
    extra_config: Mapping[str, Any] | None = None,
) -> None:
    """Write `model` as a model folder, whole or not at all; an older model there is replaced.

    `labels` name the outputs of a classifier, in their order, and `problem_type`, one of
    PROBLEM_TYPES, says what they mean. `card` is the README.md; a short one is made where it is
    empty. `extra_config` is kept in config.json under "bertsmith". Raises ModelError where
    `folder` holds something else than a model, or where tokenizer or labels do not fit the model;
    TypeError for a class of networks that no format is known for.
    """
    folder = Path(folder)
    family, architecture = architecture_of(model)
    config = config_of(model)
    _require_fit(tokenizer, config, folder, "save the tokenizer that the model was trained with")
    content: dict[str, Any] = {
        "architectures": [architecture],
        **to_json(config, family, _classifier_dropout(model), _special_ids(tokenizer)),
    }
    names = _label_names(model, labels, folder)
    if names is not None:
        content["id2label"] = {str(index): name for index, name in enumerate(names)}
        content["label2id"] = {name: index for index, name in enumerate(names)}
        content["problem_type"] = problem_type
    if extra_config:
        content["bertsmith"] = dict(extra_config)
    state = {
        disk: part
        for own, tensor in model.state_dict().items()
        for disk, part in _split(disk_names(neutral_name(own, config), family), tensor)
    }
    text = card or model_card(folder.name, architecture=architecture, labels=names)
    with replace_folder(folder, holds=CONFIG, error=ModelError) as temporary:
        (temporary / CONFIG).write_text(_dumps(content), "utf-8")
        (temporary / "README.md").write_text(text, "utf-8")
        tokenizer.save(temporary, max_length=config.max_position_embeddings)
        write_weights(temporary / WEIGHTS, state)
        if isinstance(model, Word2Vec):
            write_vectors(temporary / VECTORS, vectors_of(model, tokenizer))


def architecture_of(model: nn.Module) -> tuple[Family, str]:
    """The family that `model` is written as, and its class there.

    A pair head that the family does not have (ModernBERT any, BERT one for the sentences'
    order) makes it our own format. Raises TypeError for a class of networks that no format is
    known for.
    """
    kind: Kind
    match model:
        case SequenceClassifier():
            kind = "classifier"
        case ReplacedTokenDetector():
            kind = "replaced_token"
        case Word2Vec():
            kind = "word_vectors"
        case EncoderDecoder():
            kind = "encoder_decoder"
        case MaskedLM(next_sentence_head=None, sentence_order_head=None):
            kind = "masked_lm"
        case MaskedLM(sentence_order_head=None):
            kind = "next_sentence"
        case MaskedLM():
            kind = "sentence_order"
        case _:
            raise TypeError(f"no format is known for a {type(model).__name__}")
    family = family_of(config_of(model))
    if kind not in ARCHITECTURES[family]:
        family = "bertsmith"
    return family, ARCHITECTURES[family][kind]


def networks_of(model: nn.Module) -> dict[str, nn.Module]:
    """What is kept of a pre-trained network, each in a folder of that name.

    "model" is what one goes on from; ELECTRA's generator is a masked LM of its own.
    """
    if isinstance(model, Electra):
        return {"generator": model.generator, "model": model.discriminator}
    return {"model": model}


def _special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    return {"pad": tokenizer.pad_id, "cls": tokenizer.cls_id, "sep": tokenizer.sep_id}


def vectors_of(model: Word2Vec, tokenizer: Tokenizer) -> WordVectors:
    """The input vectors of the words of `tokenizer`, special tokens left out."""
    kept = [index for index in range(tokenizer.vocab_size) if index not in tokenizer.special_ids]
    vectors = model.input.weight.detach()[torch.tensor(kept)]
    return WordVectors(tuple(tokenizer.tokens(kept)), vectors.cpu().float().numpy())


def _classifier_dropout(model: nn.Module) -> float:
    """Where nothing is classified yet, the encoder's rate, as BERT has it."""
    if isinstance(model, SequenceClassifier):
        return model.head.dropout.rate
    return config_of(model).dropout


def _label_names(
    model: nn.Module, labels: Sequence[str] | None, folder: Path
) -> tuple[str, ...] | None:
    if not isinstance(model, SequenceClassifier):
        return None
    count = model.head.classifier.out_features
    names = tuple(labels or (f"LABEL_{index}" for index in range(count)))
    if len(names) != count or len(set(names)) != count:
        raise ModelError(
            f"{len(set(names))} different labels for a model of {count} classes",
            where=folder,
            mend="name each class once",
        )
    return names


def read_model(folder: str | Path) -> ModelFolder:
    """Read a model folder of ours or of transformers.

    Raises ModelError, in one line, for a folder that is missing, cut, hostile or of another
    kind, before any tensor is allocated.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(
            "no such model folder", where=folder, mend="give the folder of a saved model"
        )
    path = folder / CONFIG
    described = from_json(_read_json(path), path)
    state = read_tensors(folder, described)
    classifies = "classifier.weight" in state
    return ModelFolder(
        path=folder,
        family=described.family,
        architecture=described.architecture,
        config=described.config,
        state=state,
        labels=described.labels if classifies else None,
        problem_type=described.problem_type if classifies else None,
        classifier_dropout=described.classifier_dropout,
        pad_token_id=described.pad_token_id,
        extra=described.extra,
    )


def load_model(folder: str | Path | ModelFolder) -> nn.Module:
    """The network that the folder's architecture names, in evaluation mode.

    Raises ModelError where it names one that only its encoder can be read of.
    """
    source = _source(folder)
    kinds = [k for k, name in ARCHITECTURES[source.family].items() if name == source.architecture]
    if not kinds:
        raise _lacks(source, "network that can be read whole", "read its encoder")
    return _LOADERS[kinds[0]](source)


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
    if not (source.has("transform") and source.has("vocabulary")):
        detects = source.has("replaced_token")
        mend = (
            "give the generator beside it" if detects else "give the model that pre-training left"
        )
        raise _lacks(source, "masked-LM head", mend)
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
        raise _lacks(source, "replaced-token head", "give the model that ELECTRA's recipe left")
    with torch.device("meta"):
        model = ReplacedTokenDetector(source.config)
    return _assemble(model, source).eval()


def load_word2vec(folder: str | Path | ModelFolder) -> Word2Vec:
    """word2vec's two tables, in evaluation mode. Raises ModelError where the folder has none."""
    source = _source(folder)
    if not source.has("input"):
        raise _lacks(source, "word vectors", "give the model that the recipe word2vec left")
    with torch.device("meta"):
        model = Word2Vec(source.config)
    return _assemble(model, source).eval()


def load_encoder_decoder(folder: str | Path | ModelFolder) -> EncoderDecoder:
    """The whole of an encoder-decoder, in evaluation mode.

    Raises ModelError where the folder has no decoder.
    """
    source = _source(folder)
    if not source.has("decoder"):
        raise _lacks(source, "decoder", "give the model that pre-training left")
    with torch.device("meta"):
        model = EncoderDecoder(source.config)
    return _assemble(model, source).eval()


def load_classifier(folder: str | Path | ModelFolder) -> SequenceClassifier:
    """The fine-tuned classifier, in evaluation mode; its labels are `read_model(...).labels`.

    Raises ModelError where the folder has no sequence classifier.
    """
    source = _source(folder)
    if source.labels is None:
        raise _lacks(source, "sequence classifier", "fine-tune it first")
    with torch.device("meta"):
        model = SequenceClassifier(source.config, len(source.labels), source.classifier_dropout)
    return _assemble(model, source).eval()


def load_for_classification(
    folder: str | Path | ModelFolder,
    num_labels: int,
    *,
    dropout: float = 0.1,
    encoder_dropout: float | None = None,
) -> SequenceClassifier:
    """A pre-trained encoder under a fresh classifier, in training mode, to be fine-tuned.

    The head's transform is what pre-training left: the pooler (BERT) or the masked-LM
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
        model = SequenceClassifier(config, num_labels, dropout)
    _assemble_encoder(model.encoder, source.state)
    model.head = SequenceHead(config, num_labels, dropout)
    part = "pooler" if uses_pooler(config) else "transform"
    if source.has(part):
        model.head.transform.load_state_dict(_part(source.state, part))
    return model


_LOADERS: Mapping[Kind, Callable[[ModelFolder], nn.Module]] = {
    "encoder": load_encoder,
    "masked_lm": load_masked_lm,
    "next_sentence": load_masked_lm,
    "sentence_order": load_masked_lm,
    "replaced_token": load_replaced_token_detector,
    "encoder_decoder": load_encoder_decoder,
    "classifier": load_classifier,
    "word_vectors": load_word2vec,
}


def load_tokenizer(folder: str | Path | ModelFolder) -> Tokenizer:
    """The tokenizer that the model was trained with.

    Raises TokenizerError, and ModelError where it has more tokens than a ModelFolder's model.
    """
    if not isinstance(folder, ModelFolder):
        return Tokenizer.load(folder)
    tokenizer = Tokenizer.load(folder.tokenizer_folder)
    _require_fit(tokenizer, folder.config, folder.path, "copy the tokenizer of this model into it")
    return tokenizer


def _require_fit(tokenizer: Tokenizer, config: ModelConfig, where: Path, mend: str) -> None:
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocab_size}",
            where=where,
            mend=mend,
        )


def _source(folder: str | Path | ModelFolder) -> ModelFolder:
    return folder if isinstance(folder, ModelFolder) else read_model(folder)


def _source_of_encoder(folder: str | Path | ModelFolder) -> ModelFolder:
    source = _source(folder)
    if not source.has("encoder"):
        raise _lacks(source, "encoder", "give a model that reads whole sequences")
    return source


def _assemble(model: M, source: ModelFolder) -> M:
    """Give a model on the meta device its tensors."""
    state = {
        own: source.state[neutral_name(own, source.config)].clone() for own in model.state_dict()
    }
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


def _lacks(source: ModelFolder, head: str, mend: str) -> ModelError:
    kind = source.architecture or f"{source.family} encoder"
    return ModelError(f"has no {head}: it is a {kind}", where=source.path, mend=mend)


def _split(names: Sequence[str], tensor: Tensor) -> list[tuple[str, Tensor]]:
    return list(zip(names, tensor.chunk(len(names)), strict=True))


def _dumps(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"has no {CONFIG}", where=path.parent, mend="give the folder of a saved model"
        )
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ModelError("is too large for a config", where=path, mend="use an unchanged model")
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", where=path) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"is not JSON ({error})", where=path, mend="copy it again") from None
    if not isinstance(content, dict):
        raise ModelError("is not a JSON object", where=path, mend="copy it again")
    return content
