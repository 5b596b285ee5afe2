"""Finds the templates of all messages for people in the code: what `message` is given, and the texts of errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PARTS = (
    "mapping",
    "handlers",
    "workers",
    "gateway/connectors",
    "gateway/queries",
    "gateway/store",
    "gateway/database",
    "gateway/privacy",
    "gateway/web",
)
_SINGLE = ("gateway/token_manager.py", "gateway/findings.py", "gateway/removal.py")
_NOT_FOR_PAGES = (
    *("gateway/privacy/people.py", "gateway/privacy/personal.py", "gateway/web/health.py"),
    *(f"gateway/web/api/{each}.py" for each in ("events",)),
    "gateway/web/webhooks.py",
)
_ERRORS = frozenset({
    "MappingError", "NotBookable", "ItemNeeded", "Transient",
    "RateLimited", "Permanent", "AuthLost", "Conflict", "DuplicateName", "DuplicateNumber", "NotFound", "Incident",
    "Unanswered", "MissingOperation", "Problem", "Garbled", "Malformed", "PatternError", "UnusableDescription",
})  # fmt: skip
_POSITIONS = {
    **dict.fromkeys(_ERRORS, slice(0, 1)),
    **dict.fromkeys(
        ("done", "skipped", "parked", "waiting", "go_on", "note", "message", "_park", "_wrong"), slice(0, 3)
    ),
    **dict.fromkeys(("Refusal", "Rejected"), slice(1, 2)),
    "incomplete": slice(0, 1),
    "DocumentFault": slice(1, 3),
    "Finding": slice(0, 3),
    "AlertCause": slice(1, 4),
    "_plan": slice(1, None),
    "_say_sides": slice(2, 4),
    "refuse": slice(0, 2),
    **dict.fromkeys(("Outcome", "Change"), slice(0, 0)),
}
_FIRST_ONLY = frozenset({"done", "skipped", "parked", "waiting", "go_on", "note", "message"})
_KEYWORDS = frozenset({"reason", "fix", "title", "detail", "said"})
_VARIABLES = frozenset({"reason", "fix", "said", "title", "detail", "why", "what"})


@dataclass(frozen=True, slots=True)
class Text:
    """A text in the code that people read; one put together without `message` has no template."""

    place: str
    template: str | None


def find_all() -> Iterator[Text]:
    """Every text, in the order of the files."""
    paths = [path for part in _PARTS for path in (ROOT / part).rglob("*.py")] + [ROOT / path for path in _SINGLE]
    for path in sorted(path for path in paths if str(path.relative_to(ROOT)) not in _NOT_FOR_PAGES):
        yield from _find(path)


def _find(path: Path) -> Iterator[Text]:
    module = ast.parse(path.read_text("utf-8"))
    constants = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        for each in _texts_of(node):
            for line, template in _resolve(each, constants):
                yield Text(f"{path.relative_to(ROOT)}:{line}", template)


def _texts_of(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in _VARIABLES:
        yield node.value
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _POSITIONS:
            texts = node.args[:1] if name in _FIRST_ONLY else node.args
            yield from texts[_POSITIONS[name]]
            yield from (each.value for each in node.keywords if name != "message" and each.arg in _KEYWORDS)


def _resolve(node: ast.expr, constants: dict[str, ast.expr]) -> Iterator[tuple[int, str | None]]:
    """The templates that an expression may be."""
    parts: list[ast.expr] = []
    match node:
        case ast.JoinedStr() | ast.Constant(value=str()):
            text = str(node.value) if isinstance(node, ast.Constant) else None
            yield from [] if text == "" else [(node.lineno, text)]
        case ast.Name(id=name):
            parts = [constants[name]] if name in constants else []
        case ast.IfExp():
            parts = [node.body, node.orelse]
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts):
            pass
        case ast.Subscript(value=table):
            parts = [table]
        case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, *others]):
            parts = [table, *others]
    for part in parts:
        yield from _resolve(part, constants)
