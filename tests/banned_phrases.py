"""Phrases that no text of the product may have, with the better ones, and the texts that are scanned."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("audience", "postbacks", "config", "consent")
# Case-insensitive regular expression -> what to write instead.
BANNED = {
    # Metaphors and words of our own for standard terms
    r"digest lag|lag of the digest": "Processing delay",
    r"\bdigested\b|digest again|not digested": "processed, Process again",
    r"looked? at\b|looked through|look into": "processed, checked, searched; Check your email",
    r"(?:is|be|are) well again": "Back to normal",
    r"how far (?:they|each|it) came": "Funnel",
    r"of the step before": "of previous step",
    r"the same as (?:a table|json)": "View as table, View as JSON",
    r"\brehears": "Test and preview",
    r"called off": "Canceled",
    r"\btell me of|\btold\b": "Email me about alerts; notified, sent, shown",
    r"\bwhose words|own words|in words\b": "Response format on shared routes; own format",
    r"\bworth\b": "Points, value",
    r"on how many|on all of them": "Coverage",
    r"to go back to\b": "you can roll back for 24 hours",
    r"\bstands? (?:under|above|below|around|beside|in the)\b": "is listed under, is shown above",
    r"greater stays": "ties are broken by value",
    r"\bthe desk\b|\blanes?\b|\bhouses?\b|\brooms?\b": "the standard term: network drain, worker threads, package",
    r"\bland(?:s|ed)?\b(?! (?:size|area))": "is stored, is listed (a landing page is a page)",
    r"asks? for part": "is_partial_request",
    r"\bsays: |\bsaid\b": "responded, response",
    r"posted back|\bpost(?:s|ed)? back\b": "sent",
    r"(?:goes|go|went|gone|going) out\b|on its way\b": "is sent, was sent",
    r"put (?:the|a|another) (?:new )?(?:one|key) in place": "Replace it with",
    r"taken up\b|takes? up (?!to)|takes? nothing in": "started, processed",
    r"by (?:itself|themselves)\b": "automatically",
    r"\bhand(?:s|ed)? (?:it|them|over)\b": "send",
    r"\bwip(?:e|es|ed)\b": "deleted",
    r"lose sight": "lose access",
    r"\bwon\b|\bwins\b|\bwinner\b|\bwould have won\b": "is attributed to",
    r"no part in it": "does not send it",
    r"for want of": "for lack of",
    r"counts? nowhere|not there and not here": "is not counted",
    r"\bknows no\b|\bno such (?:click|game|goal|page|row)\b": "does not know, does not exist",
    r"asked to be forgotten": "the data was erased",
    r"as (?:it|they) came\b": "unchanged",
    r"(?:came|comes?) in by|came with\b|comes in with": "Sent with",
    r"this once\b": "only once",
    r"\bwhoever\b": "anyone who, the operator of this server",
    r"\bsomebody\b": "someone",
    r"\bnameless\b|\bnobody is known\b|nobody named": "without an ID, No players found",
    r"\btick(?:ed|s)?\b(?! and)": "select, selected",
    r"switch(?:ed)? (?:it )?(?:on|off)\b": "enable, disable",
    r"in the meantime\b": "by someone else",
    r"\bany ?more\b": "no longer",
    r"\bbroke on our\b|is away\b": "An internal error occurred, is unavailable",
    r"too much in hand": "too many requests in progress",
    r"\bof its own\b,? to share": "Open full page",
    # American spelling
    r"\bcolour": "color",
    r"\bbehaviour": "behavior",
    r"\bcancell(?:ed|ing)\b": "canceled, canceling",
    r"\b(?:un)?recognis": "recognize",
    r"\borganis": "organize",
    r"\b(?:optim|normal|serial|initial|author|synchron|summar|categor)is(?:e|ing|ation)": "-ize",
    r"\b(?:custom|capital|anonym|personal)is(?:e|ing|ation)": "-ize",
    r"\banalys(?:e|ed|ing)\b": "analyze",
    r"\blabell(?:ed|ing)\b|\bmodell(?:ed|ing)\b|\btravell(?:ed|ing)\b": "labeled, modeled, traveled",
    r"\bcatalogue": "catalog",
    r"\bcentre\b|\bfavour|\bneighbour|\bhonour|\bgrey\b": "center, favor, neighbor, honor, gray",
    r"\blicenced\b|\blicences?\b|\bdefence\b|\bjudgement": "licensed, license, defense, judgment",
    r"\bwhilst\b|\blearnt\b|\bspelt\b|\bafterwards\b|\bfor ever\b": "while, learned, spelled, afterward, forever",
    # Percentages
    r"(?:\d|\}|\x00) %(?=[\s<.,;:)]|$)": "54%, without a space",
}
RULES = {re.compile(pattern, re.IGNORECASE): better for pattern, better in BANNED.items()}


def problems(text: str) -> list[str]:
    """Return a sentence per banned phrase in a text, with what to write instead."""
    found = [(match, better) for rule, better in RULES.items() for match in rule.finditer(text)]
    return [
        f"“{text[max(match.start() - 30, 0) : match.end() + 30].strip()}”: write “{better}”" for match, better in found
    ]


def texts() -> Iterator[tuple[str, str]]:
    """Yield (place, text) of everything that a user of the product may read."""
    for path in sorted((ROOT / "templates").rglob("*.*")):
        yield _place(path), _one_line(_without_code(path.read_text(encoding="utf-8")))
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield from _python_texts(path)
    for path in (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        yield _place(path), _prose(path.read_text(encoding="utf-8"))
    for path in (ROOT / "audience/intake/openapi.yaml", ROOT / ".env.example"):
        yield _place(path), _prose(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "static/js").glob("*.js")):
        yield _place(path), " | ".join(re.findall(r'"[^"\n]* [^"\n]*"|`[^`]* [^`]*`', path.read_text(encoding="utf-8")))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    yield "CHANGELOG.md", _prose(changes.split("\n## ")[1])


def python_strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of the strings of a module that read as prose: those with a space or a capital.

    Docstrings are read only where they are texts of pages: those of `@figure` functions.
    """
    docstrings, parts = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and not _is_figure(node):
                docstrings.add(id(first.value))
        if isinstance(node, ast.JoinedStr):
            parts |= {id(value) for value in node.values}
            texts = [value.value if isinstance(value, ast.Constant) else "\x00" for value in node.values]
            yield node.lineno, "".join(str(text) for text in texts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            yield node.lineno, node.value


def _is_figure(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(isinstance(call, ast.Call) and getattr(call.func, "id", "") == "figure" for call in decorators)


def _python_texts(path: Path) -> Iterator[tuple[str, str]]:
    for line, text in python_strings(ast.parse(path.read_text(encoding="utf-8"))):
        if re.search(r"[A-Za-z]{2}.* |^[A-Z][a-z]", text) and not re.search(r"SELECT|WHERE|CASE|FROM|JOIN|%\(", text):
            yield f"{_place(path)}:{line}", _one_line(text)


def _without_code(template: str) -> str:
    """Return a template without comments and without the names in its tags."""
    text = re.sub(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}", "", template, flags=re.DOTALL)
    text = re.sub(r"\{%(?! include).*?%\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{\{[^}]*\}\}", "\x00", text)
    return re.sub(r"\b(?:class|id|href|for|hx-[\w-]+|aria-labelledby|src|d|points)=\"[^\"]*\"", "", text)


def _prose(document: str) -> str:
    """Return a document without code, links' targets and tables of code."""
    text = re.sub(r"```.*?```", "", document, flags=re.DOTALL)
    return _one_line(re.sub(r"`[^`]*`|\]\([^)]*\)", "", text))


def _one_line(text: str) -> str:
    return " ".join(text.split(" ") if "\n" not in text else text.split())


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
