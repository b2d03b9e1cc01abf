"""The public names, pinned: each new one, and each one gone, is a decision."""

from __future__ import annotations

import bertsmith


def test_public_names_are_these_and_resolve() -> None:
    assert " ".join(bertsmith.__all__) == (
        "read_documents read_texts Tokenizer train_tokenizer Corpus build_corpus load_config "
        "pretrain finetune glue predict_file evaluate_file fill embed embed_file search "
        "similarity attention_maps load_encoder load_masked_lm load_classifier load_tokenizer "
        "save_model quickstart BertsmithError"
    )
    for name in bertsmith.__all__:
        assert getattr(bertsmith, name).__doc__, name
