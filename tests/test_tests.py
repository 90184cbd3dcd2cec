"""Rules for the tests, checked in their syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PATCHERS = {"setattr", "delattr", "setitem", "delitem", "patch", "object", "dict", "multiple"}
# Documented by Django despite their underscore.
PUBLIC = {"_meta", "_default_manager"}


def is_private(name: str) -> bool:
    """Whether a name, or a part of a dotted one, begins with one underscore."""
    return any(part.startswith("_") and not part.startswith("__") for part in name.split(".")) and name not in PUBLIC


def names_in(node: ast.expr) -> Iterator[str]:
    """Attribute names and strings that an argument of a patching call is made of."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and " " not in part.value:
            yield part.value


def private_patches(tree: ast.AST) -> list[str]:
    """Calls that patch a private name, and assignments to a private attribute of anything but self or cls."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in PATCHERS and any(is_private(part) for target in node.args[:2] for part in names_in(target)):
                found.append(f"line {node.lineno}: {ast.unparse(node)[:80]}")
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):  # noqa: SIM102
            if is_private(node.attr) and ast.unparse(node.value) not in {"self", "cls"}:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_no_test_patches_a_private_name() -> None:
    modules = {path.relative_to(HERE).as_posix(): ast.parse(path.read_text()) for path in HERE.rglob("*.py")}
    patching = {name: found for name, tree in modules.items() if (found := private_patches(tree))}
    assert patching == {}


@pytest.mark.parametrize(
    "code",
    [
        "monkeypatch.setattr(module, '_name', 1)",
        "monkeypatch.setattr('package._module.name', 1)",
        "monkeypatch.setattr(module._thing, 'name', 1)",
        "mock.patch('package.module._name')",
        "mock.patch.object(module, '_name')",
        "setattr(module, '_name', 1)",
        "module._name = 1",
        "del module._name",
    ],
)
def test_a_patched_private_name_is_found(code: str) -> None:
    assert len(private_patches(ast.parse(code))) == 1


@pytest.mark.parametrize("code", ["monkeypatch.setattr(module, 'NAME', 1)", "self._name = 1", "module.name = '_x'"])
def test_public_names_may_be_patched(code: str) -> None:
    assert private_patches(ast.parse(code)) == []
