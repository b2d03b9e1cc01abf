"""The docstrings that a Python environment carries, read from source without importing it.

Some C extensions keep theirs in Python source too, as calls like numpy's
`add_newdoc("numpy", "name", "...")` or torch's `add_docstr(torch.name, "...")`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bertsmith.text.workers import available_cores, map_in_order, worker_pool

MIN_CHARS = 100
FILES_A_TASK = 200
STANDARD_LIBRARY = "python"
LIBRARIES = (
    "click",
    "jinja2",
    "matplotlib",
    "numpy",
    "pydantic",
    "rich",
    "scipy",
    "sklearn",
    "torch",
)
"""The packages that are read: those that bertsmith itself needs, so that everybody has them."""
_SKIPPED_FOLDERS = frozenset(
    (
        "__pycache__",
        "site-packages",
        "dist-packages",
        "test",
        "tests",
        "testing",
        "_testing",
        "idlelib",
        "lib2to3",
        "turtledemo",
        "ensurepip",
        "vendor",
        "_vendor",
        "vendored",
        "_vendored",
        "externals",
        "extern",
        "third_party",
    )
)
_ADDERS = ("add_docstr", "add_newdoc", "_add_docstr", "add_docstr_all")


def docstrings() -> Iterator[tuple[str, str, str]]:
    """(dotted name, library, text) of every docstring worth reading, in a fixed order.

    Test modules, vendored copies, exact copies and texts under 100 characters are left out;
    the standard library's modules all have the library "python".
    """
    seen: set[bytes] = set()
    files = [*_modules()]
    tasks = [files[begin : begin + FILES_A_TASK] for begin in range(0, len(files), FILES_A_TASK)]
    cores = available_cores()
    with worker_pool(cores, _nothing) as pool:
        for found in map_in_order(pool, _docs_in_all, tasks, 2 * cores):
            for title, library, text in found:
                key = hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()
                if key not in seen:
                    seen.add(key)
                    yield title, library, text


def _nothing() -> None:
    """What a worker has to prepare."""


def _docs_in_all(files: list[tuple[str, str, Path]]) -> list[tuple[str, str, str]]:
    return [
        (title, library, text)
        for module, library, path in files
        for title, text in _docs_in(path, module)
    ]


def _modules() -> Iterator[tuple[str, str, Path]]:
    """(dotted module, library, file): the standard library, then the packages."""
    standard = Path(sysconfig.get_path("stdlib"))
    for path in sorted(standard.rglob("*.py")):
        parts = path.relative_to(standard).with_suffix("").parts
        if not _is_left_out(parts):
            yield _dotted(parts), STANDARD_LIBRARY, path
    for library in LIBRARIES:
        spec = find_spec(library)
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            for path in sorted(folder.rglob("*.py")):
                parts = (library, *path.relative_to(folder).with_suffix("").parts)
                if not _is_left_out(parts):
                    yield _dotted(parts), library, path


def _dotted(parts: tuple[str, ...]) -> str:
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_left_out(parts: tuple[str, ...]) -> bool:
    *folders, name = parts
    return (
        any(folder in _SKIPPED_FOLDERS or "-" in folder for folder in folders)
        or name.startswith("test_")
        or name.endswith("_test")
        or name == "conftest"
    )


def _docs_in(path: Path, module: str) -> Iterator[tuple[str, str]]:
    try:
        source = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, OSError, RecursionError):
        return
    has_added = any(adder.encode() in source for adder in _ADDERS)
    for title, raw in _docs_of(tree, module, has_added):
        text = inspect.cleandoc(raw).encode("utf-8", "ignore").decode("utf-8").strip()
        if len(text) >= MIN_CHARS:
            yield title, text


def _docs_of(tree: ast.Module, module: str, has_added: bool) -> Iterator[tuple[str, str]]:
    """(dotted name, docstring) of a module, its classes and functions, and added ones."""
    stack: list[tuple[ast.AST, str]] = [(tree, module)]
    while stack:
        node, name = stack.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if text := ast.get_docstring(node, clean=False):
                yield name, text
        elif has_added and isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if added := _added_doc(node.value, module):
                yield added
            continue
        for child in reversed(_statements_in(node)):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                stack.append((child, f"{name}.{child.name}"))
            else:
                stack.append((child, name))


def _statements_in(node: ast.AST) -> list[ast.AST]:
    """The statements inside a compound one, in their order."""
    return [
        child
        for block in ("body", "handlers", "orelse", "finalbody")
        for child in getattr(node, block, ())
    ]


def _added_doc(call: ast.Call, module: str) -> tuple[str, str] | None:
    """What `add_docstr(target, "text")` and its like say, whatever formats the text later."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else None
    function = call.func.id if isinstance(call.func, ast.Name) else function
    if function not in _ADDERS or not call.args:
        return None
    strings = [
        node.value
        for argument in call.args
        for node in ast.walk(argument)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    text = max(strings, key=len, default="")
    target = call.args[0]
    if isinstance(target, ast.Attribute | ast.Name):
        return ast.unparse(target), text
    names = [part for part in strings if part is not text and part.replace(".", "_").isidentifier()]
    return ".".join(names) or module, text
