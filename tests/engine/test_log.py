"""A log that is appended to, cut while it is written, and cut back when a run goes on."""

from __future__ import annotations

from pathlib import Path

from bertsmith.engine.log import Log, cut_log, read_log


def test_what_was_told_after_the_checkpoint_is_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path)
    log.write("run", recipe="bert")
    for step in (1, 2, 3):
        log.write("step", step=step, loss=7.5 - step)
    log.close()
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "step", "st')  # killed here
    kept = cut_log(path, step=2)
    assert [record.get("step") for record in kept] == [None, 1, 2]
    assert list(read_log(path)) == kept
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.jsonl"]
    log = Log(path)
    log.write("step", step=3, loss=4.5)
    log.close()
    assert [record.get("step") for record in read_log(path)] == [None, 1, 2, 3]


def test_lines_that_the_disk_has_damaged_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"kind": "run"}\n\xff\xfe\x00\n[1]\n{"kind": "end"}\n')
    assert [record["kind"] for record in read_log(path)] == ["run", "end"]


def test_a_run_without_a_log_has_nothing_to_cut(tmp_path: Path) -> None:
    assert cut_log(tmp_path / "log.jsonl", step=5) == []
    assert not any(tmp_path.iterdir())
