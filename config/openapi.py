"""What the OpenAPI document says beyond the views' own words."""

from collections.abc import Callable

Endpoint = tuple[str, str, str, Callable[..., object]]


def canonical_paths(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Leave out the lenient twins of the wire routes (`//v1/…`, `…/`), which are patterns and not addresses."""
    return [endpoint for endpoint in endpoints if "[" not in endpoint[0]]
