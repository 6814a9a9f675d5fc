# SPDX-License-Identifier: Apache-2.0
"""Scenes that a face codec cannot draw, staged over clips, and how soon the encoder notices.

``python -m training.failures --data ../shared/data --out failures.json``. Thresholds of
``talkcodec.modes`` are chosen on the train split and figures come from val; RESULTS-failures.md
tells where val was looked at before.
"""
