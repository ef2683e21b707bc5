"""What pyproject.toml can not say: the parts of the package that a compiler may make (net/relay/compiled.py,
net/calls.py, http/fields.py, shared/alike.py), and the pages of the rules, which lie in docs/ and belong to it."""

from pathlib import Path
from shutil import copy, rmtree

from setuptools import Extension, __version__, setup
from setuptools.command.build_py import build_py

LEAST = 77
"""The first setuptools that knows `license = "Apache-2.0"` in pyproject.toml. pip fetches it by itself, but for
`--no-build-isolation`."""
if int(__version__.partition(".")[0]) < LEAST:
    raise SystemExit(f"penstock is built by setuptools {LEAST} or newer, not {__version__}: pip install -U setuptools")

PAGES = "docs/rules"


class WithPages(build_py):
    """Puts the pages where `penstock check --explain` looks for them. A checkout is read in place.

    build/ is emptied first: a module that is gone from the sources would be packed from there, and the start, which
    imports all there are, would fail."""

    def run(self):
        if not self.editable_mode:
            rmtree(Path(self.build_lib) / "penstock", ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "penstock" / "data" / "rules"
        folder.mkdir(parents=True, exist_ok=True)
        for page in sorted(Path(PAGES).glob("*.md")):
            copy(page, folder / page.name)

    def get_outputs(self, include_bytecode=1):
        pages = sorted(Path(PAGES).glob("*.md"))
        made = [str(Path(self.build_lib) / "penstock" / "data" / "rules" / page.name) for page in pages]
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else made)]


setup(
    cmdclass={"build_py": WithPages},
    ext_modules=[
        Extension(
            f"penstock.{name}",
            [f"src/penstock/{name.replace('.', '/')}.c"],
            extra_compile_args=["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"],
            py_limited_api=True,
            optional=True,
        )
        for name in ("net.relay._twin", "net._calls", "http._tokens", "shared._alike")
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
