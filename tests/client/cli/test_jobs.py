"""Jobs of a batch, from the arguments of a command line and from job files."""

import os
from pathlib import Path
from typing import Any

import pytest

from caffe_filler.errors import InvalidArgument
from filler_client.cli.jobs import Job, check_folder, check_template, expand

DEFAULTS: dict[str, Any] = {
    "dtype": "f32",
    "stream": "philox",
    "names": "caffe",
    "phase": "TRAIN",
    "seed": None,
    "weights": (),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.prototxt", "a.prototxt", ".hidden.prototxt", "notes.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


def sources(jobs: list[Job]) -> list[str]:
    return [job.source.name for job in jobs]


def test_arguments_are_files_folders_and_patterns(folder: Path) -> None:
    assert sources(expand([str(folder / "b.prototxt")], DEFAULTS, None)) == ["b.prototxt"]
    assert sources(expand([str(folder)], DEFAULTS, None)) == ["a.prototxt", "b.prototxt"]
    assert sources(expand([str(folder / "*.prototxt"), str(folder / "notes.txt")], DEFAULTS, None)) == [
        "a.prototxt",
        "b.prototxt",
        "notes.txt",
    ]
    odd = folder / "a[1].prototxt"
    odd.write_text("")
    assert sources(expand([str(odd)], DEFAULTS, None)) == ["a[1].prototxt"]


@pytest.mark.parametrize("name", ["absent.prototxt", "*.caffemodel", "empty"])
def test_what_is_not_there_is_an_error(folder: Path, name: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InvalidArgument, match=r"no such file|fits no file|has no \.prototxt"):
        expand([str(folder / name)], DEFAULTS, None)


def test_a_pipe_is_not_taken_for_a_file_that_is_not_there(folder: Path) -> None:
    os.mkfifo(folder / "net.prototxt")
    with pytest.raises(InvalidArgument, match="a batch reads regular files"):
        expand([str(folder / "net.prototxt")], DEFAULTS, None)


def write(folder: Path, text: str) -> str:
    path = folder / "jobs.toml"
    path.write_text(text)
    return str(path)


def test_a_job_file_has_jobs_and_what_holds_for_all(folder: Path) -> None:
    text = """
    dtype = "bfloat16"
    output = "{net}-{dtype}-{seed}.npz"
    [[job]]
    net = ["a.prototxt", "b*"]
    seed = [1, 18446744073709551615]
    inputs = { data = [10, "?", 4] }
    fillers = { "ip/*" = "xavier" }
    [[job]]
    solver = "a.prototxt"
    dtype = "f64"
    max_shard_size = "5MB"
    weights = "w.npz"
    """
    jobs = expand([write(folder, text)], {**DEFAULTS, "names": "torch"}, None)
    assert sources(jobs) == ["a.prototxt", "a.prototxt", "b.prototxt", "b.prototxt", "a.prototxt"]
    assert [job.output(Path("out"), job.options["seed"] or 0).name for job in jobs] == [
        "a-bf16-1.npz",
        "a-bf16-18446744073709551615.npz",
        "b-bf16-1.npz",
        "b-bf16-18446744073709551615.npz",
        "a-f64-0.npz",
    ]
    assert (jobs[0].kind, jobs[4].kind) == ("net", "solver")
    assert jobs[0].options["inputs"] == {"data": (10, None, 4)}
    assert jobs[4].options["max_shard_size"] == 5_000_000
    assert jobs[4].options["weights"] == [folder / "w.npz"]
    assert {job.options["names"] for job in jobs} == {"torch"}


def test_names_without_a_template(folder: Path) -> None:
    job = Job(folder / "a.prototxt", None, DEFAULTS)
    assert job.output(Path("out"), 3) == Path("out/a.safetensors")
    assert Job(folder / "a.prototxt", None, DEFAULTS, has_seeds=True).output(Path(), 3) == Path("a-3.safetensors")
    named = Job(folder / "a.prototxt", None, DEFAULTS, "{folder}-{stream}-{names}-{phase}.h5")
    assert named.output(Path(), 3) == Path(f"{folder.name}-philox-caffe-TRAIN.h5")


@pytest.mark.parametrize("template", ["{nett}.npz", "{net", "{net!r}.npz", "{seed:03}.npz", "{}.npz", "{net.stem}.npz"])
def test_templates_have_known_fields(template: str) -> None:
    with pytest.raises(InvalidArgument, match="an output's name"):
        check_template(template)


@pytest.mark.parametrize("template", ["../{net}.npz", "/tmp/{net}.npz", "..", ""])
def test_outputs_stay_in_their_folder(folder: Path, template: str) -> None:
    job = Job(folder / "a.prototxt", None, DEFAULTS, template or "/")
    with pytest.raises(InvalidArgument, match="an output's name is that of a file in the folder"):
        job.output(Path("out"), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"tables \[\[job\]\]"),
        ("job = 3", r"tables \[\[job\]\]"),
        ("[[job]]", "a job has a net or a solver"),
        ('[[job]]\nnet = "a.prototxt"\nsolver = "a.prototxt"', "one of the two. Received: 2"),
        ('[[job]]\nnet = "a.prototxt"\nsede = 3', r"job 1 has no key of this name \(did you mean 'seed'\?\)"),
        ('net = "a.prototxt"\n[[job]]\nnet = "a.prototxt"', "the top of the file has no key"),
        ('[[job]]\nnet = "a.prototxt"\nseed = -1', "job 1: seed: a seed is an integer"),
        ('[[job]]\nnet = "a.prototxt"\nseed = "1"', "job 1: seed: this is a whole number"),
        ('[[job]]\nnet = "a.prototxt"\nseed = []', "a list of seeds has one at least"),
        ('[[job]]\nnet = "a.prototxt"\nseed = true', "job 1: seed: this is a whole number"),
        ('[[job]]\nnet = "a.prototxt"\nstream = "filox"', r"did you mean 'philox'"),
        ('[[job]]\nnet = "a.prototxt"\ndtype = "f8"', "job 1: dtype: no data type"),
        ('[[job]]\nnet = "a.prototxt"\ninputs = { data = 3 }', "a list of dimensions"),
        ('[[job]]\nnet = "a.prototxt"\ninputs = { data = ["x"] }', "a dimension is a whole number"),
        ('[[job]]\nnet = "a.prototxt"\nstrict = 1', "this is true or false"),
        ('[[job]]\nnet = "a.prototxt"\nmax_shard_size = "many"', "a size is like 500MiB"),
        ('[[job]]\nnet = "a.prototxt"\noutput = "{x}"', "job 1: output: an output's name may have"),
        ('[[job]]\nnet = "absent"', "there is no such file"),
        ('[[job]]\nnet = "x*"', "fits no file"),
        ('[[job]]\nnet = "a.prototxt"\ninputs = { data = [-1, 8] }', "a dimension is a whole number"),
        ('[[job]]\nsolver = "a.prototxt"\ntest_net = -2', "job 1: test_net: test nets are numbered from 0"),
        ("[[job]]\nnet = []", "job 1: net: a list of files has one at least"),
        ('[[job]]\nnet = ""', "job 1: net: the name of a file is text that is not empty"),
        ('[[job]]\nnet = "a.prototxt"\nweights = ["w\\u0000"]', "job 1: weights: the name of a file .* has no NUL"),
        ('[[job]]\nnet = "a.prototxt"\noutput = ""', "job 1: output: an output has a name"),
        ("seed = " + "1" * 5000, "jobs.toml: .* 5000 digits"),
        ("[[job]", "jobs.toml: "),
        ("a = " + "[" * 2000, "jobs.toml: "),
    ],
)
def test_what_is_wrong_with_a_job_file_is_said(folder: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        expand([write(folder, text)], DEFAULTS, None)
    assert "jobs.toml" in str(caught.value)


def test_what_the_command_line_says_no_job_says_otherwise(folder: Path) -> None:
    jobs = folder / "jobs.toml"
    jobs.write_text('dtype = "bf16"\n[[job]]\nnet = "a.prototxt"\nseed = [1, 2]\n')
    assert len(expand([str(jobs)], DEFAULTS, None, {"stream"})) == 2
    with pytest.raises(InvalidArgument, match=r"the top of the file: dtype .* Received: dtype='bf16'"):
        expand([str(jobs)], DEFAULTS, None, {"dtype"})
    with pytest.raises(InvalidArgument, match=r"job 1: seed on the command line says it, too"):
        expand([str(jobs)], DEFAULTS, None, {"seed"})
    jobs.write_text('[[job]]\nnet = "a.prototxt"\noutput = "a.npz"\n')
    with pytest.raises(InvalidArgument, match=r"job 1: the name of -o on the command line says it, too"):
        expand([str(jobs)], DEFAULTS, "{net}.safetensors")


def test_fields_stand_in_names_of_files_alone() -> None:
    check_folder(Path("out{1}/nets"))
    with pytest.raises(InvalidArgument, match="fields stand in an output's name, and not in its folder"):
        check_folder(Path("out/{net}-{seed}/more"))
