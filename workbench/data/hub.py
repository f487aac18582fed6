"""Whether the Hugging Face hub can be reached, found out in seconds and not in half a minute."""

import os
import socket
import sys
from functools import cache
from urllib.parse import urlparse


@cache
def go_offline_if_unreachable() -> bool:
    """True without a network; from then on the hub's libraries look in their cache only.

    Left alone they retry five times, for half a minute, before they give up. ``HF_HUB_OFFLINE`` and
    ``HF_ENDPOINT`` are obeyed; behind a proxy nothing is probed, because only the proxy can tell.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return True
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return False
    address = urlparse(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), timeout=3).close()
    except OSError:
        _go_offline()
        return True
    return False


def _go_offline() -> None:
    from huggingface_hub import constants

    # The variable is read once, at import: in what is imported already it is set by hand.
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True
    if "datasets" in sys.modules:
        sys.modules["datasets"].config.HF_HUB_OFFLINE = True
