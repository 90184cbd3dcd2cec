"""The API documentation in a browser; the `page` fixture fails a test on errors in the console."""

import pytest
from playwright.sync_api import Page, expect

from audience.intake.openapi import ingestion_document
from config.api_document import CachedGenerator


def scrolled(page: Page) -> tuple[list[str], set[str]]:
    """The chapters in their order and the ids of all operations: only those in the window are in the page."""
    chapters: dict[str, None] = {}
    operations: set[str] = set()
    expect(page.locator(".opblock").first).to_be_visible(timeout=60_000)
    while True:
        chapters |= dict.fromkeys(page.eval_on_selector_all(".opblock-tag", "all => all.map(one => one.dataset.tag)"))
        operations |= set(page.eval_on_selector_all(".opblock", "all => all.map(one => one.id)"))
        before = page.evaluate("[scrollY, document.querySelectorAll('.opblock').length]")
        page.evaluate("scrollBy(0, innerHeight / 2)")
        page.wait_for_timeout(150)
        if page.evaluate("[scrollY, document.querySelectorAll('.opblock').length]") == before:
            return list(chapters), operations


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_shows_every_operation_by_dialect(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/api/docs/")

    document = CachedGenerator().get_schema(public=True)
    expected = [operation for path in document["paths"].values() for operation in path.values()]
    chapters, operations = scrolled(page)
    tags = [tag["name"] for tag in ingestion_document()["tags"]]
    assert chapters[: len(tags)] == tags
    assert set(chapters) == {tag for operation in expected for tag in operation["tags"]}
    assert len(operations) == len(expected)
    assert {one.rpartition("-")[2] for one in operations} == {operation["operationId"] for operation in expected}
    page.goto("/api/docs/#/MetaRouter/batchShort")
    page.reload()
    expect(page.locator("#operations-MetaRouter-batchShort")).to_contain_text("207", timeout=60_000)
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.locator(".modal-ux")).to_contain_text("x-immutable-publishable-key")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
