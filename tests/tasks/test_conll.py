from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from bertsmith.errors import DataError
from bertsmith.tasks.conll import open_sentences, read_sentences
from bertsmith.tasks.sentences import Sentence
from bertsmith.tasks.tables import Columns

CONLL = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n\nPeter NNP I-NP I-PER\n"
CONLLU = """# sent_id = 1
# text = Don't go (now)!
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tgone\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t(\t(\tPUNCT\t-LRB-\t_\t3\tpunct\t_\tSpaceAfter=No
5\tnow\tnow\tADV\tRB\t_\t3\tadvmod\t_\tSpaceAfter=No
6\t)\t)\tPUNCT\t-RRB-\t_\t3\tpunct\t_\tSpaceAfter=No
7\t!\t!\tPUNCT\t.\t_\t3\tpunct\t_\t_

1\t東京\t_\tPROPN\tNNP\t_\t0\troot\t_\t_
2\t。\t_\tPUNCT\t.\t_\t1\tpunct\t_\t_
"""


def read(path: Path, content: str, columns: Columns | None = None) -> list[Sentence]:
    path.write_text(content)
    return read_sentences(path, columns).rows


def placed(sentence: Sentence) -> list[str]:
    return [sentence.text[begin:end] for begin, end in sentence.offsets]


def test_columns_the_last_or_another(tmp_path: Path) -> None:
    first, second = read(tmp_path / "eng.train", CONLL)
    assert (first.text, first.words, first.tags) == (
        "EU rejects",
        ("EU", "rejects"),
        ("I-ORG", "O"),
    )
    assert (first.lines, second.line, placed(first)) == ((3, 4), 7, ["EU", "rejects"])
    assert read(tmp_path / "a.txt", CONLL, Columns(label="2"))[0].tags == ("NNP", "VBZ")
    tabs = CONLL.replace(" ", "\t").replace("EU", "EU of ours")
    assert read(tmp_path / "a.tsv", tabs)[0].words == ("EU of ours", "rejects")


def test_a_column_is_not_the_word_and_the_tag(tmp_path: Path) -> None:
    for columns in (Columns("2"), Columns(label="1")):
        with pytest.raises(
            DataError, match=r"a\.conll: column '[12]' is the word and the tag; name"
        ):
            read(tmp_path / "a.conll", "O EU\nB-X Bonn\n", columns)
    rows = read(tmp_path / "a.conll", "O EU\nB-X Bonn\n", Columns("2", label="1"))
    assert (rows[0].words, rows[0].tags) == (("EU", "Bonn"), ("O", "B-X"))


def test_sentences_of_one_document(tmp_path: Path) -> None:
    two = "a O\n\n" + CONLL + "-DOCSTART- -X- O O\nin NN I-NP O\n"
    two = two.replace("a O\n", "a NN I-NP O\n")
    assert [s.document for s in read(tmp_path / "a.conll", two)] == [0, 1, 1, 2]
    word = "1\tw\t_\tX\t_\t_\t_\t_\t_\t_\n"
    content = f"# x\n{word}\n# newdoc\n{word}\n{word}\n# newdoc id = 7\n# x\n{word}"
    assert [s.document for s in read(tmp_path / "a.conllu", content)] == [0, 1, 1, 2]


def test_a_space_that_should_not_be_there_is_there(tmp_path: Path) -> None:
    word = "{}\tw\t_\tX\t_\t_\t_\t_\t_\t{}\n"
    misc = ("CorrectSpaceAfter=No", "Typo=Yes|SpaceAfter=No", "_")
    content = "".join(word.format(number, own) for number, own in enumerate(misc, 1))
    assert read(tmp_path / "a.conllu", content)[0].text == "w ww"


def test_conllu_words_and_their_places(tmp_path: Path) -> None:
    for name in ("a.conllu", "a.txt"):
        first, second = read(tmp_path / name, CONLLU)
        assert first.text == "Don't go (now)!"
        assert placed(first) == list(first.words) == ["Do", "n't", "go", "(", "now", ")", "!"]
        assert first.tags == ("AUX", "PART", "VERB", "PUNCT", "ADV", "PUNCT", "PUNCT")
        assert first.lines == (4, 5, 6, 8, 9, 10, 11)
        assert (second.text, placed(second)) == ("東京 。", ["東京", "。"])
    tags = read(tmp_path / "a.conllu", CONLLU, Columns(label="XPOS"))[1].tags
    assert tags == read(tmp_path / "a.conllu", CONLLU, Columns(label="5"))[1].tags == ("NNP", ".")


def test_a_word_that_is_not_in_its_token_has_the_whole_of_it(tmp_path: Path) -> None:
    german = "1-2\tzum\t_\t_\t_\t_\t_\t_\t_\t_\n1\tzu\t_\tADP" + "\t_" * 6
    german += "\n2\tdem\t_\tDET" + "\t_" * 6 + "\n"
    (sentence,) = read(tmp_path / "a.conllu", german)
    assert placed(sentence) == ["zu", "zum"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.conll", "a O\nb\n", r"a\.conll:2: 1 columns, where line 1 has 2; give every word"),
        ("a.conll", "a\nb\n", r"a\.conll:1: one column only, and no tags"),
        ("a.conll", "a\tO\n\tO\n", r"a\.conll:2: no word in column 1"),
        ("a.conll", "a\tO\nb\t \n", r"a\.conll:2: no tag in column 2"),
        ("a.conll", "\n\n", r"a\.conll: no words"),
        ("a.conll", "-DOCSTART- O\n", r"a\.conll: no words"),
        ("a.conllu", "1\ta\tNOUN\n", r"a\.conllu:1: 3 fields, where CoNLL-U has 10"),
        ("a.conllu", "1\ta" + "\t_" * 8 + "\n", r"a\.conllu:1: no tag in upos"),
        ("a.conllu", "2\ta\t_\tX" + "\t_" * 6 + "\n", r"a\.conllu:1: word 1 has the ID 2"),
        ("a.conllu", "x\ta\t_\tX" + "\t_" * 6 + "\n", r"a\.conllu:1: the ID 'x' is no number"),
        ("a.conllu", "1\t\t_\tX" + "\t_" * 6 + "\n", r"a\.conllu:1: no word"),
        ("a.conllu", "# only a comment\n", r"a\.conllu: no sentences"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, name: str, content: str, what: str
) -> None:
    with pytest.raises(DataError, match=what):
        read(tmp_path / name, content)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column '5'; there are: 1, 2, 3, 4"):
        read(tmp_path / "a", CONLL, Columns(label="5"))
    with pytest.raises(DataError, match="no column 'pos'; there are: id, form"):
        read(tmp_path / "a.conllu", CONLLU, Columns(label="pos"))


def test_what_is_to_be_tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def words(name: str, content: str) -> list[tuple[str, ...]]:
        (tmp_path / name).write_text(content)
        table = open_sentences(tmp_path / name, None, Columns("1", label="4"), labelled=False)
        return [row.words for row in table.rows]

    assert words("a.txt", "EU, at last\n\nno") == [("EU", ",", "at", "last"), (), ("no",)]
    assert words("a.jsonl", '{"text": "EU."}\n') == [("EU", ".")]
    texts = [("EU", ",", "at", "last"), ("no",)]
    assert words("a.csv", 'text,label\n"EU, at last",1\nno,0\n') == texts
    assert words("a.tsv", "label\ttext\n1\tEU, at last\n0\tno\n") == texts
    assert words("b.tsv", "EU\tNNP\nrejects\tVBZ\n") == [("EU", "rejects")]
    assert words("b.tsv", "text\tNN\n\nno\tDT\n") == [("text",), ("no",)]
    with pytest.raises(DataError, match=r"a \.json has no words and tags; give"):
        words("a.json", '{"version": 1}')
    assert words("a.conll", "EU\nrejects\n") == [("EU", "rejects")]
    assert words("a.conll", CONLL)[0] == ("EU", "rejects")
    assert words("a.conllu", CONLLU.replace("VERB", "_"))[0][2] == "go"
    for content, expected in ((b"EU.\n", ("EU", ".")), (CONLLU.encode(), ("Do", "n't"))):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        table = open_sentences(None, None, Columns(), labelled=False)
        assert next(table.rows).words[:2] == expected


def test_a_no_break_space_is_part_of_a_word(tmp_path: Path) -> None:
    (sentence,) = read(tmp_path / "a.conll", "1\u00a0000  B-NUM\nb O\n")
    assert (sentence.words, sentence.tags) == (("1\u00a0000", "b"), ("B-NUM", "O"))
