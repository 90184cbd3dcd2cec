"""The ingestion routes in the OpenAPI document (/api/schema/). Their views are excluded from drf-spectacular."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from audience.intake.requests.request_id import HEADER


@cache
def ingestion_document() -> dict[str, Any]:
    """`tags`, `paths` and `components` of openapi.yaml; not to be changed by the caller.

    Every answer has the header X-Request-ID.
    """
    document: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text())
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    answers = [document["components"]["responses"], *(operation["responses"] for operation in operations)]
    for answer in (answer for named in answers for answer in named.values()):
        if "$ref" not in answer:
            answer["headers"] = {**answer.get("headers", {}), HEADER: {"$ref": "#/components/headers/RequestId"}}
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
