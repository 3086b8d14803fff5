from hypothesis import given
from hypothesis import strategies as st

from filler_server.net.names import unique_names


def test_the_first_of_a_name_keeps_it() -> None:
    assert unique_names(["conv", "ip", "conv", "conv"]) == ["conv", "ip", "conv#2", "conv#3"]


def test_a_name_that_looks_numbered_is_no_collision() -> None:
    assert unique_names(["a", "a", "a#2", "a"]) == ["a", "a#3", "a#2", "a#4"]
    assert unique_names(["a#2", "a#2", "a", "a"]) == ["a#2", "a#2#2", "a", "a#3"]


def test_no_name_at_all_is_a_name() -> None:
    assert unique_names(["", ""]) == ["", "#2"]


@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "a#2#2", "b", ""]), max_size=12))
def test_names_are_unique_and_lone_ones_are_kept(names: list[str]) -> None:
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    for name, result in zip(names, unique, strict=True):
        if names.count(name) == 1:
            assert result == name


def test_blobs_of_layers_with_one_name_are_told_apart(plan) -> None:  # type: ignore[no-untyped-def]
    net = plan(
        """
        layer { name: "in" type: "Input" top: "a" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "a" top: "b" inner_product_param { num_output: 4 } }
        layer { name: "ip" type: "InnerProduct" bottom: "b" top: "c" inner_product_param { num_output: 5 } }
        """
    )
    assert [(blob.name, blob.shape) for blob in net.blobs] == [
        ("ip/0", (4, 3)),
        ("ip/1", (4,)),
        ("ip#2/0", (5, 4)),
        ("ip#2/1", (5,)),
    ]
    assert net.parameters == 12 + 4 + 20 + 5
