# SPDX-License-Identifier: Apache-2.0
"""Speed and rate-distortion runs: classical codecs and ours behind the same interface."""
