"""Files and folders written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from bertsmith.errors import ModelError
from bertsmith.files import (
    check_replaceable,
    errors_naming,
    is_free,
    remove_interrupted_writes,
    replace_folder,
    require_plain_file,
    temporary_folder,
    write_text_atomically,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_failed_write_leaves_the_older_folder_and_no_trace(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with replace_folder(folder, holds="a", error=ModelError) as temporary:
        (temporary / "a").write_text("old")

    def fail() -> None:
        with replace_folder(folder, holds="a", error=ModelError) as temporary:
            (temporary / "a").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (folder / "a").read_text() == "old"
    assert names(tmp_path) == {"model"}


def test_a_failed_rename_puts_the_older_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    with replace_folder(folder, holds="a", error=ModelError) as temporary:
        (temporary / "a").write_text("old")
    rename = Path.rename

    def refuse_new(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(errno.EIO, "refused")
        return rename(self, target)

    def replace() -> None:
        with replace_folder(folder, holds="a", error=ModelError) as temporary:
            (temporary / "a").write_text("new")

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OSError, match="refused"):
        replace()
    assert (folder / "a").read_text() == "old"
    assert names(tmp_path) == {"model"}


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    for name in (".model.0a1b2c3d.tmp", ".model.99999999.old", ".model.backup.old", ".other.tmp"):
        (tmp_path / name).mkdir()
    with replace_folder(tmp_path / "model", holds="a", error=ModelError) as temporary:
        (temporary / "a").write_text("new")
    assert names(tmp_path) == {"model", ".model.backup.old", ".other.tmp"}
    for name in (".b.json.4711.tmp", ".mine.4711.tmp", "b.json"):
        (tmp_path / "model" / name).write_text("half")
    remove_interrupted_writes(tmp_path / "model", ["a", "b.json"])
    assert names(tmp_path / "model") == {"a", ".mine.4711.tmp", "b.json"}


def test_a_signal_while_a_folder_is_removed_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, calls = shutil.rmtree, []

    def interrupted(path: Path, **named: object) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(path, **named)  # type: ignore[call-overload]

    def work() -> None:
        with temporary_folder(tmp_path / "run") as folder:
            (folder / "a").write_text("half")
            assert names(tmp_path) == {folder.name}

    monkeypatch.setattr("bertsmith.files.shutil.rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(calls) == 2
    assert not names(tmp_path)


def test_only_plain_files_of_the_folder_pass(tmp_path: Path) -> None:
    folder, outside = tmp_path / "model", tmp_path / "outside"
    folder.mkdir()
    outside.write_text("secret")
    (folder / "plain").write_text("12345")
    (folder / "alias").symlink_to("plain")
    for name in ("plain", "alias"):
        require_plain_file(folder / name, 5, ModelError)
    (folder / "link").symlink_to(outside)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    (folder / "device").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    for name in ("link", "broken", "loop", "folder", "device", "pipe", "missing"):
        with pytest.raises(ModelError, match=name):
            require_plain_file(folder / name, 1 << 40, ModelError)
    with pytest.raises(ModelError, match="too large: 5 bytes, where 4 are the most"):
        require_plain_file(folder / "plain", 4, ModelError)


def test_the_cache_of_downloads_passes(tmp_path: Path) -> None:
    """models--NAME/snapshots/REVISION/config.json -> ../../blobs/HASH"""
    blobs, snapshot = tmp_path / "m" / "blobs", tmp_path / "m" / "snapshots" / "1a2b"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "abc").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    require_plain_file(snapshot / "config.json", 100, ModelError)
    (tmp_path / "m" / "other").write_text("{}")
    (snapshot / "other").symlink_to("../../other")
    with pytest.raises(ModelError, match="leads out"):
        require_plain_file(snapshot / "other", 100, ModelError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_refused_write_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "a.tsv", tmp_path / "folder"):
        with pytest.raises(OSError, match="directory") as caught:
            write_text_atomically(path, "text")
        assert caught.value.filename == str(path)
    assert names(tmp_path) == {"folder"}


def test_a_full_disk_says_where() -> None:
    path = Path("/dev/full")
    with (
        pytest.raises(OSError, match="No space left") as caught,
        errors_naming(path),
        path.open("wb", buffering=0) as file,
    ):
        file.write(b"x")
    assert caught.value.filename == str(path)


def test_a_pipe_is_written_to_and_a_link_keeps_its_place(tmp_path: Path) -> None:
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "folder" / "target"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text_atomically(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    write_text_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a text")
    with pytest.raises(ModelError, match=r"texts\.txt is no folder that can be written to"):
        check_replaceable(tmp_path / "texts.txt" / "a" / "b", "config.json", ModelError)
    check_replaceable(tmp_path / "a" / "b", "config.json", ModelError)


def test_what_killed_processes_left_does_not_fill_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".config.toml.123.tmp").write_text("")
    (tmp_path / ".calibration.0f3a99bc.tmp").mkdir()
    assert is_free(tmp_path)
    (tmp_path / "notes.tmp").write_text("")
    assert not is_free(tmp_path)
