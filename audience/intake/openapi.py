"""The ingestion routes in the OpenAPI document (/api/schema/). Their views are excluded from drf-spectacular."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def ingestion_document() -> dict[str, Any]:
    """`tags`, `paths` and `components` of openapi.yaml; not to be changed by the caller."""
    document: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text())
    return document


def add_ingestion_routes(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular: the document with the ingestion routes before all others."""
    ingestion, others = ingestion_document(), result.get("components", {})
    components = {name: {**part, **others.get(name, {})} for name, part in ingestion["components"].items()}
    return {
        **result,
        "paths": {**ingestion["paths"], **result["paths"]},
        "components": {**others, **components},
        "tags": [*ingestion["tags"], *result.get("tags", [])],
    }
