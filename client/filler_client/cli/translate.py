"""`filler translate`: initializers of other frameworks in Caffe's words, and back."""

import click


@click.command()
@click.argument("initializer", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def translate(initializer: str | None, as_json: bool) -> None:
    """Print what INITIALIZER is in the words of Caffe, PyTorch, Keras and JAX, and what differs.

    INITIALIZER is a call or a name of torch.nn.init, keras.initializers or jax.nn.initializers, which is read and not
    run, or a filler: prototxt or the name of a type. Without one, all of them are printed as a table in Markdown.

    \b
    Examples:
      filler translate 'torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5))'
      filler translate keras.HeNormal
      filler translate 'type: "xavier" variance_norm: AVERAGE'
    """
    import filler_client
    from filler_client.cli.terminal import print_json, print_line
    from filler_server.frameworks.translation import table

    found = table() if initializer is None else [filler_client.translate(initializer)]
    if as_json:
        listed = [
            {"source": entry.source, "filler": entry.text, "is_caffe": entry.is_caffe, "calls": entry.calls}
            | {"notes": list(entry.notes)}
            for entry in found
        ]
        print_json(listed if initializer is None else listed[0], indent=1)
    elif initializer is not None:
        for line in str(found[0]).splitlines():
            print_line(line)
    else:
        print_line("| initializer | filler | of Caffe | PyTorch | Keras | JAX |")
        print_line("|---|---|---|---|---|---|")
        for entry in found:
            calls = [f"`{call}`" if call else "none" for call in entry.calls.values()]
            cells = [f"`{entry.source}`", f"`{entry.text}`", "yes" if entry.is_caffe else "no", *calls]
            print_line(f"| {' | '.join(cells)} |")
        for note in dict.fromkeys(note for entry in found for note in entry.notes):
            print_line()
            print_line(f"- {note}")
