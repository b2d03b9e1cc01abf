from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertsmith.errors import DataError
from bertsmith.report.log import read_run
from bertsmith.report.run import (
    fill_table,
    final_numbers,
    summary,
    write_run_readme,
    write_run_report,
)

from .conftest import RUN, evaluation, fill, step, whole_log

Make = Callable[..., Path]


def test_a_whole_run(run_folder: Make) -> None:
    folder = run_folder(whole_log())
    html = write_run_report(folder).read_text("utf-8")
    for part in ("Learning", "Masked words, filled in", "Pace", "The run", "num_layers = 4"):
        assert part in html
    assert html.count("<svg") == 4
    assert "<mark>capital</mark>" in html
    assert "2.61 below the 6.01" in html
    assert "The run is complete." in html
    log = read_run(folder / "log.jsonl")
    assert final_numbers(log) == {
        "parameters": "3.2M",
        "tokens trained on": "40k",
        "masked LM loss, held out": "3.400",
        "perplexity, held out": "30.0",
        "masked LM accuracy, held out": "30.0 %",
        "next sentence loss, held out": "0.690",
        "next sentence accuracy, held out": "50.0 %",
        "training time": "8 s",
    }


def test_a_run_at_the_unigram_entropy_says_so(run_folder: Make) -> None:
    warning = {"kind": "warning", "step": 7, "message": "still at the unigram entropy"}
    folder = run_folder([RUN, step(9), evaluation(9, 6.0), warning])
    html = write_run_report(folder).read_text("utf-8")
    assert "it has not learned from context yet" in html
    assert "Step 7: still at the unigram entropy" in html
    assert "after 90 % of its tokens, before the run ended" in html


@pytest.mark.parametrize(
    "records",
    [[RUN], [{"kind": "run"}], [RUN, step(1)], [RUN, evaluation(1)], [RUN, fill(1)]],
)
def test_little_still_gives_a_page(run_folder: Make, records: list[dict[str, Any]]) -> None:
    folder = run_folder(records)
    (folder / "config.toml").unlink()
    html = write_run_report(folder).read_text("utf-8")
    assert "</html>" in html
    assert write_run_readme(folder).exists()


def test_a_cut_last_line_is_left_out(run_folder: Make) -> None:
    folder = run_folder([RUN, step(1)], tail='{"kind": "step", "step": 2, "to')
    assert len(read_run(folder / "log.jsonl").of("step")) == 1
    with (folder / "log.jsonl").open("ab") as file:
        file.write("é".encode()[:1])  # half a letter
    assert len(read_run(folder / "log.jsonl").of("step")) == 1
    assert write_run_report(folder).exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no run"),
        ("\n\n", "holds no run"),
        ('{"kind": "step", "step": 1}\n', "holds no run"),
        ('{"kind": "run"}\nnonsense\n{"kind": "end"}\n', "log.jsonl:2: is not JSON"),
        ('{"kind": "run"}\n[1]\n', "log.jsonl:2: is not a JSON object"),
        ('{"kind": "run"}\n{"step": 1}\n', 'log.jsonl:2: no "kind"'),
        ('{"kind": "run"}\n{"kind": "eval"}\n', "log.jsonl:2: a eval line without a step"),
    ],
)
def test_what_is_no_log_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(DataError) as raised:
        write_run_report(tmp_path)
    assert message in str(raised.value)
    assert not (tmp_path / "report.html").exists()


def test_no_log_and_a_binary_config(tmp_path: Path, run_folder: Make) -> None:
    with pytest.raises(DataError, match="no such file"):
        write_run_report(tmp_path / "missing")
    folder = run_folder([RUN])
    (folder / "config.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text"):
        write_run_report(folder)


def test_steps_trained_twice_count_once(run_folder: Make) -> None:
    end = {"kind": "end", "step": 4, "tokens": 1, "elapsed_s": 1.0, "reason": "stopped"}
    first = [RUN, step(1), step(2), evaluation(2, 5.0), step(3), step(4, mlm_loss=9.9), end]
    folder = run_folder([*first, step(2), evaluation(2, 4.0), step(3)])
    log = read_run(folder / "log.jsonl")
    assert [record["step"] for record in log.of("step")] == [1, 2, 3]
    assert [record["mlm_loss"] for record in log.of("eval")] == [4.0]
    assert log.end is None
    stopped = read_run(run_folder(first) / "log.jsonl")
    assert "the same command resumes it" in summary(stopped)


def test_at_most_seven_moments_with_both_ends() -> None:
    table = fill_table([fill(n, [("the", n / 100)]) for n in range(1, 31)])
    assert table is not None
    assert len(table.moments) == len(table.rows[0].predictions) == 7
    assert (table.moments[0], table.moments[-1]) == ("4k tokens", "120k tokens")


def test_several_masks_and_a_sentence_that_came_later() -> None:
    late = fill(2, [("a", 0.5)], [("b", 0.4)])
    late["samples"][0]["text"] = "the <mask> sat on the <mask> ."
    late["samples"][0]["answers"] = []
    table = fill_table([fill(1, [("the", 0.2)]), late])
    assert table is not None
    first, second = table.rows
    assert (first.before, first.after) == ("the ", " sat on the <mask> .")
    assert (second.before, second.after) == ("the <mask> sat on the ", " .")
    assert second.predictions == [[], [("b", 0.4)]]
    assert fill_table([]) is None


def test_readme_names_what_is_there_and_quotes_for_the_shell(run_folder: Make) -> None:
    sample = fill(5, [("x", 0.5)])
    sample["samples"][0]["text"] = "it's `$HOME` the [MASK]"
    folder = run_folder([RUN, step(5), sample])
    (folder / "model").mkdir()
    text = write_run_readme(folder, "My own BERT").read_text("utf-8")
    assert text.startswith("# My own BERT\n")
    assert "`model/`" in text
    assert "`checkpoints/`" not in text
    assert f"bertsmith fill model {shlex.quote(sample['samples'][0]['text'])}" in text
    assert str(folder) not in text
