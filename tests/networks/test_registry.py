import subprocess
import sys

import pytest

from medmamba.errors import ConfigError
from medmamba.networks import create, infos, names


def test_unknown_names_and_arguments_are_one_sentence():
    with pytest.raises(ConfigError, match=r"no network 'unet'.*umamba-bot"):
        create("unet", input_channels=1, num_classes=2)
    with pytest.raises(ConfigError, match=r"umamba-bot cannot be built.*colour"):
        create("umamba-bot", input_channels=1, num_classes=2, colour="red")


def test_listing_needs_no_torch():
    code = "import sys, medmamba.networks as n; n.infos(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert len(names()) == len(infos()) == 7
