"""Let MkDocs read the pages that are not in docs/, and links as they stand in the repository (see mkdocs.yml).

README.md becomes the first page; the other pages at the top and in experiments/ come along. A link to a file that is no
page, such as a unit or a module, becomes the file's name: the site has no repository beside it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
_SHIM = "https://unpkg.com/iframe-worker/shim"
"""What Material's search asks for where a page is a file and not served: browsers let files start no worker."""
_LOCAL_SHIM = "assets/iframe-worker.js"
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of docs/."""
    for source, place in _outside().items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text("utf-8")))
    return files


def on_nav(nav: object, config: MkDocsConfig, files: Files) -> None:
    """Leave pages without a place in the navigation alone: rules and experiments are reached by links."""


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to where the site has their targets."""
    here = _source(page.file.src_uri)

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        path = os.path.normpath(Path(here).parent / target)
        place = _place(path)
        if place is None:
            return text if text.strip("`") == path else f"{text} (`{path}`)"
        relative = os.path.relpath(place, Path(page.file.src_uri).parent)
        return f"[{text}]({relative}{anchor})"

    return _LINK.sub(link, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Take the one script that would come from elsewhere from the site itself."""
    local = os.path.relpath(_LOCAL_SHIM, Path(page.file.dest_uri).parent)
    return output.replace(_SHIM, local)


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """Do the same on the page that says that there is none."""
    return output.replace(_SHIM, f"/{_LOCAL_SHIM}") if template_name == "404.html" else output


def on_post_build(config: MkDocsConfig) -> None:
    """Bring that script along, from npm's registry; without npm, search needs a server in front of the pages."""
    text = b"// npm was not there when the site was made: search works where the pages come from a server.\n"
    npm = shutil.which("npm")
    if npm is not None:
        place = Path(config.site_dir).parent
        done = subprocess.run([npm, "pack", "--silent", "iframe-worker@1"], cwd=place, capture_output=True, text=True)
        packed = place / (done.stdout.split() or [""])[-1]
        if done.returncode == 0 and packed.is_file():
            with tarfile.open(fileobj=io.BytesIO(packed.read_bytes())) as archive:
                script = archive.extractfile("package/shim/index.js")
                text = script.read() if script is not None else text
            packed.unlink()
    (Path(config.site_dir) / _LOCAL_SHIM).write_bytes(text)


def _outside() -> dict[str, str]:
    """Map pages of the repository that are not in docs/ to their places in the site."""
    names = {path.name: path.name for path in ROOT.glob("*.md")}
    names["README.md"] = "index.md"
    names.update({f"experiments/{path.name}": f"experiments/{path.name}" for path in ROOT.glob("experiments/*.md")})
    return names


def _source(place: str) -> str:
    """Return the path in the repository of a page of the site."""
    return next((source for source, where in _outside().items() if where == place), f"docs/{place}")


def _place(path: str) -> str | None:
    """Return the place in the site of a path in the repository, or None where it is no page."""
    if path in _outside():
        return _outside()[path]
    if path.startswith("docs/") and path.endswith((".md", ".png")) and (ROOT / path).is_file():
        return path.removeprefix("docs/")
    return None
