"""The two implementations that must agree bit for bit."""

import pytest


@pytest.fixture(scope="session")
def native():
    """The C kernels, through the host binding."""
    from stapes_tools import kernels

    return kernels


@pytest.fixture(scope="session")
def reference():
    """The same in plain integer Python."""
    import stapes_reference

    return stapes_reference
