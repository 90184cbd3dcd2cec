"""axe-core in the browser's window, and what it found, in lines that a failing test can show."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

# Its default rules: WCAG 2.2 A and AA with what it calls best practice; AAA and experimental ones are off.
ASK = """async (options) => (await axe.run(document, {resultTypes: ['violations'], preload: false, ...options}))
    .violations.map((rule) => rule.id + ': ' + rule.help + ' | ' + rule.nodes.slice(0, 3).map((node) =>
    node.target.join(' ') + ' ' + node.any.slice(0, 1).map((why) => why.message).join('')).join(' | '))"""
# What a page of one structure can do wrong in another scheme.
OF_COLOUR = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def load(page: Page, source: Path) -> None:
    """Into whatever the window opens from now on: before the page, where no policy of it forbids anything."""
    page.add_init_script(path=source)


def violations(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    # The admin's links fade from one scheme's colour into the other's: what is measured is where they arrive.
    page.evaluate("document.getAnimations().forEach((one) => one.effect.getTiming().iterations === 1 && one.finish())")
    found: list[Any] = page.evaluate(ASK, options or {})
    return [json.dumps(line)[1:-1] for line in found]
