"""A page as a reader of HTML has it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = ("meta", "link", "img", "br", "hr", "input")


@dataclass
class Page(HTMLParser):
    """Elements of a page, with their attributes, in order.

    Attributes:
        elements: name and attributes of each.
        unclosed: names of elements that were not closed in their order.
    """

    text: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self.feed(self.text)
        self.close()
        self.unclosed += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unclosed.append(tag)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]
