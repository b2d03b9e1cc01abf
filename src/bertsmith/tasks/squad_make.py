"""Training sets with unanswerable questions, out of files in SQuAD's format.

SQuAD 2.0's training set is not always at hand. Two ways round it, on the JSON as it is read:

    split_articles      a set with such questions, such as SQuAD 2.0's dev set, in two by article:
                        the questions are real, adversarial ones, but few
    draw_unanswerable   SQuAD 1.1's questions, asked again of another paragraph of their article
                        in which their answer does not occur: many, but easier to tell
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bertsmith.data import rng

Squad = Mapping[str, Any]
"""{"data": [{"title", "paragraphs"}]}, as `json.load` gives it."""


def split_articles(content: Squad, share: float, seed: int = 0) -> tuple[dict[str, Any], ...]:
    """Two sets: about `share` of the articles, and the others, each in their old order.

    No article is in both, so that neither knows the other's texts. Raises ValueError where
    one would be empty.
    """
    articles = list(content["data"])
    count = round(share * len(articles))
    if not 0 < count < len(articles):
        raise ValueError(f"{share} of {len(articles)} articles leaves an empty set")
    order = rng.generator("articles", seed).permutation(len(articles))
    first = set(order[:count].tolist())
    parts = ([a for i, a in enumerate(articles) if (i in first) == own] for own in (True, False))
    return tuple({**content, "data": part} for part in parts)


def draw_unanswerable(content: Squad, share: float, seed: int = 0) -> dict[str, Any]:
    """`content` with about `share` of its questions asked a second time, without an answer.

    Each of another paragraph of the same article, in which none of its answers occurs,
    whatever the case of letters; those that have no such paragraph are left out. Their ids end
    in "-none".
    """
    articles = []
    for number, article in enumerate(content["data"]):
        paragraphs = [dict(paragraph) for paragraph in article["paragraphs"]]
        texts = [paragraph["context"].lower() for paragraph in paragraphs]
        drawn: list[list[dict[str, Any]]] = [[] for _ in paragraphs]
        generator = rng.generator("unanswerable", seed, number)
        for own, paragraph in enumerate(paragraphs):
            for question in paragraph["qas"]:
                place = int(generator.integers(max(1, len(paragraphs) - 1)))
                other = place + (place >= own)
                wanted = generator.random() < share and not question.get("is_impossible")
                if not wanted or other >= len(paragraphs):
                    continue
                answers = [answer["text"].lower() for answer in question["answers"]]
                if answers and not any(answer in texts[other] for answer in answers):
                    impossible = {"answers": [], "is_impossible": True}
                    own_id = {"id": f"{question['id']}-none"}
                    drawn[other].append({**question, **own_id, **impossible})
        for paragraph, more in zip(paragraphs, drawn, strict=True):
            answerable = [{"is_impossible": False, **asked} for asked in paragraph["qas"]]
            paragraph["qas"] = answerable + more
        articles.append({**article, "paragraphs": paragraphs})
    return {**content, "data": articles}
