"""Exports are trained on: `make heavy`, which installs what that needs."""

import os

# Read once, when the libraries are imported: nothing here needs a network.
os.environ["HF_HUB_OFFLINE"] = "1"
