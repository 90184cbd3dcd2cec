"""Rules of the architecture (docs/architecture.md): imports, sizes, names, sockets, clocks."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each package may import itself and those after it.
ORDER = ["config", "postbacks", "audience", "consent"]

MAX_MODULE_LINES = 220
MAX_FUNCTION_LINES = 40
MAX_TEMPLATE_COLUMNS = 160
MAX_ENTRIES_OF_POSTBACKS = 20

# Modules that open connections. Only postbacks/http may call an ad network.
SOCKET_MODULES = {
    "aiohttp",
    "asyncio",
    "ftplib",
    "http.client",
    "http.server",
    "httpx",
    "requests",
    "smtplib",
    "socket",
    "socketserver",
    "urllib.request",
    "urllib3",
}
SOCKETS_ALLOWED = {
    "postbacks/http/answer.py": "reads the answers of calls",
    "postbacks/http/connections.py": "the connections of calls",
    "postbacks/http/exchange.py": "calls ad networks",
    "postbacks/http/public_hosts.py": "calls URLs that a person entered",
    "postbacks/sandbox/listener.py": "the imitation networks listen on a port",
    "audience/intake/asgi.py": "answers on the event loop of the web server, whose sockets they are",
    "audience/intake/bodies.py": "reads bodies on the same loop",
    "audience/intake/links/views.py": "limits the wait for a commit on the same loop",
    "audience/intake/storing/write_queue.py": "gathers on the same loop",
    "audience/intake/storing/channel.py": "waits on the same loop for PostgreSQL",
    "audience/intake/requests/prefetch.py": "checks whether it runs on that loop",
    "config/quickstart/processes.py": "looks for a free port before it starts a server on it",
    "config/pages.py": "hands answers to that server on the same loop",
    "config/supervisor.py": "asks its own web process whether it serves yet",
}

# Field names of other products, allowed only where their formats are read or written.
FOREIGN_WORDS = {
    # Immutable, RudderStack, MetaRouter
    "anonymousId",
    "browserLanguage",
    "consentLevel",
    "deviceId",
    "eventName",
    "eventTimestamp",
    "fromId",
    "identityType",
    "libraryVersion",
    "messageId",
    "originalTimestamp",
    "pagePath",
    "pageReferrer",
    "pageTitle",
    "pageUrl",
    "previousId",
    "sentAt",
    "sessionId",
    "toId",
    "userAgent",
    "userId",
    "writeKey",
    # Parcelvoy
    "anonymous_id_external",
    # TikTok, Reddit
    "Access-Token",
    "access_token",
    "event_metadata",
    "event_source",
    "event_source_id",
    "test_event_code",
    "test_id",
    "tracking_type",
    "value_decimal",
    # URLs
    "dclid",
    "fbclid",
    "gclid",
    "li_fat_id",
    "msclkid",
    "rdt_cid",
    "ttclid",
    "twclid",
}
FOREIGN_ALLOWED = {
    "audience/intake/dialects/": "reads the formats of clients",
    "postbacks/networks/": "writes the formats of networks",
    "audience/digest/click_ids.py": "reads the ad world's URL parameters",
    "config/demo/history.py": "plays the demo game as a client would, through the Immutable dialect",
    "config/demo/backend.py": "plays the back end of the demo game, through the Immutable dialect",
    "config/quickstart/banner.py": "prints a curl line for the Immutable route",
}

# An app's models are not there yet when its config is imported: Django calls ready() when they are.
LATE_IMPORTS_ALLOWED = {("postbacks/apps.py", "ready"), ("audience/apps.py", "ready")}

EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
SIGNAL_MODULES = ("django.dispatch", "django.db.models.signals", "django.core.signals", "django.test.signals")


@cache
def files() -> list[Path]:
    """Every module of the product but migrations."""
    found = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if "migrations" not in path.parts]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in files()}


def imported(path: Path) -> set[str]:
    """Full names of what a module imports, under TYPE_CHECKING too; `from a import b` is a.b when that is a module of
    ours, else a."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else module for name in names}
            # `from http import client`, `from urllib import request`
            found |= names & SOCKET_MODULES
    return found


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """(line, word) of every string, keyword, attribute and name, without docstrings and comments."""
    docstrings = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.add(node.value)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.value.lineno, node.arg
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id


def offenders(found: Callable[[Path], Iterable[str]]) -> dict[str, list[str]]:
    """Return {path: violations} of all modules that have any."""
    wrong = {short(path): sorted(found(path)) for path in files()}
    return {path: what for path, what in wrong.items() if what}


def test_nothing_imports_upward() -> None:
    def upward(path: Path) -> Iterator[str]:
        above = {*ORDER[: ORDER.index(path.relative_to(ROOT).parts[0])], "tests"}
        return (name for name in imported(path) if name.split(".")[0] in above)

    assert offenders(upward) == {}


def assert_no_circle(graph: Mapping[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert_no_circle({name: imported(path) & set(NAMES) - {name} for name, path in NAMES.items()})


def test_no_folders_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {folder(path): set() for path in files()}
    for path in files():
        graph[folder(path)] |= {folder(NAMES[name]) for name in imported(path) if name in NAMES} - {folder(path)}

    assert_no_circle(graph)


def folder(path: Path) -> str:
    return short(path.parent)


def test_postbacks_has_at_most_twenty_entries() -> None:
    entries = {path.relative_to(ROOT / "postbacks").parts[0] for path in (ROOT / "postbacks").rglob("*.py")}

    assert len(entries) <= MAX_ENTRIES_OF_POSTBACKS


def test_imports_are_at_the_top_of_a_module() -> None:
    def late(path: Path) -> Iterator[str]:
        for function in functions(path):
            if (short(path), function.name) not in LATE_IMPORTS_ALLOWED:
                for node in ast.walk(function):
                    if isinstance(node, ast.Import | ast.ImportFrom):
                        yield f"{function.name}, line {node.lineno}"

    assert offenders(late) == {}


def sockets(path: Path) -> set[str]:
    return {name for name in imported(path) if name in SOCKET_MODULES or name.split(".")[0] in SOCKET_MODULES}


def test_only_listed_modules_open_sockets() -> None:
    assert {path: names for path, names in offenders(sockets).items() if path not in SOCKETS_ALLOWED} == {}


def test_each_exception_from_a_rule_is_still_needed() -> None:
    assert [path for path in SOCKETS_ALLOWED if not sockets(ROOT / path)] == []
    assert [path for path in FOREIGN_ALLOWED if not any(map(foreign, files_under(path)))] == []


def files_under(start: str) -> list[Path]:
    return [path for path in files() if short(path).startswith(start)]


def foreign(path: Path) -> list[str]:
    return [f"line {line}: {word}" for line, word in texts(path) if word in FOREIGN_WORDS]


def test_field_names_of_other_products_stay_in_dialects_and_networks() -> None:
    allowed = tuple(FOREIGN_ALLOWED)

    assert offenders(lambda path: [] if short(path).startswith(allowed) else foreign(path)) == {}


# A process that reads its own clock writes or compares a moment that no other process shares.
OWN_CLOCK = ("timezone.now", "datetime.now", "datetime.utcnow", "time.time")
OWN_CLOCK_ALLOWED = {
    "audience/database/clock.py": "measures it against the database's",
    "postbacks/networks/interface/answers.py": "reads a Retry-After without a date of the answer",
    "postbacks/sandbox/": "it has no database, like the networks' imitation.py",
}


def test_only_the_clock_module_reads_the_system_time() -> None:
    def own(path: Path) -> Iterator[str]:
        if not short(path).startswith(("config/", *OWN_CLOCK_ALLOWED)) and path.name != "imitation.py":
            attributes = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute))
            yield from (ast.unparse(node) for node in attributes if ast.unparse(node) in OWN_CLOCK)

    assert offenders(own) == {}


def test_a_module_has_at_most_220_lines() -> None:
    def too_long(path: Path) -> Iterator[str]:
        length = len(path.read_text(encoding="utf-8").splitlines())
        if length > MAX_MODULE_LINES:
            yield f"{length} lines"

    assert offenders(too_long) == {}


def test_a_function_has_at_most_40_lines() -> None:
    def too_long(path: Path) -> Iterator[str]:
        for function in functions(path):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{function.name}: {length} lines"

    assert offenders(too_long) == {}


def test_a_template_line_has_at_most_160_characters() -> None:
    folder = ROOT / "templates"
    # Of a mail, each line is one that is sent.
    templates = [path for path in sorted(folder.rglob("*.*")) if folder / "mail" not in path.parents]
    too_long = {
        f"{short(path)}:{number}": len(line)
        for path in templates
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > MAX_TEMPLATE_COLUMNS
    }

    assert len(templates) > 100
    assert too_long == {}


def test_no_module_is_named_utils_or_helpers() -> None:
    assert offenders(lambda path: EMPTY_NAMES & set(module_name(path).split("."))) == {}


def test_no_module_uses_djangos_signals() -> None:
    assert offenders(lambda path: (name for name in imported(path) if name.startswith(SIGNAL_MODULES))) == {}


def test_the_rules_are_applied_to_the_product_code() -> None:
    assert len(NAMES) > 80
    assert "audience.digest.touches" in imported(ROOT / "audience/digest/attribution.py")
    assert "urllib3" in imported(ROOT / "postbacks/http/exchange.py")
    assert any(word == "ttclid" for _, word in texts(ROOT / "audience/digest/click_ids.py"))
