from __future__ import annotations

import torch
from torch.nn import functional

from bertsmith.nn.heads import (
    MaskedLMHead,
    NextSentenceHead,
    Pooler,
    Transform,
    first_tokens,
    mean_tokens,
)
from bertsmith.nn.models import MaskedLM, SequenceClassifier, count_parameters, model_device

from .batches import ALBERT, MODERN, POST, PRE, VOCABULARY, flat, random_examples, randomise


def test_first_tokens_are_where_sequences_begin() -> None:
    hidden_TD = torch.arange(12.0)[:, None]
    assert first_tokens(hidden_TD, (6, 5, 1)).flatten().tolist() == [0, 6, 11]


def test_mean_tokens_is_the_mean_of_each_sequence() -> None:
    hidden_TD = torch.randn(12, 5)
    expected = torch.stack([part.mean(0) for part in hidden_TD.split([6, 5, 1])])
    torch.testing.assert_close(mean_tokens(hidden_TD, (6, 5, 1)), expected)


def test_mean_tokens_are_rounded_once() -> None:
    """As where sums are fp32: those of the numbers here are exact, their halves are rounded."""
    torch.manual_seed(0)
    hidden_TD = torch.randint(-128, 128, (1100, 64)).bfloat16()
    lengths = (1000, 97, 3)
    means = [part.double().mean(0) for part in hidden_TD.split(lengths)]
    assert torch.equal(mean_tokens(hidden_TD, lengths), torch.stack(means).float().bfloat16())


def test_the_masked_lm_scores_with_the_word_embedding() -> None:
    model = MaskedLM(POST, next_sentence=True).eval()
    randomise(model)
    batch = flat(random_examples([5, 3]))
    positions = torch.tensor([1, 4, 6])
    hidden_TD = model(batch)
    scores = model.scores(hidden_TD, positions)
    transformed = model.mlm_head.transform(hidden_TD[positions])
    torch.testing.assert_close(scores, transformed @ model.embedding.T + model.mlm_head.bias)
    assert scores.shape == (3, VOCABULARY)
    assert model.embedding is model.encoder.embeddings.word.weight


def test_the_transform_is_norm_of_gelu_of_linear() -> None:
    head = MaskedLMHead(MODERN)
    hidden = torch.randn(4, MODERN.hidden_size)
    expected = head.transform.norm(functional.gelu(head.transform.dense(hidden)))
    torch.testing.assert_close(head.transform(hidden), expected)
    assert head.transform.dense.bias is None


def test_the_transform_goes_from_the_hidden_size_to_the_embeddings() -> None:
    model = MaskedLM(ALBERT, next_sentence=False, sentence_order=True).eval()
    randomise(model)
    head = model.mlm_head.transform
    hidden = torch.randn(4, ALBERT.hidden_size)
    expected = head.norm(functional.gelu(head.dense(hidden), approximate="tanh"))
    torch.testing.assert_close(head(hidden), expected)
    assert head(hidden).shape == (4, ALBERT.embedding_size)
    assert model.next_sentence_head is None
    assert model.scores(hidden, torch.tensor([0, 3])).shape == (2, VOCABULARY)


def test_the_pair_head_sees_first_tokens_only() -> None:
    head = NextSentenceHead(POST)
    hidden_TD = torch.randn(8, POST.hidden_size)
    logits = head(hidden_TD, (5, 3))
    changed = hidden_TD.clone()
    changed[[1, 2, 3, 4, 6, 7]] = 0
    assert logits.shape == (2, 2)
    assert torch.equal(logits, head(changed, (5, 3)))


def test_a_classifier_uses_what_pre_training_leaves() -> None:
    assert isinstance(SequenceClassifier(POST, 3).head.transform, Pooler)
    assert isinstance(SequenceClassifier(PRE, 3).head.transform, Transform)
    narrow = PRE.model_copy(update={"embedding_size": 10})
    assert isinstance(SequenceClassifier(narrow, 3).head.transform, Pooler)


def test_classifier_scores_each_sequence_in_the_order_of_the_batch() -> None:
    model = SequenceClassifier(POST, 5).eval()
    randomise(model)
    examples = random_examples([3, 9, 5])
    batch = flat(examples)
    logits = model(batch)
    assert logits.shape == (3, 5)
    for row, index in enumerate(batch.indices):
        torch.testing.assert_close(
            logits[row], model(flat([examples[index]]))[0], atol=1e-5, rtol=1e-4
        )


def test_dropout_of_a_classifier_stands_before_its_last_layer() -> None:
    model = SequenceClassifier(POST, 2, dropout=0.5)
    hidden_TD = torch.randn(4, POST.hidden_size)
    first, second = (model.head(hidden_TD, (4,)) for _ in range(2))
    assert not torch.equal(first, second)


def test_parameters_are_counted_once() -> None:
    model = MaskedLM(POST, next_sentence=False)
    expected = sum(p.numel() for p in model.encoder.parameters())
    expected += sum(p.numel() for p in model.mlm_head.transform.parameters()) + VOCABULARY
    assert count_parameters(model) == expected
    assert model_device(model) == torch.device("cpu")
