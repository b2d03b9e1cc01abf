from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bertsmith.cli.main import main
from bertsmith.errors import ConfigError, TrainingError
from bertsmith.files import alone_in
from bertsmith.jobs import grid_workers
from bertsmith.jobs.grid import make_grid
from bertsmith.jobs.grid_search import SearchResult, search_grid
from bertsmith.jobs.grid_workers import Job
from bertsmith.jobs.predict import evaluate_file
from bertsmith.jobs.processes import usual_workers
from bertsmith.report.grid_search import search_figure, search_table
from bertsmith.report.page import Table
from bertsmith.tasks.protocol import Protocol

from .ended import end_once
from .tiny import save_tiny_model, write_table

GRID = "lr=1e-5,3e-3 epochs=2,16"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_table(folder / "train.tsv", 96)
    write_table(folder / "dev.tsv", 40, seed=1)
    save_tiny_model(folder / "model")
    return folder


def run(inputs: Path, out: Path, **changes: object) -> SearchResult:
    arguments = {"grid": GRID, "seeds": 2, "batch_size": 16, "workers": 1, **changes}
    paths = (inputs / "train.tsv", inputs / "dev.tsv", inputs / "model", out)
    return search_grid("classify", *paths, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return run(inputs, tmp_path_factory.mktemp("runs") / "out")


def test_the_usual_grid_is_around_what_one_run_would_take() -> None:
    points = make_grid("usual", Protocol(lr=4e-5, epochs=3, batch_size=32))
    assert len(points) == 18
    assert {point.lr for point in points} == {2e-5, 4e-5, 8e-5}
    assert {point.epochs for point in points} == {2, 3, 4}
    assert {point.batch_size for point in points} == {16, 32}
    assert len(make_grid("usual", Protocol(epochs=1, batch_size=1))) == 3


def test_a_grid_has_all_combinations_of_what_is_named() -> None:
    points = make_grid("lr=1e-4,3e-4 batch_size=8,8", Protocol(epochs=5))
    assert [(p.lr, p.epochs, p.batch_size) for p in points] == [(1e-4, 5, 8), (3e-4, 5, 8)]
    assert points[0].name == "lr0.0001-epochs5-batch8"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("lr", "'lr' names no values; write such as"),
        ("rate=1", "no search over 'rate'"),
        ("epoch=1", "no search over 'epoch'; did you mean 'epochs'"),
        ("epochs=1.5", "'1.5' is no value of epochs"),
        ("lr=1e-4,inf", "'inf' is no value of lr"),
        ("lr=1 lr=2", "lr is named twice"),
        (" ", "no values to search over"),
    ],
)
def test_a_grid_that_makes_no_sense_is_one_line(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"search: {what}"):
        make_grid(text, Protocol())


def test_nothing_is_written_before_every_point_is_checked(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for changes, what in (
        ({"grid": "lr=1e-3,0"}, "lr: .* greater than 0"),
        ({"grid": "epochs=9,2", "unfreeze": 1}, "unfreeze: 1 an epoch do not reach"),
        ({"workers": 0}, "workers: 0 are none"),
    ):
        with pytest.raises(ConfigError, match=what):
            run(inputs, out, **changes)
    assert not out.exists()
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="is there already, and is no search"):
        run(inputs, tmp_path)


def test_the_best_point_by_its_median_is_what_is_left(done: SearchResult, inputs: Path) -> None:
    points = done.found["points"]
    assert (points[0]["lr"], points[0]["epochs"]) == (3e-3, 16)
    assert len(points) == 4
    merits = [point["merit"] for point in points]
    assert merits == sorted(merits, reverse=True)
    assert all(len(point["merits"]) == 2 for point in points)
    best = done.folder / points[0]["folder"]
    assert done.scores == json.loads((best / "scores.json").read_text())
    assert points[0]["scores"] == done.scores["summary"]["pretrained"]
    weights = [folder / "model" / "model.safetensors" for folder in (done.folder, best)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert [path.parent for path in done.folder.glob("points/*/model")] == [best]
    dev = evaluate_file(done.model, inputs / "dev.tsv")
    assert dev["macro_f1"] == max(run["macro_f1"] for run in done.scores["runs"])
    names = {path.name for path in done.folder.iterdir()}
    assert names == {
        *("search.toml", "search.json", "search.png", "search.svg", "points", "model"),
        *("report.html", "README.md", "scores.json", "errors.tsv"),
    }
    page = (done.folder / "report.html").read_text("utf-8")
    assert "The best of 4 is chosen by the same 40 dev texts" in page
    assert search_table(done.found).rows[0][:3] == ["0.003", 16, 16]
    cards = [(folder / "model" / "README.md").read_text("utf-8") for folder in (done.folder, best)]
    assert "were chosen among 4 settings, by the median over the seeds on the dev set" in cards[0]
    assert "best of 2 seeds" in cards[0]
    assert "settings, by" not in cards[1]  # which is one of them, and knows of no others
    assert cards[0].count("\n") == cards[1].count("\n") + 1


def test_the_same_command_repeats_nothing_and_others_add_points(
    done: SearchResult, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("points/*/runs/*")}
    begun = (out / "search.toml").read_bytes()
    with alone_in(out, ConfigError), pytest.raises(ConfigError, match="another process is writing"):
        run(inputs, out, seeds=3)
    assert (out / "search.toml").read_bytes() == begun
    assert run(inputs, out).found == done.found
    assert times == {path: path.stat().st_mtime_ns for path in out.glob("points/*/runs/*")}
    page = out / done.found["points"][0]["folder"] / "report.html"
    page.unlink()  # as where it was killed before that was written
    assert run(inputs, out).found == done.found
    assert page.is_file()
    more = run(inputs, out, grid="lr=3e-3 epochs=1")
    assert "among 5 settings" in (more.model / "README.md").read_text("utf-8")
    assert sorted(point["epochs"] for point in more.found["points"]) == [1, 2, 2, 16, 16]
    assert [p for p in more.found["points"] if p["epochs"] != 1] == done.found["points"]
    weights = [folder / "model" / "model.safetensors" for folder in (out, done.folder)]
    assert weights[0].read_bytes() == weights[1].read_bytes()  # the new one is not better
    assert len(list(out.glob("points/*"))) == 5
    (out / "points" / "lr1e-05-epochs2-batch16" / "scores.json").unlink()  # as if never finished
    shutil.rmtree(out / done.found["points"][0]["folder"] / "model")
    again = run(inputs, out, grid="lr=3e-3 epochs=1")
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert len(again.found["points"]) == 4
    assert [p["merit"] for p in run(inputs, out).found["points"]] == [
        point["merit"] for point in more.found["points"]
    ]
    with pytest.raises(ConfigError, match=r"protocol\.patience was 0, now 1; give the same"):
        run(inputs, out, patience=1)
    with pytest.raises(ConfigError, match="seeds was 2, now 1"):
        run(inputs, out, seeds=1)


def test_a_disk_that_is_full_keeps_the_model_that_is_there(
    done: SearchResult, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)

    def full(source: object, target: object, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        run(inputs, out)
    assert error.value.errno == errno.ENOSPC  # of which the command makes one line
    assert {path.name for path in out.iterdir()} == {path.name for path in done.folder.iterdir()}
    assert (out / "model" / "model.safetensors").is_file()


def test_killed_while_a_model_is_dropped_none_is_taken_for_whole(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, quick = shutil.rmtree, {"seeds": 1, "grid": "lr=1e-6,3e-3 epochs=6"}

    def killed(path: Path, **options: object) -> None:
        if path.parent.parent.name != "points" or not path.exists():
            return remove(path, **options)  # type: ignore[arg-type]
        (path / "model.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            run(inputs, tmp_path / "out", **quick)
    for place in (tmp_path / "out" / "points").iterdir():
        if not (place / "model" / "model.safetensors").is_file():
            assert not (place / "model" / "config.json").exists()
            break
    else:
        raise AssertionError("no model was dropped")


def test_a_point_that_diverges_is_named_and_the_others_go_on(inputs: Path, tmp_path: Path) -> None:
    found = run(inputs, tmp_path / "out", grid="lr=1e30,1e-3 epochs=1", seeds=1).found
    assert found["points"][1]["diverged"].startswith("pretrained, seed 0: ")
    table: Table = search_table(found)
    assert table.rows[1][3] == "diverged"
    assert search_figure(found).axes
    with pytest.raises(TrainingError, match="every point diverged, first: pretrained, seed 0: "):
        run(inputs, tmp_path / "all", grid="lr=1e30 epochs=1", seeds=1)


def test_a_point_without_memory_has_not_diverged(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is some, the same command goes on."""

    def short(*_: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    few = {"grid": "lr=1e-3 epochs=1", "seeds": 1}
    with monkeypatch.context() as patch:
        patch.setattr("bertsmith.tasks.fit.batch_loss", short)
        with pytest.raises(TrainingError, match="no memory to train on 4,096 tokens at once"):
            run(inputs, tmp_path / "out", **few)
    assert run(inputs, tmp_path / "out", **few).finished


def test_workers_fit_points_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    assert usual_workers(3, 10) == 3
    assert usual_workers(100, 10) <= 8
    assert usual_workers(100, 1 << 50) == 1


def test_the_points_that_are_left_have_no_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor this process: a run that goes on would be rounded otherwise."""
    asked: list[object] = []
    monkeypatch.setattr(grid_workers, "side_by_side", lambda *given: asked.append(given[2:4]) or 0)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    job = Job((str(tmp_path),), {"seeds": 1}, tmp_path / "x", 1)
    for left, workers in ((6, 4), (3, 4), (1, 4), (2, 1)):
        assert grid_workers.run_jobs([job] * left, workers, lambda: None) == 0
    assert asked == [(4, 2), (3, 2), (2, 2), (1, 8)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_that_are_ended_go_on_to_what_one_gives(
    done: SearchResult, inputs: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = ["finetune", "classify", "--out", str(out), "--seeds", "2", "--batch-size", "16"]
    for name in ("train.tsv", "dev.tsv", "model"):
        command += [f"--{name.removesuffix('.tsv')}", str(inputs / name)]
    command += ["--search", GRID, "--workers", "2"]
    said = end_once(number, out, "points/*/runs/*.json", command)
    if number is signal.SIGTERM:
        assert said.splitlines()[-1] == "stopped; the same command again goes on from here"
    assert not (out / "search.json").exists()
    found = run(inputs, out).found
    ours, theirs = (
        [{**point, "seconds": 0} for point in one["points"]] for one in (found, done.found)
    )
    assert ours == theirs
    weights = [folder / "model" / "model.safetensors" for folder in (out, done.folder)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_verb_prints_the_table_and_refuses_what_goes_with_nothing(
    done: SearchResult, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    command = ["finetune", "classify", "--train", str(inputs / "train.tsv")]
    command += ["--dev", str(inputs / "dev.tsv"), "--model", str(inputs / "model")]
    search = ["--search", GRID, "--seeds", "2", "--batch-size", "16"]
    ended = CliRunner().invoke(main, [*command, "--out", str(out), *search])
    assert ended.exit_code == 0, ended.output
    assert "Every point, the best first" in ended.output
    assert "the best of them" in ended.output
    flags = ["--out", str(tmp_path / "no"), "--search", "--from-scratch"]
    refused = CliRunner().invoke(main, [*command, *flags])
    assert refused.exit_code == 2
    assert "leave out --from-scratch" in refused.output
