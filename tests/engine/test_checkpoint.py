"""Checkpoints: whole or absent, damage detected, the one before taken, whatever the disk does."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bertsmith.engine import checkpoint
from bertsmith.errors import CheckpointError
from limits import bomb, little_memory

SHAPES = {"weights.a": torch.Size([50]), "step.a": torch.Size([])}
FILES = (checkpoint.TENSORS, checkpoint.STATE, checkpoint.SUMS)


def save(root: Path, step: int, keep: int = 3) -> Path:
    tensors = {key: torch.full(shape, float(step)) for key, shape in SHAPES.items()}
    return checkpoint.save(root, step, tensors, {"step": step}, keep)


def load(root: Path) -> tuple[int | None, list[str]]:
    """The step that is loaded, and what is said on the way."""
    said: list[str] = []
    found = checkpoint.load_latest(root, SHAPES, said.append)
    if found is None:
        return None, said
    step: int = found.state["step"]
    assert torch.equal(found.tensors["weights.a"], torch.full((50,), float(step)))
    return step, said


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def sign(folder: Path) -> None:
    """Make the checksums agree with whatever the files now hold."""
    (folder / checkpoint.SUMS).write_text(
        "".join(
            f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
            for name in FILES[:2]
        )
    )


def test_round_trip_and_keep(tmp_path: Path) -> None:
    assert load(tmp_path) == (None, [])
    for step in range(1, 6):
        save(tmp_path, step, keep=2)
    assert names(tmp_path) == ["step-00000004", "step-00000005"]
    assert load(tmp_path) == (5, [])


def test_steps_are_ordered_as_numbers(tmp_path: Path) -> None:
    for step in (99_999_999, 100_000_000, 100_000_001):
        save(tmp_path, step, keep=2)
    assert load(tmp_path) == (100_000_001, [])
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("name", FILES)
def test_every_cut_and_flip_is_detected(tmp_path: Path, name: str) -> None:
    """200 places of each file, or all of its bytes: cut there, and one bit turned there."""
    save(tmp_path, 1)
    path = save(tmp_path, 2) / name
    whole = path.read_bytes()
    places = {len(whole) * number // 200 for number in range(200)}
    assert len(places) == min(200, len(whole))
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        for damaged in (whole[:place], bytes(flipped)):
            path.write_bytes(damaged)
            step, said = load(tmp_path)
            assert step == 1
            assert len(said) == 1
            assert "step-00000002: damaged" in said[0]
            assert "\n" not in said[0]
    path.write_bytes(whole)
    assert load(tmp_path) == (2, [])


def test_nothing_whole_is_an_error(tmp_path: Path) -> None:
    (save(tmp_path, 1) / checkpoint.TENSORS).unlink()
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        load(tmp_path)


def test_what_was_passed_over_as_damaged_never_pushes_out_a_good_one(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    for step in (2, 3):
        (tmp_path / f"step-{step:08d}" / checkpoint.STATE).write_text("")
    assert load(tmp_path)[0] == 1
    save(tmp_path, 2, keep=2)  # the run goes on from step 1
    assert names(tmp_path) == ["step-00000001", "step-00000002"]
    assert load(tmp_path) == (2, [])


def test_a_whole_checkpoint_is_not_written_again(tmp_path: Path) -> None:
    """Were it removed first, a kill at that moment could cost it."""
    written = (save(tmp_path, 1) / checkpoint.TENSORS).stat().st_mtime_ns
    assert (save(tmp_path, 1) / checkpoint.TENSORS).stat().st_mtime_ns == written


def test_steps_can_be_dropped_from_one_on(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    checkpoint.drop_from(tmp_path, 2)
    assert load(tmp_path) == (1, [])


FAULTS = """
import resource, signal, sys, torch
from pathlib import Path
from bertsmith.engine import checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
root = Path(sys.argv[1])
tensors = {"weights.a": torch.full((50,), 2.0), "step.a": torch.tensor(2.0)}
shapes = {key: tensor.shape for key, tensor in tensors.items()}

def attempt():
    try:
        checkpoint.save(root, 2, tensors, {"step": 2, "note": "x" * 2000}, 3)
    except OSError as error:
        return error.errno
    return 0

def left(failed):
    said = []
    found = checkpoint.load_latest(root, shapes, said.append)
    names = sorted(path.name for path in root.iterdir())
    print(failed, found.state["step"], len(said), *names)

# The disk is full after so many bytes of a file: the tensors' first, then the longer state's.
for limit in range(0, 2300, 50):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    failed = attempt()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    left(failed)
    if not failed:
        break
checkpoint.drop_from(root, 2)

# From the n-th opening of a file or folder on: no byte more, or no file opened any more.
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
faults = [
    (resource.RLIMIT_FSIZE, 0, (resource.RLIM_INFINITY,) * 2),
    (resource.RLIMIT_NOFILE, 3, (hard, hard)),
]
opened, fault_at, fault = 0, 0, faults[0]

def hook(event, arguments):
    global opened
    if event == "open" and fault_at and str(root) in str(arguments[0]):
        opened += 1
        if opened == fault_at:
            resource.setrlimit(fault[0], (fault[1], fault[2][1]))

sys.addaudithook(hook)
for fault in faults:
    for fault_at in range(1, 100):
        opened = 0
        failed = attempt()
        resource.setrlimit(fault[0], fault[2])
        fault_at = 0
        left(failed)
        if not failed:
            break
    checkpoint.drop_from(root, 2)
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
def test_a_disk_that_refuses_at_any_write_leaves_the_one_before(tmp_path: Path) -> None:
    """The kernel refuses, in a process of its own: at every size of a file, at every opening."""
    save(tmp_path, 1)
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, str(tmp_path)], capture_output=True, text=True
    )
    *lines, last = done.stdout.splitlines()
    assert last == "done", done.stderr
    before, after = "1 0 step-00000001", "2 0 step-00000001 step-00000002"
    found = [tuple(line.split(" ", 1)) for line in lines]
    for code, left in found:
        late = code == str(errno.EMFILE) and left == after  # to flush the folder, renamed by then
        assert left == (after if code == "0" else before) or late, (code, left)
    assert {code for code, _ in found} == {"0", str(errno.EFBIG), str(errno.EMFILE)}
    assert sum(left == before for _, left in found) > 50


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_an_error_at_any_flush_or_rename_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """What no limit can bring about: an input/output error of the disk itself."""
    save(tmp_path, 1)
    real: Callable[..., object] = getattr(os, call)
    failures = 0
    for fail_at in range(1, 100):
        calls = 0

        def failing(*arguments: object, at: int = fail_at, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == at:
                raise OSError(errno.EIO, "Input/output error")
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                save(tmp_path, 2)
            except OSError:
                failures += 1
            else:
                break
        assert load(tmp_path)[0] in (1, 2)  # 2: only the last flush, after the rename, failed
        checkpoint.drop_from(tmp_path, 2)
        assert names(tmp_path) == ["step-00000001"]
    assert failures == (5 if call == "fsync" else 1)


def test_hostile_checkpoints_are_passed_over(tmp_path: Path) -> None:
    """Each with checksums that agree; none is followed, run, or read without end."""
    root, mark = tmp_path / "checkpoints", tmp_path / "mark"
    save(root, 1)

    def write(name: str, content: bytes) -> Callable[[Path], object]:
        return lambda folder: (folder / name).write_bytes(content)

    def endless(folder: Path) -> None:
        with (folder / checkpoint.TENSORS).open("r+b") as file:
            file.truncate(10 << 40)

    def pipe(folder: Path) -> None:
        (folder / checkpoint.STATE).unlink()
        os.mkfifo(folder / checkpoint.STATE)

    def link(folder: Path) -> None:
        outside = folder.rename(tmp_path / "outside")
        folder.mkdir()
        for name in FILES:
            (folder / name).symlink_to(outside / name)

    header = (
        b'{"weights.a":{"dtype":"F32","shape":[2500000000000],"data_offsets":[0,10000000000000]}}'
    )
    attacks: list[tuple[Callable[[Path], object], str]] = [
        (write(checkpoint.TENSORS, bomb(mark)), ""),
        (write(checkpoint.STATE, bomb(mark)), ""),
        (write(checkpoint.STATE, b"[" * 100_000), ""),
        (write(checkpoint.STATE, b"[]"), "no JSON object"),
        (write(checkpoint.TENSORS, len(header).to_bytes(8, "little") + header), ""),
        (write(checkpoint.TENSORS, (1 << 62).to_bytes(8, "little") + b"{}"), ""),
        (endless, "too large"),
        (pipe, "no regular file"),
        (link, "leads out of its folder"),
    ]
    for attack, reason in attacks:
        folder = save(root, 2)
        attack(folder)
        if attack not in (endless, pipe):
            sign(folder)
        with little_memory():
            step, said = load(root)
        assert step == 1, attack
        assert len(said) == 1
        assert reason in said[0]
        assert not mark.exists()
        checkpoint.drop_from(root, 2)
    (root / "step-00000003").symlink_to(tmp_path / "outside")
    assert "a link, not a folder" in load(root)[1][0]
    (root / "step-none").write_text("mine")
    assert load(root)[0] == 1


def test_no_pickle_anywhere(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    assert {p.suffix for p in folder.iterdir()} == {".safetensors", ".json", ""}
    json.loads((folder / checkpoint.STATE).read_text())
