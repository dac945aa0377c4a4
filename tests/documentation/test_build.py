"""The documentation is built offline, without a warning, and what is generated is all there."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.documentation import PROJECT, pages


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return {page: its HTML}, built as `make docs` does, where no proxy leads into the network."""
    target = tmp_path_factory.mktemp("docs")
    (options,) = re.findall(
        r"python -m sphinx (.*) docs docs/_build", (PROJECT / "Makefile").read_text()
    )
    nowhere = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1"
    )
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options.split(), "docs", str(target)],
        cwd=PROJECT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {
        str(path.relative_to(target).with_suffix("")): path.read_text()
        for path in target.rglob("*.html")
    }


def test_every_page_is_built(built):
    assert set(pages()) - {"README", "CONTRIBUTING"} <= set(built)


def test_no_page_loads_anything_from_the_network(built):
    for name, html in built.items():
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]*)\"", html)
        loaded += re.findall(
            r"<link[^>]*rel=\"(?:stylesheet|preload|icon)\"[^>]*href=\"([^\"]*)\"", html
        )
        assert not [url for url in loaded if re.match(r"(https?:)?//", url)], name


def test_the_settings_are_all_there_with_their_defaults(built):
    text = (PROJECT / "miso_scrapy" / "settings.py").read_text()
    names = re.findall(r"environ\.get\(\s*\"(\w+)\"", text)
    html = built["reference/settings"]
    assert len(names) > 30
    for name in names:
        assert f'id="setting-{name.lower().replace("_", "-")}"' in html, name
        assert re.search(rf"<h3>.*{name}.*</h3>", html), name
    for section in re.findall(
        r"<section id=\"[\w-]+\">\s*(?:<span[^>]*></span>)*<h3>.*?</section>", html, re.DOTALL
    ):
        described = re.sub(r"<h3>.*?</h3>|<[^>]+>", "", section, flags=re.DOTALL).strip()
        assert re.match(r"(?!Default: ).{10,}\s+Default: ", described, re.DOTALL), section


def test_the_help_of_every_command_is_there(built, scrapy):
    html = built["reference/commands"]
    for path in PROJECT.glob("miso_scrapy/commands/[a-z]*.py"):
        if "class Command(" in path.read_text():
            assert re.search(rf"scrapy {path.stem}\b.*--help", html, re.DOTALL), path.stem
    assert "--announce" in html
    assert "--keep-environment" in html
    assert (
        html.count("--profile FILE") + html.count("--profile</span>") == 1
    )  # once for all commands


def test_the_outcomes_and_their_exit_statuses_are_there(built):
    for name in ("collecting/index", "reference/exit-statuses"):
        rows = re.findall(r"<tr[^>]*>.*?</tr>", built[name], re.DOTALL)
        cells = [re.sub(r"<[^>]+>", "", row).split() for row in rows]
        status = {
            cell[0]: cell[-1]
            for cell in cells
            if cell
            and cell[0] in ("stored", "duplicate", "skipped", "uncovered", "invalid", "failed")
        }
        assert status == {
            "stored": "0", "duplicate": "0", "skipped": "0",
            "uncovered": "1", "invalid": "1", "failed": "1",
        }, name  # fmt: skip


def test_the_state_machine_is_that_of_the_code(built):
    for state in ("FREE", "CLAIMED", "STORING", "REGISTERED", "ANNOUNCED"):
        assert built["explanation/guarantees"].count(state) >= 3
    assert "md5:{fingerprint}" in built["explanation/guarantees"]
