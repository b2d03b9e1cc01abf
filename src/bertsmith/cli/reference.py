"""docs/commands.md: every verb's own help, so that the page cannot say anything else.

python -m bertsmith.cli.reference > docs/commands.md
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from bertsmith.cli.main import main

WIDTH = 92


def render() -> str:
    """The page."""
    parts = [
        "# Commands",
        "Made by `make docs` from the program's own help; a test compares the two.",
    ]
    for context in _contexts(main, None, "bertsmith"):
        help_text = context.command.get_help(context)
        parts.append(f"## {context.command_path}\n\n```\n{help_text}\n```")
    return "\n\n".join(parts) + "\n"


def _contexts(
    command: click.Command, parent: click.Context | None, name: str
) -> Iterator[click.Context]:
    """Of `command` and all below it, each below its parent's: `-h` is inherited from the top,
    and a command keeps the help option that it was first asked for with."""
    settings = command.context_settings
    context = click.Context(command, parent, name, terminal_width=WIDTH, **settings)
    yield context
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            child = command.get_command(context, verb)
            assert child is not None
            yield from _contexts(child, context, verb)


if __name__ == "__main__":
    print(render(), end="")
