# SPDX-License-Identifier: Apache-2.0
"""Fetches the person mask's network once: ``make teacher-weights``.

    python -m training.prepare.fetch

npm brings the package, one file of it goes into the user's cache after its hash is checked.
Preparing itself never downloads anything.
"""

from __future__ import annotations

import sys

from talkcodec.errors import TalkcodecError
from talkcodec.metrics.fetch import fetch_npm
from training.prepare.mask import MODEL, mask_folder

NPM_PACKAGE = "@mediapipe/selfie_segmentation@0.1.1675465747"
SHA256 = {MODEL: "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27"}


def main() -> None:
    """Fetch it and say where it is, on standard error."""
    try:
        folder = fetch_npm(NPM_PACKAGE, "package", SHA256, mask_folder())
    except TalkcodecError as error:
        sys.exit(str(error))
    sys.stderr.write(f"person mask in {folder}\n")


if __name__ == "__main__":
    main()
