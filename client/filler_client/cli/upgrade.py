"""`filler upgrade`: a net or solver of any age in the current format."""

import sys
from pathlib import Path

import click

from filler_client.cli.options import Server, in_file, server_option, strictness_options


@click.command()
@click.argument("source", metavar="IN", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="[OUT]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when the file needs upgrading.")
@strictness_options[0]
@strictness_options[1]
@server_option
def upgrade(source: Path, target: Path | None, check: bool, strict: bool, lenient: bool, server: Server) -> None:
    """Bring a net or solver to the current format, and list the changes.

    IN is prototxt or binary, of any age; OUT is the same in the current format, - for standard output. Lines of text
    that need no change stay as they are, comments included.

    \b
    Examples:
      filler upgrade old.prototxt new.prototxt
      filler upgrade old.caffemodel new.caffemodel
      filler upgrade --check train_val.prototxt && echo up to date
    """
    from caffe_filler.printable import counted
    from filler_client.cli.connect import connect
    from filler_client.cli.terminal import print_changes, print_file, print_line, print_warnings

    if target is None and not check:
        raise click.UsageError("Missing argument 'OUT': the file to write, or - for standard output; or give --check.")
    with connect(server) as client, in_file(source):
        answer = client.upgrade_net(source, strict=strict, lenient=lenient)
    print_changes(answer.changes, source)
    print_warnings(answer.warnings, source)
    if check:
        sys.exit(1 if answer.needs_upgrade else 0)
    if str(target) == "-":
        print_file(answer.file)
    elif target is not None:
        from filler_server.output import write_atomically

        write_atomically(target, answer.file)
    print_line(f"{answer.kind}: {counted(len(answer.changes), 'change') if answer.changes else 'no changes'}", err=True)
