"""Runs axe-core in a page and returns its violations as lines of text."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

# With axe's default rules: WCAG 2.2 A and AA and best practices, without AAA and experimental rules.
RUN = """async (options) => (await axe.run(document, {resultTypes: ['violations'], preload: false, ...options}))
    .violations.map((rule) => rule.id + ': ' + rule.help + ' | ' + rule.nodes.slice(0, 3).map((node) =>
    node.target.join(' ') + ' ' + node.any.slice(0, 1).map((why) => why.message).join('')).join(' | '))"""
# The rules whose result depends on the color scheme.
COLOUR_RULES = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def load(page: Page, source: Path) -> None:
    """Load axe-core into every page that the window opens, before the page's Content-Security-Policy applies."""
    page.add_init_script(path=source)


def violations(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    # Finish transitions, since the admin's links change their color gradually with the scheme.
    page.evaluate("document.getAnimations().forEach((a) => a.effect.getTiming().iterations === 1 && a.finish())")
    lines: list[Any] = page.evaluate(RUN, options or {})
    return [json.dumps(line)[1:-1] for line in lines]
