"""The generator of the OpenAPI document: once per process, since it takes seconds and depends on the code alone."""

from threading import Lock
from typing import Any

from drf_spectacular.generators import SchemaGenerator

# drf-spectacular's registry of extensions is not thread-safe: two first requests at the same time failed.
_lock = Lock()
_documents: dict[bool, Any] = {}


class CachedGenerator(SchemaGenerator):
    def get_schema(self, request: Any = None, public: bool = False) -> Any:
        """Return the document, the same object each time."""
        with _lock:
            if public not in _documents:
                _documents[public] = super().get_schema(request=request, public=public)  # type: ignore[no-untyped-call]
            return _documents[public]
