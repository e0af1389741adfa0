"""Boards and images for the tests of this folder, built once and shared."""

import os
import subprocess
import sys
from pathlib import Path

import driver
import pytest
import report
from stapes_tools.device.firmware import build_firmware
from stapes_tools.device.natmod import host_arch, install_natmod

_MICROPYTHON = Path(sys.executable).with_name("micropython")

_BOTH = ("unix", "emulator")
_PROPERTY, _ABOUT = "hil", "hil about"


def pytest_addoption(parser):
    group = parser.getgroup("hardware in the loop")
    group.addoption("--board", help='"unix", "emulator" or the serial port of a real board; default: both of the first')
    group.addoption("--speaker", action="store_true", help="play recordings to the board's microphone")
    group.addoption("--hil-report", metavar="FILE", type=Path, help="write what came out, with figures, as Markdown")


def _option(config, name):
    return config.getoption(name, default=None)


def pytest_generate_tests(metafunc):
    """One set of tests, on each device."""
    if "device" in metafunc.fixturenames:
        chosen = _option(metafunc.config, "--board")
        marks = {
            "unix": [pytest.mark.unix],
            "emulator": [pytest.mark.emulator, pytest.mark.xdist_group("hil-emulator")],
        }
        kinds = [pytest.param(kind, marks=marks.get(kind, [])) for kind in ([chosen] if chosen else _BOTH)]
        metafunc.parametrize("device", kinds, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(config, items):
    """Some checks are slow on the emulated board alone; with --board only what runs on a device is left."""
    for item in items:
        on = getattr(item, "callspec", None) and item.callspec.params.get("device")
        if on == "emulator" and item.get_closest_marker("slow_on_emulator"):
            item.add_marker(pytest.mark.slow)
    if _option(config, "--board"):
        left = [item for item in items if "device" in item.fixturenames]
        config.hook.pytest_deselected(items=[item for item in items if item not in left])
        items[:] = left


@pytest.fixture(scope="session")
def device(request):
    """The device under test; how it was left by the test before is not known."""
    found = driver.open_device(request.param)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _figures(request):
    """What runs on a device, or asks for figures, is a check of the report."""
    if {"device", "figure"} & set(request.fixturenames):
        figures = []
        request.node.user_properties.append((_PROPERTY, figures))
        return figures
    return None


@pytest.fixture
def figure(_figures):
    """A function (title, value, unit) that notes a figure for the report."""
    return lambda title, value, unit="": _figures.append((title, value, unit))


@pytest.fixture
def note_about(request):
    """A function that notes what the device says of itself."""
    return lambda about: request.node.user_properties.append((_ABOUT, about))


_checks, _about = [], {}


def pytest_runtest_logreport(report):
    """Collect the checks as they end, wherever they ran."""
    properties = dict(report.user_properties)
    if _PROPERTY in properties and (report.when == "call" or report.outcome != "passed"):
        _checks.append((report.nodeid.partition("/hil/")[2], report.outcome, properties[_PROPERTY]))
        _about.update(properties.get(_ABOUT, {}))


def pytest_sessionfinish(session):
    """Write the report."""
    path = _option(session.config, "--hil-report")
    if path and not hasattr(session.config, "workerinput"):
        path.write_text(report.markdown(_option(session.config, "--board") or "unix, emulator", _about, _checks))


@pytest.fixture(scope="session")
def image():
    """The firmware image of the RP2040."""
    return build_firmware("rp2040_pico")


@pytest.fixture(scope="session")
def golden_files():
    """See driver.golden_files."""
    files = driver.golden_files()
    assert len(files) > 6
    return files


@pytest.fixture(scope="session")
def run_unix(tmp_path_factory):
    """A function that runs a program on the unix port with the native module as k, and returns its output."""
    assert host_arch() == "x64"
    folder = install_natmod("x64", tmp_path_factory.mktemp("unix")).parent
    environment = {**os.environ, "MICROPYPATH": f"{folder}:.frozen"}

    def run(program):
        command = [_MICROPYTHON, "-c", "import stapes_kernels as k\n" + program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
