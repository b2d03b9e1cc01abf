from __future__ import annotations

import logging
import math
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from bertsmith.report import anisotropy, check, figures, layers, masked
from bertsmith.report.images import LARGEST_INLINE_SVG, inline_html, svg_text
from bertsmith.report.style import CHINESE_FONTS, COLOURS, STRONG, spread_apart, styled

from .conftest import RUN, evaluation, step, whole_log


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def shades(figure: Figure) -> list[float]:
    svg_text(figure)  # colours are settled by drawing
    return [float(colour[3]) for colour in figure.axes[0].collections[0].get_facecolor()]


def test_loss_has_a_panel_a_task_and_the_entropy_line() -> None:
    figure = figures.loss_curve(whole_log(), 6.01)
    mlm, nsp = figure.axes
    assert [axes.get_title(loc="left") for axes in (mlm, nsp)] == ["masked LM", "next sentence"]
    assert mlm.get_ylabel() == "loss (nats)"
    assert nsp.get_xlabel() == "training tokens"
    raw, smoothed, held_out, entropy = mlm.get_lines()
    assert list(raw.get_xdata()) == [4000 * n for n in range(1, 11)]
    assert list(smoothed.get_ydata()) == [8.3 - 0.5 * n for n in range(1, 11)]
    assert list(held_out.get_ydata()) == [5.9, 3.4]
    assert list(entropy.get_ydata()) == [6.01, 6.01]
    assert "unigram\nentropy 6.01" in texts(figure)
    assert len(nsp.get_lines()) == 3


def test_without_pairs_or_entropy_there_is_one_panel_and_no_reference() -> None:
    records = [
        {key: value for key, value in record.items() if not key.startswith("nsp")}
        for record in whole_log()
    ]
    (axes,) = figures.loss_curve(records, None).axes
    assert len(axes.get_lines()) == 3
    (axes,) = figures.accuracy_curve(records).axes
    assert axes.get_ylabel() == "accuracy"


def test_a_change_of_length_is_marked_in_every_panel() -> None:
    records = whole_log()
    phase = {"kind": "phase", "step": 90, "tokens": 36_000, "max_length": 512}
    plain, marked = (figures.loss_curve(r, None) for r in (records, [*records, phase]))
    for before, after in zip(plain.axes, marked.axes, strict=True):
        (line,) = after.get_lines()[len(before.get_lines()) :]
        assert list(line.get_xdata()) == [36_000, 36_000]
    assert texts(marked).count("length 512") == 2


def test_accuracy_marks_chance_for_pairs_only() -> None:
    mlm, nsp = figures.accuracy_curve(whole_log()).axes
    assert len(mlm.get_lines()) == 3
    assert list(nsp.get_lines()[-1].get_ydata()) == [0.5, 0.5]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [RUN],
        [RUN, step(1)],
        [RUN, step(1, mlm_loss=math.nan, nsp_loss=None)],
        [evaluation(3)],
    ],
)
def test_little_data_still_draws(records: list[dict[str, object]], tmp_path: Path) -> None:
    for figure in (
        figures.loss_curve(records, 6.0),
        figures.accuracy_curve(records),
        figures.throughput_curve(records),
        figures.learning_rate_curve(records),
    ):
        for path in figures.save(figure, tmp_path / "figure"):
            assert path.stat().st_size > 1000


def test_throughput_and_learning_rate_have_units_and_their_number() -> None:
    (axes,) = figures.throughput_curve(whole_log()).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("minutes of training", "tokens a second")
    assert "5.1k/s" in axes.texts[0].get_text()
    (axes,) = figures.learning_rate_curve(whole_log()).axes
    assert axes.texts[0].get_text() == "peak 3e-4"


def test_long_runs_are_thinned_and_smoothed() -> None:
    noise = np.random.default_rng(0).normal(size=5000)
    records = [step(n, mlm_loss=4 + noise[n - 1]) for n in range(1, 5001)]
    raw, smoothed = figures.loss_curve(records, None).axes[0].get_lines()
    assert len(raw.get_xdata()) <= figures.MOST_POINTS
    assert np.std(smoothed.get_ydata()) < 0.3 * np.std(raw.get_ydata())
    assert np.mean(smoothed.get_ydata()) == pytest.approx(4, abs=0.1)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=400))
def test_smoothing_stays_within_the_values(values: list[float]) -> None:
    mean = figures.smooth(np.array(values))
    assert len(mean) == len(values)
    assert mean.min() >= min(values) - 1e-6
    assert mean.max() <= max(values) + 1e-6


def test_learning_curves_on_a_log_axis_with_every_seed() -> None:
    scores = {
        "pre-trained": [[0.6, 0.65, 0.7], [0.8, 0.81, 0.82]],
        "from scratch": [[0.4, 0.5, 0.45], [0.7, math.nan, 0.72]],
    }
    figure = figures.learning_curves([300, 3000], scores, "macro-F1")
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == (
        "log",
        "labelled examples",
        "macro-F1",
    )
    medians = [line for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert [list(line.get_ydata()) for line in medians] == [[0.65, 0.81], [0.45, 0.71]]
    assert sum(len(line.get_ydata()) for line in axes.get_lines() if line not in medians) == 11
    assert texts(figure) == ["pre-trained 0.81", "from scratch 0.71"]
    assert list(axes.get_xticks()) == [300, 3000]


def test_one_count_and_one_seed_is_a_point() -> None:
    figure = figures.learning_curves([100], {"pre-trained": [[0.5]]}, "accuracy")
    assert texts(figure) == ["pre-trained 0.50"]
    svg_text(figure)


def test_one_epoch_is_the_only_one_on_its_axis() -> None:
    figure = figures.epoch_curves({"pre-trained": [[{"epoch": 1, "accuracy": 0.5}]]}, "accuracy")
    svg_text(figure)
    low, high = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [1]


def test_sentences_are_counted_from_one() -> None:
    scored = [{"perplexity": 3.0}]
    data = {"texts": [], "pairs": None, "sentences": scored}
    (axes,) = masked.figure(data).axes
    svg_text(axes.figure)
    low, high = axes.get_ylim()
    assert [tick for tick in axes.get_yticks() if low <= tick <= high] == [1]


def test_tags_and_files_that_begin_with_an_underscore_are_named() -> None:
    """matplotlib leaves such labels out of a legend that it makes itself."""
    points = [{"word": "a", "tag": tag, "in": "a b"} for tag in ("_", "_SP", "NOUN")]
    plane = {"places": [[[0, 1], [1, 0], [2, 2]]], "shares": [[0.5, 0.2]], "points": points}
    (legend,) = layers.plane_figure(plane).legends
    assert {text.get_text() for text in legend.get_texts()} == {"_", "_SP", "NOUN"}
    points += [{"word": "a", "tag": tag, "in": "a b"} for tag in ("A", "B", "C")]
    plane |= {"points": points, "places": [[[0, 1], [1, 0], [2, 2]] * 2]}
    (legend,) = layers.plane_figure(plane).legends
    assert {text.get_text() for text in legend.get_texts()} == {
        "_",
        "_SP",
        "NOUN",
        "A",
        "B",
        "others",
    }
    file = {"file": "a/_train.tsv", "labels": {"x": 1, "y": 2}, "tokens": None}
    (drawn,) = check._figures([file])
    named = drawn.figure.axes[0].get_legend()
    assert named is not None
    assert [text.get_text() for text in named.get_texts()] == ["_train.tsv"]


def test_a_cure_that_was_not_tried_is_not_named() -> None:
    named = {"set": "a/b", "vectors": "mean", "spearman": 0.5, "low": 0.4, "high": 0.6}
    tried = anisotropy.CURES[:-1]
    data = {
        "sets": [{"name": "a/b", "pairs": 20, "sentences": 40}],
        "agreements": [{**named, "cure": cure, "cosine": 0.1} for cure in tried],
        "flows": [],
        "notes": [],
        "layers": [0.1, 0.2],
        "tokens": 30,
        "static_cosine": 0.1,
        "word_vectors": None,
        "frequency": [
            {"name": "words", "words": 20, "counted_in": "in the pairs", "norm_spearman": 0.1}
            | {"distance_spearman": 0.1}
            | {"ranges": [{"first": 1, "last": 20, "norm": 1.0, "distance": 1.0}]}
        ],
    }
    named_ones = anisotropy.sections(data)[4].figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in named_ones] == list(tried)
    assert "flow" not in anisotropy.sections(data)[3].text


def test_confusion_matrix_is_shaded_by_row_and_counts_are_written() -> None:
    figure = figures.confusion_matrix([[8, 2], [0, 0]], ["numpy", "torch"], "which?")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert shades(figure) == pytest.approx([0.8, 0.2, 0, 0])
    assert texts(figure) == ["8", "2", "", ""]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["numpy", "torch"]


@pytest.mark.parametrize("title", ["from scratch", ""])
@pytest.mark.parametrize("labels", [("no", "yes"), ("n", "a long name")])
def test_nothing_of_a_small_matrix_is_cut_off(labels: tuple[str, str], title: str) -> None:
    figure = figures.confusion_matrix([[9, 1], [2, 3]], labels, title)
    svg_text(figure)
    (axes,) = figure.axes
    width, height = figure.get_size_inches() * figure.dpi
    parts = axes.findobj(Text)
    assert {title, "true", "predicted", *labels} <= {part.get_text() for part in parts}
    for part in parts:
        if part.get_text():
            box = part.get_window_extent()
            assert box.x0 >= -1, part
            assert box.y0 >= -1, part
            assert box.x1 <= width + 1, part
            assert box.y1 <= height + 1, part


def test_many_classes_carry_no_text_and_one_class_works() -> None:
    labels = [f"class {n}" for n in range(21)]
    assert texts(figures.confusion_matrix(np.ones((21, 21)), labels)) == []
    assert texts(figures.confusion_matrix([[5]], ["only"])) == ["5"]
    with pytest.raises(ValueError, match="does not fit"):
        figures.confusion_matrix([[1, 2]], ["a", "b"])


def test_similarity_runs_from_the_smallest_to_one() -> None:
    figure = figures.similarity_matrix([[1, 0.2], [0.2, 1]], ["the $x$ axis", "轴 axis"])
    assert shades(figure) == pytest.approx([1, 0, 0, 1])
    assert texts(figure) == ["1.00", ".20", ".20", "1.00"]
    svg = svg_text(figure)
    assert "the $x$ axis" in svg
    assert "轴" in svg


def test_chinese_is_drawn_where_a_font_has_it(tmp_path: Path) -> None:
    installed = set(CHINESE_FONTS) & set(font_manager.get_font_names())
    if not installed:
        pytest.skip(f"none of these fonts is installed: {', '.join(CHINESE_FONTS)}")
    with styled(), warnings.catch_warnings():
        warnings.simplefilter("error")  # "Glyph ... missing from font(s)"
        figure = Figure()
        figure.text(0.5, 0.5, "苹果 apple")
        figure.savefig(tmp_path / "a.png")


def test_fonts_are_not_complained_of_while_a_figure_is_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Text is measured then, too, as of the lines of equal loss."""
    logger = logging.getLogger("matplotlib.font_manager")
    with styled():
        logger.warning("findfont: Failed to find font weight normal")
    assert caplog.records == []
    logger.warning("the caller's own")
    assert len(caplog.records) == 1


def test_the_same_figure_gives_the_same_svg() -> None:
    one, two = (svg_text(figures.loss_curve(whole_log(), 6.01)) for _ in range(2))
    assert one == two


def test_inlined_figures_follow_the_page_and_share_no_id() -> None:
    figure = figures.loss_curve(whole_log(), 6.01)
    html = inline_html(figure, 'a "quoted" <alt>', "figure1")
    assert html.startswith('<svg role="img" aria-label="a &quot;quoted&quot; &lt;alt&gt;"')
    assert "font-size: 9px" in html
    assert "font-family" not in html  # the page's, which is the reader's
    assert "var(--ink)" in html
    assert not [light for light, _ in COLOURS.values() if f": {light}" in html]
    assert 'id="figure1-' in html
    assert html.count('id="') == html.count('id="figure1-')
    assert "url(#figure1-" in html
    assert "url(#p" not in html


def test_a_dense_figure_is_inlined_as_png() -> None:
    figure = Figure()
    figure.add_subplot().plot(np.sin(np.arange(9000)), ".")
    assert len(svg_text(figure)) > LARGEST_INLINE_SVG
    assert inline_html(figure, "dense", "f").startswith('<img src="data:image/png;base64,')


def test_a_large_matrix_is_an_image_of_its_cells() -> None:
    """Each for itself they would be megabytes, and an image does not follow a page's colours."""
    size = 60
    figure = figures.confusion_matrix(np.eye(size) + 1, [str(n) for n in range(size)])
    svg = svg_text(figure)
    assert svg.count("<image") == 1
    assert svg.count("<path") < size * 3
    assert inline_html(figure, "cells", "f").startswith('<img src="data:image/png;base64,')


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(0.01, 1)), max_size=8),
)
def test_labels_never_overlap_and_keep_their_order(boxes: list[tuple[float, float]]) -> None:
    positions, heights = [p for p, _ in boxes], [h for _, h in boxes]
    placed = spread_apart(positions, heights)
    order = np.argsort(positions, kind="stable")
    for below, above in pairwise(order):
        assert placed[above] - placed[below] >= (heights[above] + heights[below]) / 2 - 1e-9


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, two: np.ndarray) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1])
def test_text_can_be_read_in_both_modes(mode: int) -> None:
    def rgb(name: str) -> np.ndarray:
        text = COLOURS[name][mode]
        return np.array([int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)])

    for name in ("ink", "muted", "blue", "orange", "green", "purple", "brown"):
        assert contrast(rgb(name), rgb("paper")) >= 4.5
    for shade in np.linspace(0, 1, 101):
        cell = shade * rgb("heat") + (1 - shade) * rgb("paper")
        assert contrast(cell, rgb("paper" if shade > STRONG else "ink")) >= 3


def test_fillings_that_read_alike_have_a_bar_each_and_a_long_text_is_whole() -> None:
    text = "a long text with its gap near to the end " * 3 + "is [MASK]"
    gap = [["bank", 0.5], ["bank", 0.2], ["shore", 0.1]]  # with a space before it, and without
    data = {"pairs": None, "texts": [{"text": text, "gaps": [gap]}], "sentences": []}
    (axes,) = masked.figure(data).axes
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.5]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["shore", "bank", "bank"]
    lines = axes.get_title(loc="left").split("\n")
    assert " ".join(lines) == text
    assert max(map(len, lines)) <= masked.TITLE
