"""What tests of several files share."""

import pytest
from stapes_tools.evaluate.loop import compiled_loop


@pytest.fixture(scope="module")
def small_loop(tmp_path_factory):
    """Evaluation searches a loop of 100 words, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAPES_CACHE", str(tmp_path_factory.mktemp("cache")))
        loop = compiled_loop(100)
        patch.setattr("stapes_tools.evaluate.run.compiled_loop", lambda: loop)
        yield loop
