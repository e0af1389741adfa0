"""The host binding: one function per method, clear refusals, and a build that several may share."""

import array
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from stapes_tools import kernels
from stapes_tools.kernels import binding, build

PRIOR = array.array("h", [0] * 40)


def make_state():
    state = bytearray(kernels.frontend_size())
    assert kernels.frontend_init(state, PRIOR) == 0
    return state


def test_method_table_is_read_whole():
    text = binding.METHOD_TABLE.read_text()
    assert len(kernels.METHODS) == text.count("\nST_METHOD(")
    assert kernels.METHODS["frontend_size"] == "" and kernels.METHODS["frontend_apply"] == "wrw"


@pytest.mark.parametrize(
    "samples",
    [bytes(1440), bytearray(1440), memoryview(bytes(1440)), array.array("h", [0] * 720), np.zeros(720, np.int16)],
    ids=lambda samples: type(samples).__name__,
)
def test_buffers_of_every_kind(samples):
    features = bytearray(120)
    assert kernels.frontend_apply(make_state(), samples, features) == 1
    assert kernels.frontend_apply(make_state(), samples, np.zeros(120, np.int8)) == 1
    assert kernels.frontend_apply(make_state(), samples, memoryview(features)) == 1


@pytest.mark.parametrize("empty", [b"", bytearray(), array.array("h"), np.zeros(0, np.int16)])
def test_empty_buffers(empty):
    assert kernels.frontend_apply(make_state(), empty, bytearray()) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.frontend_init(b"abc", PRIOR), "init: argument 1 must be a writable buffer, got bytes"),
        (lambda: kernels.frontend_init(bytearray(8), 3), "init: argument 2 must be a readable buffer, got int"),
        (lambda: kernels.frontend_steps(make_state(), "x"), "frontend_steps: argument 2 must be an integer, got str"),
        (lambda: kernels.frontend_steps(make_state(), 1.5), "frontend_steps: argument 2 must be an integer, got float"),
        (lambda: kernels.frontend_steps(make_state(), 2**31), "frontend_steps: argument 2 must be an integer, got int"),
        (lambda: kernels.frontend_init(np.zeros((9, 9))[:, ::2], PRIOR), "argument 1 must be a writable buffer"),
        (lambda: kernels.frontend_init(bytearray(8)), "frontend_init"),
        (lambda: kernels.frontend_size(1), "frontend_size"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no_such_method"):
        _ = kernels.no_such_method
    with pytest.raises(AttributeError, match="no_such_method"):
        binding.function("no_such_method")


def test_method_missing_from_the_library(tmp_path):
    """A library without one kernel still serves the others, and says what it lacks when asked."""
    command = ["gcc", "-shared", "-fPIC", *(f"-I{folder}" for folder in build.INCLUDES), "-o", "few.so"]
    kernels_of_one = [build.FIRMWARE / "bindings/api_log_softmax.c", *(build.FIRMWARE / "kernels").glob("st_log*.c")]
    tables = build.FIRMWARE / "kernels/st_tables.c"
    subprocess.run([*command, *map(str, kernels_of_one), str(tables)], cwd=tmp_path, check=True)
    code = (
        "from stapes_tools import kernels\n"
        "assert kernels.log_softmax(b'', bytes(1024), bytearray()) == 0\n"
        "try:\n    kernels.frontend_size()\n"
        "except AttributeError as error:\n    print(error)\n"
    )
    environment = {binding.LIBRARY_VARIABLE: str(tmp_path / "few.so")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "lacks the method 'frontend_size'" in done.stdout


def test_install_registers_the_module():
    module = kernels.install()
    import stapes_kernels

    assert stapes_kernels is module is kernels.install()
    assert stapes_kernels.frontend_size() == kernels.frontend_size()


def test_fresh_library_is_not_built_again():
    before = build.build_host().stat()
    after = build.build_host().stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.fixture
def small_tree(tmp_path, monkeypatch):
    """A source tree of one kernel, whose library is built in tmp_path."""
    source = tmp_path / "one.c"
    source.write_text("int one(void);\nint one(void) { return 1; }\n")
    monkeypatch.setattr(build, "OUTPUT", tmp_path / "out")
    monkeypatch.setattr(build, "sources", lambda: [source])
    return source


def test_changed_source_is_built_again(small_tree):
    first = build.build_host().read_bytes()
    small_tree.write_text(small_tree.read_text().replace("return 1", "return 2"))
    assert build.build_host().read_bytes() != first


def test_two_builds_at_once(small_tree):
    with ThreadPoolExecutor(2) as pool:
        libraries = list(pool.map(lambda _: build.build_host(), range(4)))
    assert len(set(libraries)) == 1
    assert sorted(path.name for path in libraries[0].parent.iterdir()) == ["libstapes_kernels.so"]


def test_refused_source_is_reported(small_tree):
    small_tree.write_text("int one(void) { return x; }\n")
    with pytest.raises(build.BuildError, match="undeclared"):
        build.build_host()


def test_missing_compiler_is_reported(small_tree, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(build.BuildError, match=r"no-such-compiler.*install gcc"):
        build.build_host()


def test_every_implementation_has_every_method(reference):
    assert sorted(reference.__all__) == sorted(kernels.METHODS)
    for name in kernels.METHODS:
        assert callable(getattr(reference, name)) and callable(getattr(kernels, name))
