"""Checkpoints that survive anything: safetensors and JSON, checksummed, renamed into place.

    checkpoints/
      step-00001200/
        tensors.safetensors    weights and optimizer moments
        state.json             step, tokens, cursor, and what else the caller keeps
        SHA256SUMS             of the two files above

A checkpoint is written under a temporary name, every file and the folder fsynced, and then
renamed, so that a folder with its final name is whole. What the disk does to it afterwards
is caught by the checksums: `load_latest` then falls back to the one before.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bertsmith.engine.tensors import write_tensors
from bertsmith.errors import CheckpointError
from bertsmith.files import require_plain_file, sync

TENSORS, STATE, SUMS = "tensors.safetensors", "state.json", "SHA256SUMS"
_NAME = re.compile(r"step-(\d{8,})")
_MAX_STATE_BYTES, _MAX_SUMS_BYTES = 16 << 20, 1 << 10
_MAX_HEADER_BYTES = 1 << 10
"""Of one tensor."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved, and where."""

    folder: Path
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(
    root: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any], keep: int
) -> Path:
    """Write one checkpoint under `root`, then drop all but the newest `keep`.

    A step that is there already and whole stays as it is: it was written by the same run. Those
    of later steps are dropped too: a run that is back here passed them over as damaged. Raises
    OSError where the disk refuses; the checkpoints before are untouched then.
    """
    final = root / f"step-{step:08d}"
    if not _is_whole(final):
        _write(final, tensors, state)
    saved = _folders(root)
    kept = [folder for folder in saved if _step(folder) <= step][-keep:]
    for folder in saved:
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)
    return final


def load_latest(
    root: Path, shapes: Mapping[str, torch.Size], warn: Callable[[str], None]
) -> Checkpoint | None:
    """The newest whole checkpoint under `root`; None where there has been none.

    `shapes` are of the fp32 tensors that it can hold at most: a larger file is not even read.
    Each damaged one met on the way is named in one line through `warn`. Raises CheckpointError
    where all there are are damaged.
    """
    most_bytes = sum(4 * shape.numel() + _MAX_HEADER_BYTES for shape in shapes.values())
    folders = _folders(root)
    for unfinished in root.glob(".step-*.tmp"):
        shutil.rmtree(unfinished, ignore_errors=True)
    for folder in reversed(folders):
        try:
            return _read(folder, most_bytes)
        except (OSError, ValueError, RecursionError, SafetensorError, CheckpointError) as error:
            said = error.what if isinstance(error, CheckpointError) else error
            warn(f"{folder}: damaged ({said}); taking the checkpoint before it")
    if folders:
        raise CheckpointError(
            "every checkpoint is damaged",
            where=root,
            mend="delete the folder to begin again, or restore it from a copy",
        )
    return None


def drop_from(root: Path, step: int) -> None:
    """Remove the checkpoints of `step` and later ones."""
    for folder in _folders(root):
        if _step(folder) >= step:
            shutil.rmtree(folder)


def newest_step(root: Path) -> int | None:
    """Of the newest checkpoint, damaged or not; None where there is none."""
    folders = _folders(root)
    return _step(folders[-1]) if folders else None


def _write(final: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    temporary = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        write_tensors(temporary / TENSORS, tensors)
        (temporary / STATE).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
        (temporary / SUMS).write_text(_sums(temporary), "utf-8")
        for name in (TENSORS, STATE, SUMS):
            sync(temporary / name)
        sync(temporary)
        shutil.rmtree(final, ignore_errors=True)  # damaged, or it would not be written again
        temporary.rename(final)
        sync(final.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _read(folder: Path, most_bytes: int) -> Checkpoint:
    _check_sums(folder, most_bytes)
    state = json.loads((folder / STATE).read_text("utf-8"))
    if not isinstance(state, dict):
        raise ValueError(f"{STATE} is no JSON object")
    return Checkpoint(folder, load_file(folder / TENSORS), state)


def _check_sums(folder: Path, most_bytes: int) -> None:
    """Raise CheckpointError or ValueError where a file is not as it was written."""
    if folder.is_symlink():
        raise ValueError("a link, not a folder")
    sizes = {TENSORS: most_bytes, STATE: _MAX_STATE_BYTES, SUMS: _MAX_SUMS_BYTES}
    for name, most in sizes.items():
        require_plain_file(folder / name, most, CheckpointError)
    if (folder / SUMS).read_bytes() != _sums(folder).encode():
        raise ValueError("a file does not match its checksum")


def _is_whole(folder: Path) -> bool:
    try:
        _check_sums(folder, most_bytes=sys.maxsize)
    except (OSError, ValueError, CheckpointError):
        return False
    return True


def _folders(root: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    named = [path for path in root.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(named, key=_step)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _sums(folder: Path) -> str:
    """What SHA256SUMS says of the folder as it is; `sha256sum -c` reads it too."""
    return "".join(f"{_sha256(folder / name)}  {name}\n" for name in (TENSORS, STATE))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
