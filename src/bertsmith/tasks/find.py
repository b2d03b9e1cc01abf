"""The tasks on whole texts, by their own names and by Hugging Face's."""

from __future__ import annotations

from difflib import get_close_matches

from bertsmith.errors import ConfigError
from bertsmith.tasks import classify, multilabel, regress
from bertsmith.tasks.base import Task

TASKS = (classify.TASK, multilabel.TASK, regress.TASK)


def find(name: str) -> Task:
    """The task called `name`. Raises ConfigError, naming those there are."""
    by_name = {task.name: task for task in TASKS}
    if name not in by_name:
        near = get_close_matches(name, by_name, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(by_name)}"
        raise ConfigError(f"no task {name!r}", mend=hint)
    return by_name[name]


def of_problem(problem_type: str) -> Task:
    """The task that a model folder's problem_type means."""
    return next(task for task in TASKS if task.problem_type == problem_type)
