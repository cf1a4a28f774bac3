"""A person at the page: moves, clicks and keys in pixels of the image."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

SECONDS = 20.0
APPLE, BOOK, LEAF, GROUND = (80, 100), (224, 78), (184, 185), (20, 220)  # of the scene, 320 x 240


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds, and return its value."""
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return value


# A line may be followed by the next one within milliseconds, so every line is kept.
LISTEN = """() => {
    if (window.heard) return;
    window.heard = [];
    new MutationObserver((changes) => {
        for (const { addedNodes } of changes) {
            for (const node of addedNodes) window.heard.push(node.textContent);
        }
    }).observe(document.getElementById("status"), { childList: true });
}"""


class Person:
    """Somebody who works with the page.

    Args:
        page: the tab, which shows the annotation page.
        size: of the image that it shows.
    """

    def __init__(self, page: Page, size: tuple[int, int] = (320, 240)) -> None:
        self.page, self.size = page, size
        self.tolerated = ""  # in lines of the console
        self.ready()

    def ready(self) -> None:
        """Wait until the image is there and masks follow the pointer at once."""
        name = self.page.locator("#name")
        self.page.evaluate(LISTEN)
        wait_for(lambda: self.said().startswith(f"{name.inner_text()}, "))

    def said(self) -> str:
        """What the page says in its line at the bottom."""
        return self.page.locator("#status").inner_text()

    def hears(self, text: str) -> None:
        """Wait until the page says something, or has said it since the last click or key."""
        lines = "() => window.heard ?? []"
        wait_for(lambda: any(text in line for line in [self.said(), *self.page.evaluate(lines)]))

    def _forget(self) -> None:
        self.page.evaluate("() => window.heard?.splice(0)")

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where a pixel of the image is in the window, as long as nobody has zoomed."""
        box = self.page.locator("#stage").bounding_box()
        assert box is not None
        width, height = self.size
        scale = min(box["width"] / width, box["height"] / height)
        left = box["x"] + (box["width"] - width * scale) / 2
        top = box["y"] + (box["height"] - height * scale) / 2
        return left + point[0] * scale, top + point[1] * scale

    def point_at(self, point: tuple[float, float]) -> None:
        """Move the mouse to a pixel."""
        self.page.mouse.move(*self.place(point))

    def click(self, point: tuple[float, float], **options: Any) -> None:
        """Click a pixel."""
        self._forget()
        self.page.mouse.click(*self.place(point), **options)

    def drag(self, *points: tuple[float, float]) -> None:
        """Drag the mouse along pixels."""
        self._forget()
        self.page.mouse.move(*self.place(points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(point), steps=4)
        self.page.mouse.up()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        self._forget()
        for key in keys:
            self.page.keyboard.press(key)

    def name(self, category: str) -> None:
        """Give the next object a category."""
        self.press("c")
        self.page.keyboard.type(category)
        self.press("Enter")

    def accept(self, point: tuple[float, float]) -> None:
        """Click an object and accept its mask."""
        self.click(point)
        self.hears("Enter accepts")
        self.press("Enter")
        self.hears("Accepted")

    def colour(self, point: tuple[float, float]) -> tuple[int, ...]:
        """What lies on the image at a pixel: red, green, blue, opacity."""
        x, y = self.place(point)
        red, green, blue, opacity = self.page.evaluate(
            """([x, y]) => new Promise((resolve) => requestAnimationFrame(() =>
                requestAnimationFrame(() => {
                    const canvas = document.getElementById("overlay");
                    const box = canvas.getBoundingClientRect();
                    const ratio = canvas.width / box.width;
                    const at = [(x - box.left) * ratio, (y - box.top) * ratio];
                    resolve([...canvas.getContext("2d").getImageData(...at, 1, 1).data]);
                })))""",
            [x, y],
        )
        return red, green, blue, opacity

    def is_marked(self, point: tuple[float, float]) -> bool:
        """Whether a mask lies on a pixel."""
        return self.colour(point)[3] > 20

    def rows(self) -> list[str]:
        """The categories in the list of objects."""
        fields = self.page.locator("#objects input").all()
        return [field.input_value() for field in fields]
