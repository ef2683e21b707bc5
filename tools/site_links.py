"""Check a site that was built: links lead to pages and anchors that exist, and nothing is fetched from elsewhere.

    python tools/site_links.py build/site

Prints what is wrong, and exits with 1 if anything is. Each page also has a title, a language and a heading.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}


class Seen(HTMLParser):
    """Collect what a page links to, fetches, and can be linked at."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.tags: set[str] = set()
        self.language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "html":
            self.language = given.get("lang", "")
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in _FETCHED and given.get(_FETCHED[tag]):
            self.fetched.append(given[_FETCHED[tag]])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "modulepreload"):
            self.fetched.append(given.get("href", ""))


def main() -> int:
    """Return the exit code."""
    root = Path(sys.argv[1]).resolve()
    pages = {path: _read(path) for path in sorted(root.rglob("*.html"))}
    wrong = [f"{path.relative_to(root)}: {what}" for path in pages for what in _wrong(path, root, pages)]
    print("\n".join(wrong) or f"{len(pages)} pages, every link leads somewhere, nothing is fetched from elsewhere")
    return 1 if wrong or not pages else 0


def _read(path: Path) -> Seen:
    seen = Seen()
    seen.feed(path.read_text("utf-8"))
    return seen


def _wrong(path: Path, root: Path, pages: dict[Path, Seen]) -> list[str]:
    seen = pages[path]
    found = [f"fetches {url}" for url in seen.fetched if urlsplit(url).netloc]
    found += [f"has no {tag}" for tag in ("title", "h1") if tag not in seen.tags]
    if not seen.language:
        found.append("says no language")
    if path.name == "404.html":
        return found
    for link in seen.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path not in ("", ".") else path
        if target.is_dir():
            target /= "index.html"
        if not target.is_relative_to(root) or not target.exists():
            found.append(f"links to {link}, which is not there")
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            found.append(f"links to {link}, where nothing has that name")
    return found


if __name__ == "__main__":
    sys.exit(main())
