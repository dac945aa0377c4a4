"""Imports go one way: each package imports only from the ones that are listed for it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent.parent / "miso_scrapy"
SCRAPY = {"items", "stats", "exceptions", "no_answer", "signals", "components"}
"""What every component may use."""
DATA = {"feed", "text", "archive", "store"}
RUN = DATA | SCRAPY | {"options", "network", "registry", "notifications", "connections", "logs"}

# A module of the package's root counts as a package of its own.
ALLOWED = {
    # The domain, and words for people.
    "feed": set(),
    "text": set(),
    # One per server, file format or protocol.
    "network": {"feed"},
    "settings": set(),
    "options": {"settings", "text", "network"},
    "store": {"feed", "text"},
    "archive": {"feed", "text", "store"},
    "registry": {"feed", "archive"},
    "notifications": {"options", "archive", "registry"},
    "connections": {"options", "archive", "registry", "store"},
    # Scrapy's components.
    "stats": set(),
    "signals": set(),
    "exceptions": {"stats"},
    "no_answer": {"text", "exceptions"},
    "components": {"feed"},
    "items": {"feed", "text", "exceptions"},
    "logs": {"feed", "text", "archive", "stats", "exceptions", "options"},
    "contracts": {"feed", "items"},
    "run_checks": {"options", "stats", "text"},
    "extensions": RUN | {"settings", "run_checks"},
    "downloadhandlers": {"network", "exceptions", "extensions"},
    "monitors": {"options", "run_checks"},
    "pipelines": RUN | {"extensions"},
    "spidermiddlewares": RUN | {"extensions"},
    "downloadermiddlewares": RUN | {"extensions"},
    "spiders": RUN | {"extensions", "downloadermiddlewares"},
    # The read side: no Scrapy component.
    "dataset": DATA,
    "report": DATA | {"dataset"},
    "simulator": DATA,
    # What people start.
    "status": DATA | {"options", "registry", "connections", "dataset", "cli"},
    "doctor": RUN | {"settings", "extensions"},
    "cli": RUN | {"settings", "extensions", "dataset"},
    "commands": None,  # everything
    "__main__": {"cli"},
}


def part_of(module):
    """The package, or the module of the root, that *module* belongs to; "" for the root itself."""
    return [*module.split("."), ""][1]


def imports_of(path):
    """The parts of miso_scrapy that the module at *path* imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "miso_scrapy":
            names = [f"miso_scrapy.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (part_of(name) for name in names if name.startswith("miso_scrapy."))


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_each_part_has_a_rule():
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert parts == set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_layers_below_it(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = ALLOWED[own]
    found = {part for part in imports_of(path) if part not in (own, "__version__")}
    assert allowed is None or found <= allowed, f"{own} must not import {found - allowed}"


def test_the_rules_have_no_circle():
    order = list(ALLOWED)
    for part, allowed in ALLOWED.items():
        for other in allowed or ():
            assert part not in (ALLOWED[other] or ()), f"{part} and {other} import each other"
            assert other in order
    below = {part: allowed or set() for part, allowed in ALLOWED.items()}
    done: set[str] = set()
    while len(done) < len(below):
        free = {part for part, allowed in below.items() if part not in done and allowed <= done}
        assert free, f"a circle among {set(below) - done}"
        done |= free


def test_the_domain_knows_neither_scrapy_nor_a_server():
    for path in (PACKAGE / "feed").rglob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not modules & {"scrapy", "twisted", "redis", "boto3", "botocore", "kafka", "aiohttp"}
