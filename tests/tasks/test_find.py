from __future__ import annotations

import pytest

from bertsmith.errors import ConfigError
from bertsmith.export.configs import PROBLEM_TYPES
from bertsmith.tasks import regress
from bertsmith.tasks.find import TASKS, find, of_folder


def test_every_problem_type_has_its_task_and_every_task_its_name() -> None:
    on_texts = {task.name for task in TASKS if task.problem_type is not None}
    assert {of_folder(name, {}).name for name in PROBLEM_TYPES} == on_texts
    assert of_folder(None, {}, ["NOUN", "VERB"], "tagger").settings == {}
    settings = {"task": "qa", "settings": {"stride": 5}}
    assert of_folder(None, settings, (), "span").settings["stride"] == 5
    assert of_folder("single_label_classification", {"task": "symbols"}, (), "classifier").name == (
        "symbols"
    )
    assert of_folder(None, {}, (), "span").settings["null_threshold"] is None
    assert of_folder(None, {}, (), "choice") == find("choice")
    assert find("regress") is regress.TASK
    with pytest.raises(ConfigError, match="no task 'regres'; did you mean 'regress'"):
        find("regres")
    for kind, task in (("classifier", "qa"), ("tagger", "classify"), ("span", ["qa"]), ("", None)):
        with pytest.raises(ConfigError, match="is no task of such a network"):
            of_folder(None, {"task": task}, (), kind)
    with pytest.raises(ConfigError, match="there are: classify, multilabel, regress, tag"):
        find("parse")
