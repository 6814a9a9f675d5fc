# SPDX-License-Identifier: Apache-2.0
"""The command line: composition root of the project. Commands import lazily."""
