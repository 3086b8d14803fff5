"""`filler explain`: a filler, an initializer or a module in words, formulas and a plot."""

import sys

import click

from filler_client.cli.options import Shape


@click.command()
@click.argument("initializer")
@click.option(
    "--shape", type=Shape(), help="Shape of the blob, or of the weight of a module, [out, in, ...] as in Caffe."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; what is not known is null.")
def explain(initializer: str, shape: tuple[int, ...] | None, as_json: bool) -> None:
    """Print what INITIALIZER does: distribution, formula, fans, paper, its names elsewhere, and a plot.

    INITIALIZER is a filler, as prototxt or the name of a type; a call or a name of torch.nn.init, keras.initializers or
    jax.nn.initializers, which is read and not run; or a module of torch.nn, keras.layers, flax.linen or flax.nnx, of
    which the defaults of each parameter are printed. What goes by fans or rows needs --shape.

    The plot has the share of the values in each column, and is ASCII where the output is not a terminal.

    \b
    Examples:
      filler explain 'type: "xavier"' --shape 64,3,7,7
      filler explain gaussian
      filler explain torch.nn.Linear --shape 10,784
      filler explain 'torch.nn.init.trunc_normal_(w, std=0.02)'
    """
    import filler_client
    from filler_client.cli.terminal import print_json, print_line

    found = filler_client.explain(initializer, shape)
    if as_json:
        print_json(found.as_dict(), indent=1)
        return
    blocks = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    for line in found.lines(plain=not blocks):
        print_line(line)
