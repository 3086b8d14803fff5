import pytest

from caffe_filler.interface import Interface, filler_option, interface, option, option_name, shape_option, use_interface


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("python", ["inputs", "lenient=True", "data_draws='none'", "inputs={'my data': (1, C)}", "tops={'x': (N,)}"]),
        ("cli", ["--input", "--lenient", "--data-draws none", "--input 'my data'=1,C", "--top x=N"]),
    ],
)
def test_options_are_written_as_the_caller_does(name: Interface, texts: list[str]) -> None:
    with interface(name):
        assert [
            option_name("inputs"),
            option("lenient"),
            option("data_draws", "none"),
            shape_option("inputs", "my data", "1,C"),
            shape_option("tops", "x", "N"),
        ] == texts
        assert filler_option("up it/0") == (
            "fillers={'up it/0': 'TYPE'}" if name == "python" else "--filler 'up it/0'=TYPE"
        )


def test_python_is_the_default_and_other_names_change_nothing() -> None:
    use_interface("another")
    assert option_name("inputs") == "inputs"
