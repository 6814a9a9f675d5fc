# SPDX-License-Identifier: Apache-2.0
"""Landmarks to motion states and back: fit, smooth, quantise, expand."""
