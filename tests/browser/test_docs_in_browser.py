"""The API documentation in a browser; the `page` fixture fails a test on errors in the console."""

import pytest
from playwright.sync_api import Page, expect

from audience.intake.openapi import ingestion_document


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_shows_every_operation_by_dialect(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/api/docs/")

    tags = [tag["name"] for tag in ingestion_document()["tags"]]
    expect(page.locator(".opblock-tag").nth(len(tags) - 1)).to_be_visible(timeout=60_000)
    assert [tag.get_attribute("data-tag") for tag in page.locator(".opblock-tag").all()][: len(tags)] == tags
    page.locator("#operations-MetaRouter-batchShort .opblock-summary-control").click()
    expect(page.locator("#operations-MetaRouter-batchShort")).to_contain_text("207")
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.locator(".modal-ux")).to_contain_text("x-immutable-publishable-key")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
