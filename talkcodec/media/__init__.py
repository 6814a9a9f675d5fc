# SPDX-License-Identifier: Apache-2.0
"""Where frames come from and go to: files through PyAV, cameras, and a built-in portrait."""
