"""Reading a CSV file that is the body of a request, and what is answered about lines that cannot be read."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from audience.api.toolkit.problems import Refused
from postbacks.reporting.campaigns.cost_files import MAX_ERRORS, CostFile, CostsRefused, decoded
from postbacks.reporting.campaigns.cost_uploads import CostLinesRefused


def read_body(request: Request, read_file: Callable[[str], CostFile]) -> CostFile:
    """Return the file that is the body of a request. Raises Refused."""
    # Without a body, DRF calls no parser.
    body: Any = request.data or b""
    try:
        return read_file(decoded(body))
    except CostsRefused as refused:
        raise Refused(str(refused)) from None


def refusal(refused: CostLinesRefused, field: str) -> Exception:
    """Return the problem with an error for each of the first lines."""
    errors = {field.format(line): [problem] for line, problem in refused.errors[:MAX_ERRORS]}
    if len(refused.errors) > MAX_ERRORS:
        errors[""] = [str(refused)]
    return serializers.ValidationError(errors) if errors else Refused(str(refused))
