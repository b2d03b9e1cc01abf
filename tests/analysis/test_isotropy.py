"""Cures of anisotropy, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bertsmith.analysis.isotropy import centring, fit_flow, without_top
from bertsmith.errors import DataError
from bertsmith.types import Float32Array


def bent(count: int = 2000) -> Float32Array:
    """Two dimensions on a parabola, one lognormal, one of noise, and one that does not vary."""
    generator = np.random.default_rng(0)
    x, *noise = generator.normal(size=(4, count))
    columns = [x, x**2 + 0.1 * noise[0], np.exp(noise[1]), noise[2], np.full(count, 3.0)]
    return np.stack(columns, axis=1).astype(np.float32)


def test_the_mean_is_taken_off() -> None:
    vectors = bent()
    np.testing.assert_allclose(centring(vectors)(vectors), vectors - vectors.mean(0), atol=1e-5)


def test_the_top_directions_are_taken_off() -> None:
    generator = np.random.default_rng(0)
    vectors = (generator.normal(size=(300, 6)) * [9, 5, 1, 1, 1, 1] + 4).astype(np.float32)
    found = without_top(vectors, 2)(vectors)
    centred = vectors - vectors.mean(axis=0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    expected = (left[:, 2:] * values[2:]) @ right[2:]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(without_top(vectors)(vectors), without_top(vectors, 1)(vectors))
    wide = generator.normal(size=(500, 300)).astype(np.float32)
    kernel = without_top(wide).weight
    assert np.trace(kernel) == pytest.approx(300 - 3, abs=1e-3)  # one in a hundred


def test_a_flow_makes_bent_vectors_likelier() -> None:
    vectors, told = bent(), list[int]()
    found = fit_flow(vectors, told.append)
    assert told == list(range(1, len(found.likelihoods)))
    assert found.kept.tolist() == [True] * 4 + [False]
    assert found.likelihoods[found.epoch] == max(found.likelihoods)
    assert found.likelihoods[found.epoch] > found.likelihoods[0] + 0.05
    normal = found(vectors)
    assert normal.shape == (2000, 4)
    assert np.abs(normal.mean(axis=0)).max() < 0.3
    with torch.no_grad():
        back = found.flow.inverse(torch.from_numpy(normal)).numpy()
    np.testing.assert_allclose(back, vectors[:, :4], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(fit_flow(vectors)(vectors), normal)  # chance is fixed


def test_too_few_vectors_are_refused() -> None:
    with pytest.raises(DataError, match="19 vectors, which vary in 4 dimensions, are too few"):
        fit_flow(bent(19))
    with pytest.raises(DataError, match="vary in 0 dimensions"):
        fit_flow(np.ones((50, 3), np.float32))
