"""The command itself: help without torch, errors in one line, documented verbs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bertsmith.cli.finetune import finetune
from bertsmith.cli.main import VERBS, run
from bertsmith.cli.reference import render
from bertsmith.tasks.find import find as find_task
from bertsmith.tasks.protocol import MIN_STEPS, Protocol
from bertsmith.tasks.tagging import FEATURES_USUAL

from .commands import bertsmith

ROOT = Path(__file__).parents[2]


def test_help_lists_every_verb_and_imports_no_torch() -> None:
    code = (
        "import sys; from bertsmith.cli.main import run\n"
        "try: run(['--help'])\n"
        "finally: assert not {'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert all(verb in result.stdout for verb in VERBS)


def test_mistakes_are_one_line_and_exit_2(tmp_path: Path) -> None:
    missing, latin = str(tmp_path / "nothing"), str(tmp_path / "caf\udce9.tsv")
    Path(latin).write_text("text\tlabel\nthe film\tgood\n")
    check = ("check", "data", latin, "--task", "classify")
    cases = {
        ("pretrian",): "did you mean 'pretrain'",
        ("pretrain", "bert"): "--corpus",
        ("pretrain", "bert", "--corpus", missing, "--out", missing): "no corpus here",
        ("pretrain", "berd", "--corpus", missing, "--out", missing): "did you mean 'bert'",
        ("pretrain", "bert", "--corpus", missing, "--out", missing, "--set", "optim.lrr=1"): (
            "did you mean 'lr'"
        ),
        ("fill", missing, "a [MASK]"): "nothing",
        (*check, "--out", missing): r"\udce9': a name that is not UTF-8; rename it",
        ("quickstart", "--minutes", "nan", "--out", missing): "nan is no time",
    }
    for arguments, expected in cases.items():
        result = bertsmith(*arguments)
        assert result.returncode == 2, arguments
        assert result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert expected in result.stderr
        assert result.stderr.startswith("bertsmith: error: ")
    assert not Path(missing).exists()


@pytest.mark.parametrize("name", sorted(finetune.commands))
def test_the_defaults_in_a_task_s_help_are_the_task_s(name: str) -> None:
    usual = find_task(name).usual
    shown = {option.name: getattr(option, "help", "") for option in finetune.commands[name].params}
    usually = Protocol()
    epochs = str(usual.get("epochs", 3))
    epochs += f", with --features {FEATURES_USUAL['epochs']}" if name == "tag" else ""
    assert shown["epochs"].endswith(
        f"[default: {epochs}; more where that is under {MIN_STEPS} steps]"
    )
    size = usual.get("batch_size", usually.batch_size)
    assert shown["batch_size"].endswith(f"[default: {size}]")
    longest = usual.get("max_length", usually.max_length)
    if name != "symbols":  # as long as they are
        assert shown["max_length"].endswith(f"[default: {longest}]")


def test_the_page_of_commands_is_the_program_s_help() -> None:
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == render(), "run `make docs`"


def test_the_page_is_the_same_after_a_command_was_used(capsys: pytest.CaptureFixture[str]) -> None:
    page = render()
    for arguments in (["pretrain", "--help"], ["tokenizer", "train"], ["fill", "-h"]):
        with pytest.raises(SystemExit):
            run(arguments)
    assert "-h, --help" in capsys.readouterr().out
    assert render() == page
    assert "-h, --help" in page
