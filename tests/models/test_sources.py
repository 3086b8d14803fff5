import numpy as np

from filler_client import FillerClient
from filler_server.models.sources import constant_inputs


def test_constants_of_dummy_data_and_marks_of_sequences() -> None:
    net = """layer { name: "d" type: "DummyData" top: "a" top: "b" top: "c"
      dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "constant" value: 1.5 }
        data_filler { type: "gaussian" } data_filler {} } }
    layer { name: "one" type: "DummyData" top: "e" top: "f" dummy_data_param { num: 1 channels: 2 height: 1 width: 1 } }
    layer { name: "cont" type: "ContinuationIndicator" top: "cont"
      continuation_indicator_param { time_step: 3 batch_size: 2 } }
    layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 1 } } }
    layer { name: "silence" type: "Silence" bottom: "a" bottom: "b" bottom: "c" bottom: "e" bottom: "f" bottom: "cont" }
    """
    found = constant_inputs(FillerClient.embedded().plan_net(net, phase="TEST"))
    assert list(found) == ["a", "c", "e", "f", "cont"]
    assert np.array_equal(found["a"], np.full((2, 3), 1.5))
    assert np.array_equal(found["c"], np.zeros((2, 3)))
    assert found["e"].shape == (1, 2, 1, 1)
    assert found["cont"].tolist() == [[0, 0], [1, 1], [1, 1]]
