"""A thousand broken files through the verbs: one line that says where, exit status 2."""

from __future__ import annotations

import io
import random
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from bertsmith.cli.main import run
from bertsmith.errors import BertsmithError
from bertsmith.tasks.find import find
from bertsmith.tasks.tables import Columns
from malformed import MAKERS, WHOLE, Case, letters, malformed, odd

from .commands import bertsmith

COUNT = 1000


def called(*arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        run([str(argument) for argument in arguments])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def write(folder: Path, case: Case) -> Path:
    for name, content in case.beside.items():
        (folder / name).write_bytes(content)
    (folder / case.name).write_bytes(case.content)
    return folder / case.name


def problem(status: int, err: str, folder: Path, case: Case) -> str:
    """What is wrong with the answer to a broken file; nothing where it is as it should be."""
    line = err.removesuffix("\n")
    expected = f"bertsmith: error: {re.escape(str(folder))}/{case.place}"
    if status != 2 or "\n" in line or len(line) > 700:
        return f"{case.name}: {status}: {err[:700]}"
    if not re.match(expected, line) or "; " not in line:
        return f"{case.name}: expected {case.place}, got {line[:300]}"
    return ""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file without faults for each task."""
    folder = tmp_path_factory.mktemp("whole")
    files = {}
    for kind, (suffix, task, draw) in WHOLE.items():
        path = folder / f"{kind}.{suffix}"
        lines = draw(random.Random(1))
        path.write_text("\n".join(lines) + "\n", "utf-8")
        answers = "\n".join(letters(random.Random(1), len(lines)))
        path.with_suffix(".ans").write_text(answers)
        files[task] = path
    return files


def test_the_files_are_the_same_every_time_and_of_every_kind() -> None:
    first, again = list(malformed(COUNT)), list(malformed(COUNT))
    assert first == again
    assert len({case.content for case in first}) > 0.8 * COUNT
    assert len(MAKERS) > 60


def test_a_broken_file_is_one_line_and_status_2(whole: dict[str, Path], tmp_path: Path) -> None:
    """Each as it is checked, and as a fine-tuning's training set or, half of them, its dev set."""
    wrong = []
    others = ("--model", tmp_path / "none", "--out", tmp_path / "out")
    for index, case in enumerate(malformed(COUNT)):
        path, good = write(tmp_path, case), whole[case.task]
        train, dev = (path, good)
        if index // len(MAKERS) % 2 and case.kind not in FINE_TO_BE_SCORED_ON:
            train, dev = (good, path)
        for arguments in (
            ("check", "data", path, "--task", case.task),
            ("finetune", case.task, "--train", train, "--dev", dev, *others),
        ):
            status, _, err = called(*arguments)
            found = problem(status, err, tmp_path, case)
            wrong += [f"{arguments[0]}: {found}"] if found else []
    assert not wrong, f"{len(wrong)} of {COUNT}:\n" + "\n".join(wrong[:20])
    assert not (tmp_path / "out").exists()


def test_files_to_be_labelled_or_scored_are_read_or_refused(tmp_path: Path) -> None:
    """As `predict` and `evaluate` read them: what is broken may be what they do not look at."""
    refused = []
    for case in malformed(COUNT):
        path, task = write(tmp_path, case), find(case.task)
        for labelled in (False, True):
            try:
                for _ in task.open(path, None, Columns(), labelled=labelled).rows:
                    pass
            except BertsmithError as error:
                refused.append((str(path.with_suffix("")), str(error)))
    assert len(refused) > COUNT
    assert [error for name, error in refused if name not in error] == []


FINE_TO_BE_SCORED_ON = {
    *("one_class", "one_tag", "one_number", "one_label", "answers_nowhere", "every_label_another")
}
"""Nothing can be learnt from these alone."""


@pytest.mark.parametrize("kind", WHOLE)
def test_what_only_looks_strange_is_read(kind: str, tmp_path: Path) -> None:
    task: Any = find(WHOLE[kind][1])
    for number in range(3):
        for what, suffix, strange, plain in odd(random.Random(number), kind):
            rows = []
            for name, content in (("plain", plain), ("strange", strange)):
                folder = tmp_path / name
                folder.mkdir(exist_ok=True)
                path = folder / f"a.{suffix if name == 'strange' else suffix.removesuffix('.gz')}"
                path.write_bytes(content)
                answers = letters(random.Random(number), plain.count(b"\n"))
                (folder / "a.ans").write_text("\n".join(answers))
                rows.append(task.read(path).rows)
            assert rows[0] == rows[1], (kind, what)
            status, out, err = called("check", "data", path, "--task", task.name)
            assert (status in (0, 1), err) == (True, ""), (kind, what)
            assert f"{len(rows[0]):,} rows of 1 files" in out


def test_a_line_of_100_megabytes(tmp_path: Path) -> None:
    for name, task, begin, where in (
        ("a.tsv", "classify", b"text\tlabel\n", ":2: a line longer than 16 MiB"),
        ("a.jsonl", "classify", b'{"text": "', ":1: a line longer than 16 MiB"),
        ("a.conll", "tag", b"word O\n\n", ":3: a line longer than 16 MiB"),
        ("a.json", "qa", b'{"data": [{"title": "', r":1: not JSON"),
    ):
        path = tmp_path / name
        with path.open("wb") as file:
            file.write(begin)
            for _ in range(100):
                file.write(b"a" * 10**6)
        case = Case(name, task, "", b"", re.escape(name) + where)
        assert not problem(*called("check", "data", path, "--task", task)[::2], tmp_path, case)
        path.unlink()


@pytest.mark.parametrize("index", range(0, COUNT, COUNT // 2))
def test_real_processes(index: int, tmp_path: Path) -> None:
    case = list(malformed(index + 1))[index]
    path = write(tmp_path, case)
    done = bertsmith("check", "data", path, "--task", case.task)
    assert not problem(done.returncode, done.stderr, tmp_path, case)
