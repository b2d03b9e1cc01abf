"""A model folder whose vocabulary has grown: the same network with further rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bertsmith.errors import ModelError
from bertsmith.export.families import find_family
from bertsmith.export.folder import CONFIG, ModelFolder
from bertsmith.export.naming import WORD_EMBEDDING
from bertsmith.export.weights import WEIGHTS, disk_state, write_weights
from bertsmith.files import replace_folder
from bertsmith.text.tokenizer import Tokenizer

TABLES = (WORD_EMBEDDING, "vocabulary.bias", "untied.weight", "untied.bias")
"""What has a row for each token: the word embedding, which is mostly the output matrix too, and
the bias of the scores."""


def save_with_words(
    folder: Path,
    source: ModelFolder,
    tokenizer: Tokenizer,
    piece_ids: Sequence[Sequence[int]],
    card: str,
) -> None:
    """Write `source` with the rows of the last tokens of `tokenizer`, which are new to it.

    A new row is the mean of the rows of its `piece_ids`, in every table. Every other value, the
    config, the heads and a classifier's labels stay. Raises ModelError where `folder` holds
    something else than a model.
    """
    first = tokenizer.vocab_size - len(piece_ids)
    state = {
        name: _grown(tensor, first, piece_ids) if name in TABLES else tensor
        for name, tensor in source.state.items()
    }
    content: dict[str, Any] = json.loads((source.path / CONFIG).read_text("utf-8"))
    sizes = content["model"] if source.family == "bertsmith" else content
    sizes["vocab_size"] = len(state[WORD_EMBEDDING])
    on_disk = disk_state(state, find_family(source.family), source.kind)
    with replace_folder(folder, holds=CONFIG, error=ModelError) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (temporary / CONFIG).write_text(text, "utf-8")
        (temporary / "README.md").write_text(card, "utf-8")
        tokenizer.save(temporary, max_length=source.config.max_position_embeddings)
        write_weights(temporary / WEIGHTS, on_disk)


def with_new_rows(source: ModelFolder, vocab_size: int) -> ModelFolder:
    """`source` with embeddings up to `vocab_size`, drawn as those of a new network are, and by a
    fixed seed. The bias of scores stays as it is: this is for encoders."""
    table = source.state[WORD_EMBEDDING]
    rows = torch.empty(vocab_size - len(table), *table.shape[1:])
    rows.normal_(0.0, source.config.initializer_range, generator=torch.Generator().manual_seed(0))
    return replace(
        source,
        config=source.config.model_copy(update={"vocab_size": vocab_size}),
        state={**source.state, WORD_EMBEDDING: torch.cat([table, rows.to(table.dtype)])},
    )


def _grown(table: Tensor, first: int, piece_ids: Sequence[Sequence[int]]) -> Tensor:
    """`table` (V, ...) with rows from `first` on; rows that it had to spare there give way."""
    rows = [table[torch.tensor(ids)].mean(dim=0) for ids in piece_ids]
    return torch.cat([table[:first], torch.stack(rows), table[first + len(rows) :]])
