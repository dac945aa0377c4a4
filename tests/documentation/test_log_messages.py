"""Each message that the program tells is in the page of log messages, and each that is there is told."""

import ast
import re

import pytest

from tests.support.documentation import PROJECT, page

HOLE = "\0"


def text_of(node):
    """Return the text of a string in the source, with a hole for each value; None for anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"%(\(\w+\))?[sdr]", HOLE, text)
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) or HOLE for value in values)
    return None


def told(tree):
    """Yield the text of each WARNING and ERROR that *tree* logs, or raises to be logged."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="warning" | "error" | "exception" | "write" | "_explained"),
                args=[text, *_],
            ):
                yield text_of(text)
            case ast.Call(func=ast.Name(id=name), args=[text, *_]) if re.search(
                "Unavail|InUse|Denied", name
            ):
                yield text_of(text)
            case ast.Call(func=ast.Name(id="Dropped"), args=[_, text], keywords=keywords):
                if not any(text_of(word.value) in ("DEBUG", "INFO") for word in keywords):
                    yield text_of(text)
            case ast.Tuple(elts=[text, _, ast.Constant(value="ERROR" | "WARNING")]):
                yield text_of(text)


def is_frame(text):
    """Whether *text* tells nothing by itself of what happened: it passes on another's message."""
    return not re.search(r"[a-zA-Z]{3}", re.sub(r"\bfrom\b", "", text.partition(";")[0]))


SOURCES = [ast.parse(path.read_text()) for path in sorted(PROJECT.glob("miso_scrapy/**/*.py"))]
TOLD = sorted({text for tree in SOURCES for text in told(tree) if text})
DOCSTRINGS = {
    id(node.value)
    for tree in SOURCES
    for node in ast.walk(tree)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
}
TEXTS = [
    text
    for tree in SOURCES
    for node in ast.walk(tree)
    if id(node) not in DOCSTRINGS and (text := text_of(node))
]
MESSAGES = [
    message
    for row in page("reference/log-messages").splitlines()
    for message in re.findall(r"`([^`]+)`", re.split(r"(?<=.) \| ", row)[0])
    if row.startswith("| `")
]


def parts(message):
    """Return the literal parts of a *message* of the page, in which dots stand for what varies."""
    return [part.strip() for part in message.split("...") if part.strip()]


@pytest.mark.parametrize("text", [text for text in TOLD if not is_frame(text)])
def test_a_message_of_the_program_is_in_the_page(text):
    shown = [".*".join(re.escape(part) for part in parts(message)) for message in MESSAGES]
    assert any(re.search(pattern, text, re.DOTALL) for pattern in shown)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_is_in_the_program(message):
    assert sum(map(len, parts(message))) >= 4
    for part in parts(message):
        assert any(part in text for text in TEXTS), part
