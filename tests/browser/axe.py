"""axe-core in the browser's window, and what it found, in lines that a failing test can show."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

# Its default rules: WCAG 2.2 A and AA with what it calls best practice; AAA and experimental ones are off.
ASK = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map((rule) =>
    rule.id + ': ' + rule.help + ' | ' + rule.nodes.slice(0, 3).map((node) => node.target.join(' ') + ' '
    + node.any.slice(0, 1).map((why) => why.message).join('')).join(' | '))"""


def load(page: Page, source: Path) -> None:
    """Over the browser's debugging channel, which no policy of the page forbids: the page stays under its own."""
    page.evaluate(source.read_text(encoding="utf-8") + "\n;0")


def violations(page: Page) -> list[str]:
    # The admin's links fade from one scheme's colour into the other's: what is measured is where they arrive.
    page.evaluate("document.getAnimations().forEach((one) => one.effect.getTiming().iterations === 1 && one.finish())")
    found: list[Any] = page.evaluate(ASK)
    return [json.dumps(line)[1:-1] for line in found]
