"""Pages and tables that the documentation takes from the code: commands, lint rules, settings and formats."""

import re
from collections.abc import Callable, Iterable, Sequence
from inspect import cleandoc
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from filler_client._model_formats import MODEL_FORMATS
from filler_client.cli.main import filler
from filler_server.diagnostics.lint.registry import rules
from filler_server.service.configuration import ALL
from filler_server.weights.formats import FORMATS

_TABLE = re.compile(r"^<!-- table: (\w+) -->$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the generated pages in the navigation."""
    config.nav = [*(config.nav or ()), {"Command line": list(_command_pages())}, {"Lint rules": list(_rule_pages())}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in {**_command_pages(), **_rule_pages()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put tables where a page asks for them, as in `<!-- table: settings -->`."""
    return _TABLE.sub(lambda found: _TABLES[found[1]](), markdown)


def _command_pages() -> dict[str, str]:
    """Return the pages of `filler` and of its verbs, by their paths."""
    verbs = dict(sorted(filler.commands.items()))
    rows = ((f"[`{name}`]({name}.md)", _escaped(verb.get_short_help_str(200))) for name, verb in verbs.items())
    listed = _table(("verb", ""), rows)
    pages = {"reference/cli/index.md": f"# filler\n\n{_help(filler)}\n\n{listed}"}
    parent = click.Context(filler, info_name="filler", **filler.context_settings)
    for name, verb in verbs.items():
        context = click.Context(verb, info_name=name, parent=parent)
        usage = f"```text\n{verb.get_usage(context)}\n```"
        records = (
            param.get_help_record(context) for param in verb.get_params(context) if isinstance(param, click.Option)
        )
        options = _table(("option", ""), ((f"`{flag}`", _escaped(text)) for flag, text in filter(None, records)))
        pages[f"reference/cli/{name}.md"] = f"# filler {name}\n\n{usage}\n\n{_help(verb)}\n\n## Options\n\n{options}"
    return pages


def _help(command: click.Command) -> str:
    """Return the help of a command, with its examples as code."""
    paragraphs = []
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        title, _, lines = paragraph.removeprefix("\b\n").partition("\n")
        if paragraph.startswith("\b"):
            code = "\n".join(line.strip() for line in lines.splitlines())
            paragraphs.append(f"{title}\n\n```sh\n{code}\n```")
        else:
            paragraphs.append(_escaped(paragraph))
    return "\n\n".join(paragraphs)


def _rule_pages() -> dict[str, str]:
    """Return the pages of the rules of `filler lint`, by their paths."""
    found = rules().values()
    rows = (
        (f"[{rule.code}]({rule.code}.md)", rule.name, rule.severity, "yes" if rule.fixes else "", _escaped(rule.why))
        for rule in found
    )
    listed = _table(("rule", "", "severity", "fixed", ""), rows)
    about = "The rules of [`filler lint`](../cli/lint.md). `filler rule CODE` prints a page in the terminal."
    pages = {"reference/lint/index.md": f"# Lint rules\n\n{about}\n\n{listed}"}
    return pages | {f"reference/lint/{rule.code}.md": rule.page for rule in found}


def _settings() -> str:
    rows = (
        (f"`{entry.flag}`", f"`{entry.default}`" if entry.default not in (None, ()) else "", _escaped(entry.text))
        for entry in ALL
    )
    return _table(("setting", "default", ""), rows)


def _formats() -> str:
    rows = (
        (
            entry.name,
            ", ".join(f"`{ending}`" for ending in entry.endings),
            "by its signature" if entry.has_signature else "by its structure",
            "yes" if entry.has_shards else "",
        )
        for entry in FORMATS
        if entry.endings
    )
    return _table(("format", "written as", "recognized", "in shards"), rows)


def _model_formats() -> str:
    rows = (
        (entry.name, f"`{entry.ending}`", f"`{entry.extra}`" if entry.extra else "", entry.library)
        for entry in MODEL_FORMATS
    )
    return _table(("model", "ending", "extra", "verified with"), rows)


_TABLES = {"settings": _settings, "formats": _formats, "models": _model_formats}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(_outside_code(text, lambda part: part.replace("|", r"\|")).split())


def _escaped(text: str) -> str:
    """Return text in which Markdown finds nothing to mark but code."""
    return _outside_code(text, lambda part: re.sub(r"([\\*_\[\]#])", r"\\\1", part.replace("<", "&lt;")))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    return "".join(part if part.startswith("`") else change(part) for part in re.split(r"(`[^`]*`)", text))
