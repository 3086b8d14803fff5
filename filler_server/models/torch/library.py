"""Parts that written nets take over: their sources, and what of them and of PyTorch a piece of source needs."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FOLDER = "parts"
_OWN = "filler_server"


@dataclass(frozen=True, slots=True)
class Part:
    """A function, class or constant of the library.

    Attributes:
        name: its name.
        source: its source.
        names: names of other things that it mentions.
    """

    name: str
    source: str
    names: frozenset[str]


def parts() -> Mapping[str, Part]:
    """Return all parts by their names."""
    return _library()[0]


def needed(names: Iterable[str]) -> tuple[list[str], list[Part]]:
    """Return the import statements and the parts that some names need, each part after those that it mentions.

    Args:
        names: names that a piece of source mentions; others than those of parts and imports mean nothing here.
    """
    library, imports = _library()
    found: dict[str, Part] = {}
    visiting: set[str] = set()
    mentioned: set[str] = set()

    def visit(name: str) -> None:
        mentioned.add(name)
        part = library.get(name)
        if part is None or name in visiting:
            return
        visiting.add(name)
        for other in sorted(part.names):
            visit(other)
        found[name] = part

    for name in names:
        visit(name)
    return _import_lines(imports, mentioned), list(found.values())


def mentioned(tree: ast.AST) -> frozenset[str]:
    """Return the names that a piece of source reads."""
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


@cache
def _library() -> tuple[dict[str, Part], dict[str, tuple[str, str | None]]]:
    """Return the parts, and by the names that imports bind, their modules and what they take from these."""
    library: dict[str, Part] = {}
    imports: dict[str, tuple[str, str | None]] = {"Path": ("pathlib", "Path")}
    for file in sorted(files(__package__).joinpath(_FOLDER).iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".py"):
            continue
        source = file.read_text(encoding="utf-8")
        for statement in ast.parse(source).body:
            match statement:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                    text = ast.get_source_segment(source, statement) or ""
                    library[name] = Part(name, text, mentioned(statement))
                case ast.Import(names=aliases):
                    imports.update((alias.asname or alias.name, (alias.name, None)) for alias in aliases)
                case ast.ImportFrom(module=str(module), names=aliases) if not module.startswith(_OWN):
                    imports.update((alias.asname or alias.name, (module, alias.name)) for alias in aliases)
    return library, imports


def _import_lines(imports: Mapping[str, tuple[str, str | None]], names: set[str]) -> list[str]:
    plain: list[str] = []
    taken: dict[str, list[str]] = {}
    for name in sorted(names & set(imports)):
        module, attribute = imports[name]
        if attribute is None:
            plain.append(f"import {module}" if module == name else f"import {module} as {name}")
        else:
            taken.setdefault(module, []).append(attribute)
    lines = [*plain, *(f"from {module} import {', '.join(sorted(taken[module]))}" for module in taken)]
    standard = [line for line in lines if not _is_third_party(line)]
    others = [line for line in lines if _is_third_party(line)]
    return [*sorted(standard, key=_order), *([""] if standard and others else []), *sorted(others, key=_order)]


def _is_third_party(line: str) -> bool:
    return line.split()[1].split(".")[0] == "torch"


def _order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line
