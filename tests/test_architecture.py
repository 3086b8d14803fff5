"""The import rules: which package may know which, read from the sources and seen in running processes."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "filler_server": ROOT / "filler_server",
    "filler_client": ROOT / "client" / "filler_client",
    "caffe_filler": ROOT / "protos" / "caffe_filler",
}

NETWORK = ["grpc", "grpc_health", "grpc_reflection", "google.rpc"]
COMPILED = ["numba", "llvmlite", "filler_server.compiled"]
RANDOM = ["filler_server.rng", "filler_server.fillers", "numpy.random", "random", *COMPILED]
TOP = ["filler_server.api", "filler_server.service", "filler_server.diagnostics", "filler_client"]

FORBIDDEN = {
    "caffe_filler": [*NETWORK, *COMPILED, "filler_server", "filler_client"],
    "filler_server.compiled": [*NETWORK, "filler_server", "filler_client"],
    "filler_server.cancellation": [*NETWORK, *COMPILED, "filler_server", "filler_client"],
    "filler_server.output": [*NETWORK, *COMPILED, "caffe_filler", "filler_server", "filler_client"],
    "filler_server.tensors": [
        *NETWORK,
        *TOP,
        *RANDOM,
        "caffe_filler.caffe",
        "caffe_filler.v1",
        "google.protobuf",
        "filler_server.prototxt",
        "filler_server.net",
        "filler_server.engine",
        "filler_server.layouts",
        "filler_server.weights",
    ],
    "filler_server.digests": [
        *NETWORK,
        *TOP,
        "caffe_filler.caffe",
        "caffe_filler.v1",
        "google.protobuf",
        "filler_server.rng",
        "filler_server.fillers",
        "filler_server.prototxt",
        "filler_server.net",
        "filler_server.engine",
        "filler_server.layouts",
        "filler_server.weights",
    ],
    "filler_server.rng": [
        *NETWORK,
        *TOP,
        "caffe_filler.caffe",
        "caffe_filler.v1",
        "google.protobuf",
        "filler_server.fillers",
        "filler_server.prototxt",
        "filler_server.net",
        "filler_server.engine",
        "filler_server.layouts",
        "filler_server.weights",
        "numpy.random",
        "random",
    ],
    "filler_server.fillers": [
        *NETWORK,
        *TOP,
        "caffe_filler.v1",
        "filler_server.prototxt",
        "filler_server.net",
        "filler_server.engine",
        "filler_server.layouts",
        "filler_server.weights",
        "numpy.random",
        "random",
    ],
    "filler_server.frameworks": [
        *NETWORK,
        *TOP,
        *RANDOM,
        "caffe_filler.v1",
        "filler_server.prototxt",
        "filler_server.net",
        "filler_server.engine",
        "filler_server.layouts",
        "filler_server.weights",
    ],
    "filler_server.prototxt": [
        *NETWORK,
        *TOP,
        *RANDOM,
        "caffe_filler.v1",
        "filler_server.net",
        "filler_server.engine",
        "filler_server.layouts",
        "filler_server.weights",
    ],
    "filler_server.net.operations": [
        *NETWORK,
        *TOP,
        *RANDOM,
        "caffe_filler",
        "google.protobuf",
        "numpy",
        "filler_server.prototxt",
        "filler_server.net.layer",
        "filler_server.net.layers",
        "filler_server.net.plan",
        "filler_server.net.registry",
    ],
    "filler_server.net": [
        *NETWORK,
        *TOP,
        *RANDOM,
        "caffe_filler.v1",
        "filler_server.engine",
        "filler_server.layouts",
        "filler_server.weights",
    ],
    "filler_server.engine": [
        *NETWORK,
        *TOP,
        "caffe_filler.v1",
        "filler_server.layouts",
        "filler_server.weights",
        "numpy.random",
        "random",
    ],
    "filler_server.layouts": [
        *NETWORK,
        *TOP,
        *RANDOM,
        "caffe_filler.v1",
        "filler_server.engine",
        "filler_server.weights",
        "filler_server.api",
    ],
    "filler_server.weights": [*NETWORK, *TOP, *RANDOM, "caffe_filler.v1", "filler_server.engine"],
    "filler_server.rules": [
        *NETWORK,
        *TOP,
        *COMPILED,
        "filler_server.rng",
        "filler_server.fillers.backend",
        "filler_server.engine",
        "filler_server.weights",
        "filler_server.models",
        "numpy.random",
        "random",
    ],
    "filler_server.models": [
        *NETWORK,
        *TOP,
        *RANDOM,
        "caffe_filler.v1",
        "filler_server.engine",
        "filler_server.weights",
        "filler_server.net.layers",
    ],
    "filler_server.api": [
        *NETWORK,
        "filler_server.service",
        "filler_server.diagnostics",
        "filler_server.weights",
        "filler_client",
    ],
    "filler_server.service": ["filler_server.weights", "filler_server.diagnostics", "filler_client"],
    "filler_server.diagnostics.signal": [
        *NETWORK,
        *TOP[:2],
        *RANDOM,
        "caffe_filler.v1",
        "filler_client",
        "filler_server.engine",
        "filler_server.weights",
        "filler_server.net.layers",
    ],
    "filler_server.diagnostics": [*NETWORK, "filler_server.api", "filler_server.service", "filler_client"],
    "filler_client": COMPILED,
}
"""Modules that a package does not import, anywhere."""


@dataclass(frozen=True)
class Import:
    """One module that another names, and whether importing the one imports the other."""

    module: str
    target: str
    line: int
    at_import: bool


def sources() -> dict[str, Path]:
    """Every module of the project, generated ones aside."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            if "_pb2" not in path.name:
                parts = [package, *path.relative_to(folder).with_suffix("").parts]
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()


def is_type_checking(node: ast.AST) -> bool:
    """Whether it is the block `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node: ast.AST, at_import: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """The import statements below a node, and whether they run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        inner = at_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inner
        elif is_type_checking(child):
            assert isinstance(child, ast.If)
            for statement in child.body:
                yield statement, False
            for statement in child.orelse:
                yield from statements(ast.Module([statement], []), inner)
        else:
            yield from statements(child, inner)


def imports_of(module: str, path: Path) -> Iterator[Import]:
    """Everything that a module imports; `from package import module` is an import of that module."""
    for statement, at_import in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            targets = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{module}:{statement.lineno}: a relative import"
            assert statement.module is not None
            names = [f"{statement.module}.{alias.name}" for alias in statement.names]
            own = statement.module.split(".")[0] in PACKAGES
            targets = [name if not own or name in SOURCES else statement.module for name in names]
        else:
            continue
        for target in targets:
            yield Import(module, target, statement.lineno, at_import)


@cache
def imports() -> list[Import]:
    """Everything that the packages import."""
    return [found for module, path in SOURCES.items() for found in imports_of(module, path)]


def within(module: str, package: str) -> bool:
    """Whether a module is a package or lies in it."""
    return module == package or module.startswith(f"{package}.")


def test_the_sources_are_seen() -> None:
    assert len(SOURCES) > 40
    rooms = "digests rng fillers prototxt net tensors engine layouts weights models rules diagnostics api service"
    for package in rooms.split():
        assert any(within(module, f"filler_server.{package}") for module in SOURCES)
    seen = {(found.module, found.target, found.at_import) for found in imports()}
    assert ("filler_server.engine.net", "filler_server.net.plan", True) in seen
    assert ("filler_client._embedded", "filler_server.api.requests", False) in seen
    assert ("filler_server.compiled", "numba", True) in seen


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_does_not_know_what_it_must_not(package: str) -> None:
    broken = [
        f"{found.module}:{found.line} imports {found.target}"
        for found in imports()
        if within(found.module, package)
        for forbidden in FORBIDDEN[package]
        if within(found.target, forbidden)
    ]
    assert broken == []


def test_every_package_has_its_rule() -> None:
    packages = {".".join(module.split(".")[:2]) for module in SOURCES if module.startswith("filler_server.")}
    assert packages <= set(FORBIDDEN)


def test_the_client_imports_the_server_only_where_it_is_used() -> None:
    early = [
        f"{found.module}:{found.line}"
        for found in imports()
        if found.at_import and within(found.module, "filler_client") and within(found.target, "filler_server")
    ]
    assert early == []


@pytest.mark.parametrize("framework", ["torch", "jax", "ray"])
def test_only_what_is_for_a_framework_imports_it(framework: str) -> None:
    users = {
        found.module for found in imports() if within(found.module, "filler_client") and within(found.target, framework)
    }
    assert users
    assert all(within(module, f"filler_client.{framework}") for module in users)


@pytest.mark.parametrize("library", ["jinja2", "markupsafe", "matplotlib", "tensorboardX"])
def test_only_the_report_imports_what_makes_pages(library: str) -> None:
    users = {found.module for found in imports() if within(found.target, library)}
    assert users
    assert all(within(module, "filler_server.diagnostics.report") for module in users)


def test_only_the_commands_about_servers_import_the_service() -> None:
    users = {
        found.module
        for found in imports()
        if within(found.module, "filler_client") and within(found.target, "filler_server.service")
    }
    assert users == {"filler_client.cli.serve", "filler_client.cli.warm_up"}


@pytest.mark.parametrize("at_import", [True, False], ids=["when they are imported", "ever, packages aside"])
def test_no_modules_import_each_other_in_a_circle(at_import: bool) -> None:
    """A package hands on what lies in it, which may use what lies beside that."""
    edges: dict[str, set[str]] = {module: set() for module in SOURCES}
    for found in imports():
        is_package = SOURCES[found.module].stem == "__init__"
        if found.target in SOURCES and (found.at_import if at_import else not is_package):
            edges[found.module].add(found.target)
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, [*path, module])
            done.add(module)

    for module in SOURCES:
        visit(module, [])


def loaded(program: str) -> set[str]:
    """The modules in memory after a program has run in a process of its own."""
    program += "\nimport sys\nprint(' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return {name for module in result.stdout.split() for name in (module, module.split(".")[0])}


def test_importing_the_client_loads_neither_numba_nor_the_server_nor_grpc() -> None:
    assert not loaded("import filler_client") & {"numba", "llvmlite", "filler_server", "rich", "click", "grpc"}


def test_importing_the_server_loads_nothing_heavy() -> None:
    assert not loaded("import filler_server") & {"numba", "grpc", "google", "numpy", "caffe_filler"}


NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 8, 8] } } }
layer {
  name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "positive_unitball" } }
}
layer {
  name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" sparse: 1 } bias_filler { type: "uniform" } }
}
"""
WITHOUT_NUMBA = "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None\n"
LIGHT = {
    "plan": "assert FillerClient.embedded().plan_net(NET).parameters == 56 + 292",
    "list fillers": "assert len(FillerClient.embedded().list_fillers().fillers) > 7",
    "read, convert and write files": "import filler_server.weights.conversion, filler_server.weights.opening",
    "merge weights": "import filler_server.weights.merge, filler_client._finetune",
    "read rules and expect values": (
        "from filler_server.rules import Parameter, read_rules\n"
        "rules = read_rules(b'rule { filler { type: \"xavier\" } }')\n"
        "assert rules.assign(Parameter('weight', (4, 72))).fan_in == 72"
    ),
    "name the numbers of a stream": "import filler_server.rng.philox as p; p.PhiloxStream(1701, 'conv1/0')",
    "save, look at and convert": (
        "import filler_client as f, numpy, tempfile\n"
        "path = tempfile.mkdtemp()\n"
        "f.save_weights({'ip/0': numpy.ones((4, 72), 'f'), 'ip/1': numpy.ones(4, 'f')}, f'{path}/w.npz')\n"
        "f.convert(f'{path}/w.npz', f'{path}/w.safetensors')\n"
        "assert [found.verdict for found in f.diff(f'{path}/w.npz', f'{path}/w.safetensors')] == ['equal'] * 2\n"
        "assert f.inspect(f'{path}/w.npz').statistics[0].mean == 1\n"
        "assert f.verify(f'{path}/w.safetensors').is_equal"
    ),
    "run a net": (
        "import filler_client as f\n"
        'net = NET[: NET.index(\'layer {\\n\')] + \'layer { name: "r" type: "ReLU" bottom: "data" top: "y" }\'\n'
        "assert f.run(net, random=1)['y'].shape == (2, 3, 8, 8)"
    ),
    "judge a blob but for its values": "import filler_server.diagnostics.statistics.net",
    "command line": "import filler_client.cli.main",
}


@pytest.mark.parametrize("work", LIGHT)
def test_what_needs_no_numba_runs_without_it(work: str) -> None:
    program = f"from filler_client import FillerClient\nNET = {NET!r}\n{LIGHT[work]}"
    assert not loaded(program) & {"numba", "llvmlite"}
    loaded(WITHOUT_NUMBA + program)


def test_a_net_is_saved_without_linear_algebra(tmp_path: Path) -> None:
    """Modules that Numba imports for the functions of its kernels can take longer than all else."""
    program = (
        f"from filler_client import FillerClient\nNET = {NET!r}\n"
        f"FillerClient.embedded().save_net(NET, {str(tmp_path / 'w.safetensors')!r})"
    )
    # The first time it may have to be compiled, for which Numba imports everything.
    loaded(program)
    assert not loaded(program) & {"scipy.linalg", "numba.np.linalg", "numba.np.arraymath"}


def test_computing_without_numba_says_what_to_install() -> None:
    loaded(
        WITHOUT_NUMBA
        + """
from caffe_filler.errors import Unavailable
from filler_client import FillerClient
try:
    FillerClient.embedded().fill("msra", (3, 4))
except Unavailable as error:
    assert "pip install 'caffe-filler[server]'" in str(error), error
else:
    raise AssertionError
"""
    )


def test_looking_at_weights_without_numba_says_what_to_install() -> None:
    loaded(
        WITHOUT_NUMBA
        + """
import filler_client, numpy
try:
    filler_client.check(weights={"w": numpy.ones(3)})
except filler_client.Unavailable as error:
    assert str(error) == "looking at weights needs Numba: pip install 'caffe-filler[server]'", error
else:
    raise AssertionError
"""
    )
