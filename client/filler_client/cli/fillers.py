"""`filler fillers`: the types that exist."""

import click

from filler_client.cli.options import Server, server_option


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_option
def fillers(as_json: bool, server: Server) -> None:
    """List the fillers with the fields that each reads and their defaults.

    \b
    Examples:
      filler fillers
      filler fillers --json | jq -r '.[].type'
    """
    from filler_client.cli.connect import connect
    from filler_client.cli.terminal import print_json, print_table

    with connect(server) as client:
        answer = client.list_fillers()
    if as_json:
        listed = [
            {
                "type": filler.type,
                "description": filler.description,
                "fields": {field.name: field.default_value for field in filler.fields},
            }
            for filler in answer.fillers
        ]
        print_json(listed, indent=1)
        return
    rows = [
        [
            filler.type,
            ", ".join(f"{field.name}: {field.default_value}".removesuffix(": ") for field in filler.fields),
            filler.description,
        ]
        for filler in answer.fillers
    ]
    print_table([("type", "left"), ("fields with defaults", "left"), ("values", "left")], rows)
