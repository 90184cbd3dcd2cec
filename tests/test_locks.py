"""The lock files: everything is pinned, with the hashes of all files and without an index."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?: ; [^\\]+)?")
HASHED = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements(name: str) -> list[list[str]]:
    """Each requirement's line and the lines of its hashes."""
    text = "".join(line for line in (ROOT / name).read_text().splitlines(keepends=True) if not line.startswith("#"))
    return [[part.strip() for part in entry.split("\\\n")] for entry in re.split(r"\n(?=\S)", text.strip())]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_has_hashes_only(name: str) -> None:
    found = requirements(name)
    assert len(found) > 40
    for requirement, *hashes in found:
        assert PINNED.fullmatch(requirement.strip()), requirement
        assert hashes != [], requirement
        assert [line for line in hashes if not HASHED.fullmatch(line)] == [], requirement


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_a_host_or_an_index(name: str) -> None:
    assert re.findall(r"https?:|//|--index|--extra-index|--find-links|--trusted", (ROOT / name).read_text()) == []


def test_what_runs_is_pinned_once() -> None:
    names = [PINNED.match(entry[0])["name"].lower() for name in LOCKS for entry in requirements(name)]  # type: ignore[index]
    assert sorted(names) == sorted(set(names))


def test_a_compiled_package_has_files_for_every_supported_machine_and_python() -> None:
    """Nine or more: three Pythons on Linux and macOS, of which wheels for several Pythons save some."""
    counts = {PINNED.match(entry[0])["name"]: len(entry) - 1 for entry in requirements("requirements.lock")}  # type: ignore[index]
    assert {name for name in ("cryptography", "orjson", "granian", "uvloop", "cffi") if counts[name] < 9} == set()


@pytest.mark.long
def test_make_installs_by_hash_alone() -> None:
    installs = re.findall(r"\$\(PIP\) install (.*)", (ROOT / "Makefile").read_text())
    assert len(installs) == 2
    assert all(line.startswith("--require-hashes -r requirements.lock") for line in installs)
