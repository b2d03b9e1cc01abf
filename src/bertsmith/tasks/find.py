"""The tasks, by their own names and by what a model folder says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from bertsmith.errors import ConfigError
from bertsmith.tasks import choice, classify, multilabel, qa, regress, symbols, tagging
from bertsmith.tasks.base import Task

TASKS: tuple[Task[Any, Any], ...] = (
    classify.TASK,
    multilabel.TASK,
    regress.TASK,
    tagging.TASK,
    qa.TASK,
    choice.TASK,
    symbols.TASK,
)

OF_KIND = {
    "classifier": ("symbols",),
    "tagger": ("tag",),
    "feature_tagger": ("tag",),
    "span": ("qa",),
    "choice": ("choice",),
}
"""What each kind of network can be for, where a folder names a task; the first where it does not,
but for classifiers, which are known by their `problem_type`."""


def find(name: str) -> Task[Any, Any]:
    """The task called `name`. Raises ConfigError, naming those there are."""
    by_name = {task.name: task for task in TASKS}
    if name not in by_name:
        near = get_close_matches(name, by_name, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(by_name)}"
        raise ConfigError(f"no task {name!r}", mend=hint)
    return by_name[name]


def of_folder(
    problem_type: str | None,
    extra: Mapping[str, Any],
    labels: Sequence[str] = (),
    kind: str | None = None,
) -> Task[Any, Any]:
    """The task of a fine-tuned model, by what its config.json says.

    One that another program wrote is known by its `kind` of network alone. Raises ConfigError for
    a task that such a network is not for, and for settings that make no sense.
    """
    settings = extra.get("settings")
    known = settings if isinstance(settings, dict) else {}
    if problem_type is not None and "task" not in extra:
        own: Task[Any, Any] = next(task for task in TASKS if task.problem_type == problem_type)
        return own.restored(known, labels)
    possible = OF_KIND.get(kind or "", ())
    name = extra.get("task", next(iter(possible), None))
    if name not in possible:
        raise ConfigError(f"{name!r:.40} is no task of such a network", where="task")
    return find(name).restored(known, labels)
