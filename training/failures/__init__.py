# SPDX-License-Identifier: Apache-2.0
"""Scenes that a face codec cannot draw, staged over clips, and how soon the encoder notices.

``python -m training.failures --data ../shared/data --out failures.json``. Thresholds of
``talkcodec.modes`` were chosen on the train split; val clips are for the figures alone.
"""
