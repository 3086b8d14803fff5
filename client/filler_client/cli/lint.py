"""`filler lint`: likely mistakes in nets and solvers; `filler rule`: what a rule is about."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filler_client.cli.options import input_option

if TYPE_CHECKING:
    from filler_client import Findings, NetLike

_STANDARD_INPUT = "-"


class Codes(click.ParamType):  # type: ignore[type-arg]
    """Codes of rules or their beginnings, with commas between them."""

    name = "CODE,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the codes."""
        return value if isinstance(value, tuple) else tuple(part for text in value.split(",") if (part := text.strip()))


def _flat(ctx: click.Context, param: click.Parameter, value: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(code for codes in value for code in codes)


@click.command()
@click.argument("nets", metavar="NET...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="text for people; a list of findings as JSON; SARIF 2.1.0; annotations of GitHub Actions.",
)
@click.option("--select", multiple=True, type=Codes(), callback=_flat, help="Rules that alone count; repeatable.")
@click.option("--ignore", multiple=True, type=Codes(), callback=_flat, help="Rules that do not count; repeatable.")
@click.option(
    "--fix", "mend", is_flag=True, help="Mend what is certain in the files that are given, and report what is left."
)
@input_option
def lint(
    nets: tuple[str, ...],
    form: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    mend: bool,
    inputs: dict[str, Any],
) -> None:
    """Find likely mistakes in nets and solvers, before any training.

    NET is a net or a solver, prototxt or binary, a folder, a pattern such as 'models/**/*.prototxt', or - for standard
    input. A solver is looked at with its nets. A comment `# filler: ignore[FIL012]` keeps lint quiet on its line, and
    on a line of its own before a layer in that layer.

    The exit status is 1 when an error or a warning is found, and 0 with notes alone. `filler rule` lists the rules.

    \b
    Examples:
      filler lint train_val.prototxt --input data=256,3,227,227
      filler lint solver.prototxt --ignore FIL009,FIL037
      filler lint models --format sarif > lint.sarif
      filler lint models/*.prototxt --fix
    """
    import filler_client
    from filler_client.cli.terminal import print_line

    files = list(_files(nets))
    options: dict[str, Any] = {"select": select, "ignore": ignore, "inputs": inputs}
    if mend:
        _mend(files, options)
    findings = filler_client.lint([_content(file) for file in files], **options)
    if _STANDARD_INPUT in nets:
        findings = _named(findings)
    _print(findings, form)
    print_line(findings.summary(), err=True)
    sys.exit(1 if findings.failed else 0)


@click.command()
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rule(code: str | None, as_json: bool) -> None:
    """Say what a rule of `filler lint` is about: why, an example, and what mends it. Without CODE list all rules.

    \b
    Examples:
      filler rule FIL012
      filler rule zero-weights
      filler rule --json
    """
    import filler_client
    from filler_client.cli.terminal import print_json, print_line, print_table, print_text
    from filler_server.diagnostics.lint.registry import rule_of

    found = list(filler_client.lint_rules().values()) if code is None else [rule_of(code)]
    if as_json:
        fields = ("code", "name", "severity", "why", "mend", "fixes")
        listed = [{name: getattr(one, name) for name in fields} for one in found]
        print_json(listed if code is None else {**listed[0], "page": found[0].page}, indent=1)
    elif code is None:
        columns = [(title, "left") for title in ("code", "severity", "fix", "name", "why")]
        print_table(columns, [[one.code, one.severity, "yes" if one.fixes else "", one.name, one.why] for one in found])
    else:
        print_text(found[0].page)
        print_line()
        print_line(f"Severity: {found[0].severity}. {'`--fix` mends it.' if found[0].fixes else ''}".strip())


def _files(arguments: Sequence[str]) -> "Iterator[Path | str]":
    """Yield the paths that arguments and their patterns mean, and - as it is."""
    from glob import glob, has_magic

    for argument in arguments:
        if argument == _STANDARD_INPUT or Path(argument).exists():
            yield argument if argument == _STANDARD_INPUT else Path(argument)
            continue
        found = sorted(glob(argument, recursive=True)) if has_magic(argument) else []  # noqa: PTH207 - Path knows no absolute ones
        if not found:
            raise click.BadParameter(
                f"there is no such file, folder or pattern with files: {argument}", param_hint="NET"
            )
        yield from map(Path, found)


def _content(file: "Path | str") -> "NetLike":
    from caffe_filler.errors import LimitExceeded
    from filler_client._requests import MOST_FILE_BYTES

    if isinstance(file, Path):
        return file
    data = sys.stdin.buffer.read(MOST_FILE_BYTES + 1)
    if len(data) > MOST_FILE_BYTES:
        raise LimitExceeded.over("bytes", MOST_FILE_BYTES, len(data)).in_file("standard input")
    return data


def _named(findings: "Findings") -> "Findings":
    """Return findings with standard input by its name."""
    from dataclasses import replace

    from filler_client import Findings

    return Findings(replace(one, file="<stdin>") if one.file == "net" else one for one in findings)


def _mend(files: "Sequence[Path | str]", options: dict[str, Any]) -> None:
    import filler_client
    from filler_client.cli.terminal import print_line
    from filler_server.output import write_atomically

    for file in files:
        if not isinstance(file, Path):
            raise click.UsageError("--fix writes files: give one in place of standard input.")
        paths = sorted(file.rglob("*.prototxt")) if file.is_dir() else [file]
        for path in paths:
            fixed = filler_client.fix(path, **options)
            if fixed.findings:
                write_atomically(path, fixed.data)
            for finding in fixed.findings:
                print_line(f"{finding.place}: fixed {finding.code}: {finding.message}", err=True)


def _print(findings: "Findings", form: str) -> None:
    from filler_client.cli.terminal import print_json, print_line
    from filler_server.diagnostics.lint import formats

    if form == "json":
        print_json(formats.as_json(findings), indent=1)
    elif form == "sarif":
        from importlib.metadata import version

        print_json(formats.as_sarif(findings, version=version("caffe-filler")), indent=1)
    else:
        for finding in findings:
            if form == "github":
                print_line(formats.as_github(finding))
            else:
                print_line(str(finding))
                print_line(f"    {finding.mend}")
