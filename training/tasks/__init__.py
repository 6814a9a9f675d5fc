# SPDX-License-Identifier: Apache-2.0
"""What can be trained: one module a task, and the samples that they draw."""
