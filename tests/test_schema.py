"""Tables from outside: every problem at once, with the nearest known key, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertsmith.config import RunConfig
from bertsmith.errors import ConfigError
from bertsmith.schema import parse_assignments, read_toml, validate


def test_every_problem_at_once() -> None:
    tables = {
        "recipe": "bert",
        "optm": {},
        "optim": {"lrr": 1, "lr": -1},
        "model": {"num_heads": 3},
    }
    with pytest.raises(ConfigError) as caught:
        validate(RunConfig, tables, "run.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("run.toml: ")
    for part in (
        *("unknown key 'optm', did you mean 'optim'?", "unknown key 'optim.lrr'"),
        *("optim.lr: ", "hidden_size 256 is no multiple of num_heads 3"),
    ):
        assert part in message


def test_assignments() -> None:
    tables = parse_assignments(["optim.lr=1e-4", "recipe=bert", 'log.fill=["a [MASK]"]'])
    assert tables == {"optim": {"lr": 1e-4}, "recipe": "bert", "log": {"fill": ["a [MASK]"]}}
    for text in ("1" * 5000, "[" * 5000):
        assert parse_assignments([f"a={text}"]) == {"a": text}
    for wrong in ("optim.lr", "=3"):
        with pytest.raises(ConfigError, match="key=value"):
            parse_assignments([wrong])
    with pytest.raises(ConfigError, match="is a value"):
        parse_assignments(["optim=3", "optim.lr=1"])


def test_a_file_written_on_windows(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b'\xef\xbb\xbfa = "b"\r\n[c]\r\nd = 1\r\n')
    assert read_toml(tmp_path / "run.toml") == {"a": "b", "c": {"d": 1}}


def test_unreadable_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("a = = 1")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "digits.toml").write_text(f"a = {'1' * 5000}")
    (tmp_path / "deep.toml").write_text(f"a = {'[' * 5000}")
    for name in ("missing.toml", "bad.toml", "binary.toml", "digits.toml", "deep.toml"):
        with pytest.raises(ConfigError, match=name) as caught:
            read_toml(tmp_path / name)
        assert "\n" not in str(caught.value)
