import shutil

import pytest

from tests.browser.lab import Lab
from tests.conftest import in_ci


# Playwright leaves an event loop running in this thread: tests of other folders must not meet it.
@pytest.fixture(scope="package")
def jupyter(tmp_path_factory):
    """A JupyterLab in Chromium that all browser tests share."""
    if not shutil.which("chromium"):
        message = "no chromium: install the package 'chromium' of your system"
        (pytest.fail if in_ci() else pytest.skip)(message)
    with Lab.start(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(jupyter):
    """JupyterLab; the test fails on an error in the console or on a request to elsewhere."""
    jupyter.messages.clear()
    jupyter.requests.clear()
    yield jupyter
    complaints = jupyter.complaints()
    for page in jupyter.context.pages:
        page.close()
    jupyter.end_kernels()
    assert complaints == []
