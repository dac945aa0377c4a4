"""A directive that writes reference pages from the code: settings, commands, outcomes, registry.

    ```{generated} settings
    ```

The code is read, not imported, so that a page shows the default of a setting and not the value that the
environment of the build gives it. Only ``scrapy COMMAND --help`` is run.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

PACKAGE = Path(__file__).parent.parent.parent / "miso_scrapy"
_SECTION = re.compile(r"# --- (.+?) -+$")


class Setting(NamedTuple):
    """A setting of settings.py."""

    section: str
    names: list[str]
    """More than one where settings share a comment."""
    defaults: list[str]
    variable: bool
    """Whether it has an environment variable, which has the name of the setting."""
    text: str


def settings(path: Path = PACKAGE / "settings.py") -> list[Setting]:
    """Return the settings of *path*, in order, each with the comment above it."""
    lines = path.read_text().splitlines()
    assigned = {
        node.lineno: node
        for node in ast.parse("\n".join(lines)).body
        if isinstance(node, ast.Assign)
    }
    found: list[Setting] = []
    section, comment = "", list[str]()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if heading := _SECTION.match(line):
            section, comment = heading[1], []
        elif line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        elif node := assigned.get(number):
            number = node.end_lineno or number
            (target,) = node.targets
            if not isinstance(target, ast.Name):
                continue
            default, variable = _default(node.value)
            text = _text(" ".join(comment))
            if "# " in line.rpartition(")")[2]:
                text = f"{text} {line.rpartition('# ')[2]}".strip()
            together = found and not comment and lines[node.lineno - 2].strip()
            if together and found[-1].variable == variable and variable and not text:
                found[-1].names.append(target.id)
                found[-1].defaults.append(default)
            else:
                found.append(Setting(section, [target.id], [default], variable, text))
            comment = []
        elif line:
            comment = []
    return found


def _default(value: ast.expr) -> tuple[str, bool]:
    """Return the default that *value* gives, and whether an environment variable overrides it."""
    match value:
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, ast.Constant(value=default)]):
            return str(default), True
        case ast.Constant(value=default):
            return str(default), False
        case ast.List() | ast.Dict():
            return ast.unparse(value), False
    return "", False


def _text(comment: str) -> str:
    """Return *comment* without what the page says by itself: the default and the variable."""
    comment = re.sub(r"\s*Environment: .*$", "", comment)
    comment = re.sub(r"\s*Default(: none| \S+?)( s)?\.(?=\s|$)", "", comment)
    return re.sub(r"(?<![<(])(https?://[^\s)]+)", r"<\1>", comment).strip()


def _settings_page() -> Iterator[str]:
    section = None
    for setting in settings():
        if not setting.variable:
            continue
        if setting.section != section:
            section = setting.section
            yield f"\n## {section}\n"
        for name in setting.names:
            yield f"(setting-{_slug(name)})="
        yield "### " + ", ".join(f"`{name}`" for name in setting.names)
        shown = [
            f"`{value}`" if len(setting.names) == 1 else f"`{name}` is `{value}`"
            for name, value in zip(setting.names, setting.defaults, strict=True)
            if value
        ]
        yield f"\n{setting.text}\n\nDefault: {', '.join(shown) or 'not set'}.\n"


def _fixed_settings_page() -> Iterator[str]:
    yield "| setting | value | why |\n| --- | --- | --- |"
    for setting in settings():
        (name,), (value,) = setting.names[:1], setting.defaults[:1]
        if not setting.variable and setting.text and len(value) < 40:
            shown = f"`{value}`" if value else ""
            yield f"| `{name}` | {shown} | {setting.text.replace('|', chr(92) + '|')} |"


def _slug(name: str) -> str:
    return name.lower().replace("_", "-")


def commands() -> list[str]:
    """Return the names of the project's commands."""
    return sorted(
        path.stem
        for path in (PACKAGE / "commands").glob("[a-z]*.py")
        if re.search(r"^class Command\(", path.read_text(), re.MULTILINE)
    )


# One process for all commands: to import Scrapy takes a second.
_ASK_FOR_HELP = """
import contextlib, sys
from scrapy.cmdline import execute
for command in sys.argv[1:]:
    with contextlib.suppress(SystemExit):
        execute(["scrapy", command, "--help"])
    print("\\f", flush=True)
"""


@cache
def _helps() -> dict[str, str]:
    names = commands()
    keep = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    settings_module = {"SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings"}
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_FOR_HELP, *names],
            cwd=elsewhere,
            env={**keep, **settings_module, "PYTHONPATH": str(PACKAGE.parent), "COLUMNS": "88"},
            capture_output=True,
            text=True,
            check=False,
        )
    told = dict(zip(names, done.stdout.split("\f\n"), strict=False))
    if done.returncode or not all(told.get(name) for name in names):
        raise ExtensionError(f"scrapy COMMAND --help: {done.stderr}")
    return told


def help_of(command: str) -> str:
    """Return what ``scrapy COMMAND --help`` prints."""
    return _helps()[command]


def _help_page(command: str) -> Iterator[str]:
    text, _, _ = help_of(command).partition("Global Options")
    yield f"```text\n{text.strip()}\n```"


def _global_options_page() -> Iterator[str]:
    _, _, text = help_of("crawl").partition("Global Options")
    yield "```text\n" + text.lstrip("\n-").rstrip() + "\n```"


def _class_with(pattern: str) -> ast.ClassDef:
    """Return the class of the package whose first line matches *pattern*, wherever it is."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if re.search(pattern, text := path.read_text(), re.MULTILINE):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef) and re.match(pattern, f"class {node.name}("):
                    return node
    raise ExtensionError(f"no class matches {pattern}")


def outcomes() -> dict[str, str]:
    """Return {outcome: what it means}."""
    body = _class_with(r"class Outcome\(").body
    found = {}
    for node, after in pairwise(body):
        match node, after:
            case ast.Assign(value=ast.Constant(value=name)), ast.Expr(
                value=ast.Constant(value=text)
            ):
                found[name] = text
    return found


def good_outcomes() -> set[str]:
    """Return the outcomes with which a run exits with 0."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if found := re.search(r"^GOOD = \(([^)]*)\)", path.read_text(), re.MULTILINE):
            return {name.lower() for name in re.findall(r"Outcome\.(\w+)", found[1])}
    raise ExtensionError("no module defines GOOD")


def _outcomes_page() -> Iterator[str]:
    yield "| outcome | meaning | exit status |\n| --- | --- | --- |"
    for name, text in outcomes().items():
        status = 0 if name in good_outcomes() else 1
        yield f"| `{name}` | {text.rstrip('.')} | {status} |"


def state_machine() -> str:
    """Return the docstring of the module of the registry's steps."""
    for path in sorted((PACKAGE / "registry").glob("*.py")):
        text = path.read_text()
        if re.search(r"^CLAIM = ", text, re.MULTILINE):
            return ast.get_docstring(ast.parse(text)) or ""
    raise ExtensionError("no module of the registry has the step CLAIM")


def _state_machine_page() -> Iterator[str]:
    yield f"````text\n{state_machine()}\n````"


def _versions_page() -> Iterator[str]:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    why = dict(
        re.findall(
            r'^ *"([^"]+)", *# (.*)$', (PACKAGE.parent / "pyproject.toml").read_text(), re.MULTILINE
        )
    )
    yield "| what | version | note |\n| --- | --- | --- |"
    yield f"| Python | `{project['requires-python']}` | |"
    for line in project["dependencies"]:
        name = re.match(r"[\w-]+", line)
        assert name
        yield f"| {name[0]} | `{line}` | {why.get(line, '')} |"


def _simulated_faults_page() -> Iterator[str]:
    from miso_scrapy.simulator.server import FAULTS

    yield "| fault | the simulator's answer |\n| --- | --- |"
    for kind, meaning in FAULTS.items():
        example = re.sub(r"([a-z]+=[^ ;]+)", r"`\1`", meaning)
        yield f"| `{kind}` | {example} |"


_PAGES = {
    "settings": _settings_page,
    "fixed-settings": _fixed_settings_page,
    "global-options": _global_options_page,
    "outcomes": _outcomes_page,
    "state-machine": _state_machine_page,
    "versions": _versions_page,
    "simulated-faults": _simulated_faults_page,
}


class Generated(SphinxDirective):
    """Show what the code says of the subject that the argument names."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes."""
        subject, *more = self.arguments
        lines = _help_page(more[0]) if subject == "help" else _PAGES[subject]()
        for path in PACKAGE.rglob("*.py"):
            self.env.note_dependency(str(path))
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("generated", Generated)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
