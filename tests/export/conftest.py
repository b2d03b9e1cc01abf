"""A small tokenizer, and one thread: threads of tiny networks only wait for each other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from bertsmith.text.tokenizer import Tokenizer
from wordpieces import wordpiece

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: tests ask no network


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def tokenizer() -> Tokenizer:
    text = "the cat sat on the mat and the dog ran after a cat in the rain, was it so?"
    return wordpiece([text], 50)
