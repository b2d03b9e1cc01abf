"""A tokenizer folder: tokenizer.json, or a BERT's vocab.txt, and what transformers reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers

from bertsmith.errors import TokenizerError
from bertsmith.schema import read_json_object
from bertsmith.text.pipeline import (
    IN_ROLES,
    SPECIAL_TOKENS,
    bert_template,
    numbered,
    word_format,
)

TOKENIZER_JSON = "tokenizer.json"
CONFIG = "tokenizer_config.json"
ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
"""Keys of tokenizer_config.json, in the order of `Tokenizer.specials`."""
_TOKENIZER_JSON_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Of transformers: what these tokenizers do is in tokenizer.json alone."""
_BERT_CLASSES = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")
"""Of transformers, with "Fast" or without: these take lower case, accents and Chinese from
tokenizer_config.json, whatever tokenizer.json says."""


def read_folder(folder: Path) -> tuple[tokenizers.Tokenizer, list[str]]:
    """The tokenizer in `folder`, and its special tokens in the order of ROLES.

    Raises TokenizerError where the folder is missing, cut or of another kind.
    """
    config = _read_config(folder / CONFIG)
    if (folder / TOKENIZER_JSON).is_file():
        backend = _read_backend(folder / TOKENIZER_JSON)
        named = str(config.get("tokenizer_class", _BERT_CLASSES[0])).removesuffix("Fast")
        is_bert = isinstance(backend.normalizer, normalizers.BertNormalizer)
        if config and is_bert and named in _BERT_CLASSES:
            backend.normalizer = _bert_normalizer(config, folder / CONFIG)
    elif config.get("tokenizer_class") in _TOKENIZER_JSON_CLASSES:
        raise TokenizerError(
            "tokenizer.json is missing, and vocab.txt does not replace it",
            where=folder,
            mend="copy the whole folder again",
        )
    elif (folder / "vocab.txt").is_file():
        backend = _bert_backend(folder / "vocab.txt", config)
    elif folder.is_dir():
        raise TokenizerError(
            "neither tokenizer.json nor vocab.txt in this folder",
            where=folder,
            mend="make one with `bertsmith tokenizer train`",
        )
    else:
        raise TokenizerError(
            "no such tokenizer folder",
            where=folder,
            mend="make one with `bertsmith tokenizer train`",
        )
    _require_added_tokens(backend, config, folder)
    config = {**_read_config(folder / "special_tokens_map.json"), **config}
    return backend, _special_tokens(backend, config, folder / CONFIG)


def class_config(description: dict[str, Any]) -> dict[str, Any]:
    """The part of tokenizer_config.json that says which class of transformers it is.

    `description` is `Tokenizer.description`. RobertaTokenizer makes anew all that RoBERTa's
    tokenizers have in common, so only what is exactly that may be called one.
    """
    split, ends = description["pre_tokenizer"] or {}, description["post_processor"] or {}
    added = {token["content"]: token for token in description["added_tokens"]}
    if (
        description["model"]["type"] == "BPE"
        and description["normalizer"] is None
        and split.get("type") == "ByteLevel"
        and split["use_regex"]
        and ends.get("type") == "RobertaProcessing"
        and "<mask>" in added
    ):
        kept = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
        return {
            "tokenizer_class": "RobertaTokenizer",
            "add_prefix_space": split["add_prefix_space"],
            "trim_offsets": ends["trim_offsets"],
            "model_input_names": ["input_ids", "attention_mask"],
            "bos_token": ends["cls"][0],
            "eos_token": ends["sep"][0],
            "mask_token": {"__type": "AddedToken", **{key: added["<mask>"][key] for key in kept}},
        }
    if set(ends.get("special_tokens", ())) == {"</s>"}:
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            "eos_token": "</s>",
            **dict.fromkeys(("cls_token", "sep_token", "mask_token")),  # T5 has none
        }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }


def _bert_backend(path: Path, config: dict[str, Any]) -> tokenizers.Tokenizer:
    """A BERT's tokenizer out of its vocab.txt, one token a line in the order of ids."""
    try:
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise TokenizerError("not UTF-8", where=path, mend="fetch it again") from None
    # Not splitlines: bert-base-chinese has a line separator (U+2028) among its tokens.
    vocabulary = numbered([line.removesuffix("\r") for line in lines])
    missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
    if missing:
        raise TokenizerError(
            f"no {', '.join(missing)} in this vocabulary",
            where=path,
            mend="it is cut, or no BERT's; fetch it again",
        )
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = _bert_normalizer(config, path.with_name(CONFIG))
    backend.pre_tokenizer, backend.decoder = word_format("wordpiece")
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    backend.post_processor = bert_template(vocabulary["[CLS]"], vocabulary["[SEP]"])
    return backend


def _bert_normalizer(config: dict[str, Any], where: Path) -> normalizers.Normalizer:
    return normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(_choice(config, "tokenize_chinese_chars", True, where)),
        strip_accents=_choice(config, "strip_accents", None, where),
        lowercase=bool(_choice(config, "do_lower_case", True, where)),
    )


def _require_added_tokens(
    backend: tokenizers.Tokenizer, config: Mapping[str, Any], folder: Path
) -> None:
    """TokenizerError where tokens were added in a file beside the vocabulary, and it lacks them."""
    beside = config.get("added_tokens_decoder")
    tokens = beside.values() if isinstance(beside, dict) else ()
    added = [token.get("content") for token in tokens if isinstance(token, dict)]
    added += _read_config(folder / "added_tokens.json")
    missing = [token for token in added if backend.token_to_id(str(token)) is None]
    if missing:
        raise TokenizerError(
            f"the vocabulary lacks {len(missing)} tokens that were added, such as {missing[0]!r}",
            where=folder,
            mend="save the tokenizer with transformers, as a tokenizer.json",
        )


def _read_backend(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises nothing more exact
        raise TokenizerError(
            f"not a tokenizer ({error})", where=path, mend="it is cut or damaged; make it again"
        ) from None


def _read_config(path: Path) -> dict[str, Any]:
    """Empty where there is no such file."""
    return read_json_object(path, TokenizerError) if path.is_file() else {}


def _choice(config: Mapping[str, Any], key: str, default: bool | None, path: Path) -> bool | None:
    value = config.get(key, default)
    if value is not None and not isinstance(value, bool):
        raise TokenizerError(
            f"{key} is {str(value)[:40]!r}", where=path, mend="write true or false there"
        )
    return value


def _special_tokens(
    backend: tokenizers.Tokenizer, config: Mapping[str, Any], path: Path
) -> list[str]:
    """The tokens of the five roles, as the folder says, else by BERT's, RoBERTa's or T5's names.

    ALBERT's vocabularies have some of each: <pad>, <unk>, [CLS], [SEP], [MASK].
    """
    tokens = []
    for role, *names in zip(ROLES, *IN_ROLES.values(), strict=True):
        known = [name for name in names if backend.token_to_id(name) is not None]
        named = config.get(role) or (known or names)[0]
        token = named.get("content") if isinstance(named, dict) else named
        if not isinstance(token, str):
            raise TokenizerError(
                f"{role} is {str(token)[:40]}, which is no text",
                where=path,
                mend="write the token there",
            )
        tokens.append(token)
    return tokens
