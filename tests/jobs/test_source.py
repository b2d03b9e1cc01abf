"""Runs that go on from a model: every family, what is taken, what is refused, and survival."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from bertsmith.config import RunConfig, resolve
from bertsmith.errors import BertsmithError, ConfigError, CorpusError, ModelError
from bertsmith.export.huggingface import load_masked_lm, load_tokenizer, read_model
from bertsmith.jobs import recorder
from bertsmith.jobs.pretrain import PretrainResult, load_config, pretrain
from bertsmith.jobs.setup import describe, prepare
from bertsmith.report.log import read_run
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from recipes.toy import TINY, config, documents, make_corpus

from .tiny import POST, save_tiny_model

RECIPES = ("bert", "modern", "albert", "electra", "t5", "word2vec")
SETTINGS = {key: TINY[key] for key in ("data", "optim", "budget", "log")}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    """By recipe; those with one tokenizer share one."""
    folder = tmp_path_factory.mktemp("corpora")
    own = {name: make_corpus(name, folder / name) for name in ("bert", "albert", "t5", "word2vec")}
    return own | dict.fromkeys(("modern", "electra"), own["bert"])


@pytest.fixture(scope="module")
def sources(
    corpora: dict[str, Corpus], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, PretrainResult]:
    folder = tmp_path_factory.mktemp("sources")
    return {name: pretrain(config(name), corpora[name], folder / name) for name in RECIPES}


def from_model(
    recipe: str, source: Path, out: Path | None = None, /, **changes: object
) -> RunConfig:
    """As the command line makes it: SETTINGS and `changes`, the model's shape."""
    sets = [
        f"{table}.{key}={value}"
        for table, values in {**SETTINGS, **changes}.items()
        for key, value in values.items()  # type: ignore[attr-defined]
    ]
    return load_config(recipe, sets, source, out)


def first_weights(run: Path) -> dict[str, torch.Tensor]:
    """Those of the checkpoint before the first step."""
    tensors = load_file(run / "checkpoints" / "step-00000000" / "tensors.safetensors")
    return {name.removeprefix("weights."): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_begins_where_its_source_ended(
    recipe: str,
    corpora: dict[str, Corpus],
    sources: dict[str, PretrainResult],
    tmp_path: Path,
) -> None:
    source, corpus = sources[recipe], corpora[recipe]
    wanted = from_model(recipe, source.model)
    assert wanted.model == load_config(source.folder / "config.toml").model
    result = pretrain(wanted, corpus, tmp_path / "run")
    assert result.finished
    log = read_run(tmp_path / "run" / "log.jsonl")
    assert log.of("eval")[0]["step"] == 0
    first = {name: log.of("eval")[0][name] for name in source.evaluation}
    assert first == source.evaluation
    assert result.evaluation["loss"] != first["loss"]
    assert log.run["source"]["weights"].endswith("nothing is new")
    assert log.run["source"]["model_sha256"] in (result.model / "README.md").read_text()
    assert f", begun from {recipe}/model, trained on" in (result.folder / "README.md").read_text()
    assert read_model(result.model).architecture == read_model(source.model).architecture
    if recipe != "bert":
        return
    # What was written down is enough to do it again.
    again = load_config(tmp_path / "run" / "config.toml")
    assert again.source == resolve(wanted, {}).source
    assert pretrain(again, corpus, tmp_path / "again").evaluation == result.evaluation


@pytest.mark.parametrize(
    ("recipe", "source", "new"),
    [
        ("bert", "modern", {"next sentence", "pooler"}),
        ("modern", "bert", set()),
        ("albert", "bert", {"sentence order"}),
        (
            *("electra", "bert"),
            {f"generator's {part}" for part in ("encoder", "transform", "vocabulary")}
            | {"replaced token"},
        ),
        ("bert", "electra", {"transform", "vocabulary", "pooler", "next sentence"}),
        ("modern_t5", "t5", {"mlm head"}),
    ],
)
def test_what_the_source_has_not_is_new(
    recipe: str,
    source: str,
    new: set[str],
    corpora: dict[str, Corpus],
    sources: dict[str, PretrainResult],
    tmp_path: Path,
) -> None:
    """One tokenizer: ALBERT's recipe takes BERT's here."""
    model = sources[source].model
    out = tmp_path / "run"
    wanted = from_model(recipe, model, log={**SETTINGS["log"], "keep_checkpoints": 9})
    result = pretrain(wanted, corpora["t5" if source == "t5" else "bert"], out)
    said = read_run(out / "log.jsonl").run["source"]["weights"]
    assert set(said.partition("new: ")[2].split(", ")) - {""} == new
    assert result.finished
    prefix = {"electra": "discriminator.", "modern_t5": "network."}.get(recipe, "")
    taken = first_weights(out)
    state = read_model(model).state
    for name, tensor in taken.items():
        bare = name.removeprefix(prefix)
        if bare.startswith("encoder.") and name.startswith(prefix):
            assert torch.equal(tensor, state[bare]), name


def test_a_public_bert_without_heads(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    """As transformers writes it, with rows to spare in the embedding."""
    corpus = corpora["bert"]
    tokenizer = corpus.tokenizer()
    public = tmp_path / "public"
    torch.manual_seed(0)
    shape = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size + 8,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    transformers.BertModel(shape).save_pretrained(public)
    tokenizer.save(public)
    result = pretrain(from_model("bert", public), corpus, tmp_path / "run")
    assert read_run(tmp_path / "run" / "log.jsonl").run["source"]["weights"] == (
        "taken: encoder, pooler; new: vocabulary, transform, next sentence"
    )
    assert load_masked_lm(result.model).embedding.shape[0] == tokenizer.vocab_size + 8
    theirs = transformers.AutoModelForPreTraining.from_pretrained(result.model)
    assert theirs.config.vocab_size == tokenizer.vocab_size + 8
    assert load_tokenizer(result.model).fingerprint == tokenizer.fingerprint


def test_killed_before_its_first_evaluation_a_run_still_tells_what_it_began_with(
    corpora: dict[str, Corpus],
    sources: dict[str, PretrainResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, out = tmp_path / "source", tmp_path / "run"
    shutil.copytree(sources["bert"].model, source)
    (source / "modules.json").write_text("[]")  # as sentence-transformers have it

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(from_model("bert", source), corpora["bert"], out)
    assert "not taken: the steps after its last layer" in capsys.readouterr().err
    for _ in range(2):
        pretrain(from_model("bert", source), corpora["bert"], out)
        first = [record for record in read_run(out / "log.jsonl").of("eval") if not record["step"]]
        assert [record["loss"] for record in first] == [sources["bert"].evaluation["loss"]]


def test_resume_needs_no_source_and_takes_no_other(
    corpora: dict[str, Corpus], sources: dict[str, PretrainResult], tmp_path: Path
) -> None:
    corpus, out = corpora["bert"], tmp_path / "run"
    model = tmp_path / "source" / "model"
    shutil.copytree(sources["bert"].model, model)
    every = {"log": {**SETTINGS["log"], "checkpoint_minutes": 1e-9, "keep_checkpoints": 99}}
    wanted = from_model("bert", model, out, **every)
    whole = pretrain(wanted, corpus, out)
    for kept in (0, 5):
        for step in sorted((out / "checkpoints").iterdir())[kept + 1 :]:
            shutil.rmtree(step)
        model.rename(tmp_path / "gone")
        again = pretrain(from_model("bert", model, out, **every), corpus, out)
        assert again.evaluation == whole.evaluation
        assert (out / "model" / "model.safetensors").is_file()
        (tmp_path / "gone").rename(model)
    moved = tmp_path / "moved"
    model.rename(moved)
    assert pretrain(from_model("bert", moved, out, **every), corpus, out).finished
    with pytest.raises(ConfigError, match=r"other values of .*source"):
        pretrain(from_model("bert", sources["modern"].model, out, **every), corpus, out)
    with pytest.raises(ConfigError, match=r"other values of .*source"):
        pretrain(resolve(config("bert"), {"model": {}}), corpus, out)
    with pytest.raises(ModelError, match="no such model folder"):
        from_model("bert", model, tmp_path / "new")


def test_a_run_of_its_own_takes_no_source_later(
    corpora: dict[str, Corpus], sources: dict[str, PretrainResult], tmp_path: Path
) -> None:
    corpus, out = corpora["bert"], tmp_path / "run"
    pretrain(resolve(config("bert"), SETTINGS), corpus, out)
    with pytest.raises(ConfigError, match=r"other values of source;"):
        pretrain(from_model("bert", sources["bert"].model, out), corpus, out)


def test_what_does_not_go_together_is_refused(
    corpora: dict[str, Corpus], sources: dict[str, PretrainResult], tmp_path: Path
) -> None:
    model, out = sources["bert"].model, tmp_path / "out"
    odd = tmp_path / "run.toml"
    odd.write_text('recipe = "bert"\n[model]\nhidden_size = 64\nnum_layers = 2\npooling = "mean"\n')
    with pytest.raises(ConfigError, match=r"hidden_size is 64, there 32, model\.pooling is 'mean'"):
        load_config(odd, source=model)
    for recipe, source, said in (
        ("t5", "bert", "has no decoder, which the recipe 't5' trains"),
        ("bert", "t5", "has a part 'decoder' that the recipe 'bert' does not train"),
        ("bert", "word2vec", "has no encoder"),
        ("word2vec", "bert", "has a part 'encoder' that the recipe 'word2vec' does not"),
        ("left_to_right", "bert", "reads both ways, which a network of the recipe 'left_to_right'"),
    ):
        with pytest.raises(ModelError, match=said):
            from_model(recipe, sources[source].model)
    causal = save_tiny_model(tmp_path / "causal", POST.model_copy(update={"causal": True}))
    with pytest.raises(ModelError, match=r"reads from left to right, which .*'modern'"):
        from_model("modern", causal)
    with pytest.raises(ConfigError, match=r"model\.generator_size: 0\.5 makes another generator"):
        from_model("electra", sources["electra"].model, model={"generator_size": 0.5})
    sums = tmp_path / "sums.toml"
    sums.write_text(
        f'recipe = "bert"\ndata.max_length = 32\n[source]\nmodel = "{model}"\nmodel_sha256 = "00"\n'
    )
    with pytest.raises(ConfigError, match=r"source\.model_sha256 is not that of the weights"):
        load_config(sums)
    with pytest.raises(ConfigError, match="did you mean 'model_sha256'"):
        load_config("bert", [f"source.model={model}", "source.model_sha=1"])
    with pytest.raises(ConfigError, match=r"longer than model\.max_position_embeddings 64"):
        from_model("bert", model, data={"max_length": 128})
    other = build_corpus(documents(40), corpora["albert"].tokenizer(), tmp_path / "other")
    with pytest.raises(CorpusError, match=r"another tokenizer than that of .*corpus build --token"):
        pretrain(from_model("bert", model), other, out)
    dry = describe(prepare(from_model("bert", model), corpora["bert"]))
    assert dry["goes on from"] == "bert/model"
    assert not out.exists()


def test_a_model_of_one_token_type_reads_no_pairs(corpora: dict[str, Corpus]) -> None:
    one = config("bert", model={**TINY["model"], "type_vocab_size": 1})
    with pytest.raises(BertsmithError, match="tells 2 token types apart, the model 1; choose a"):
        prepare(one, corpora["bert"])
    prepare(config("modern", model={**TINY["model"], "type_vocab_size": 1}), corpora["bert"])


def test_dropout_may_change(sources: dict[str, PretrainResult]) -> None:
    assert from_model("bert", sources["bert"].model).model.dropout == 0.1
    changed = from_model("bert", sources["bert"].model, model={"dropout": 0.0})
    assert changed.model.dropout == 0.0
