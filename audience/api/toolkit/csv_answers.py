"""Operations that also answer as CSV, the file of the page's export."""

from typing import Any, ClassVar

from audience.api.toolkit.parsing import CSVRenderer


class AnswersCSV:
    """A view set whose `csv_actions` answer `Accept: text/csv` with a streamed file."""

    csv_actions: ClassVar[frozenset[str]] = frozenset()
    action: Any
    request: Any

    def get_renderers(self) -> list[Any]:
        renderers: list[Any] = super().get_renderers()  # type: ignore[misc]  # of the view set
        return [*renderers, CSVRenderer()] if self.action in self.csv_actions else renderers

    @property
    def wants_csv(self) -> bool:
        return bool(self.request.accepted_renderer.media_type == CSVRenderer.media_type)
