# SPDX-License-Identifier: Apache-2.0
"""The networks as ``nn.Module``s, and nothing else. The only live-path-free home of torch."""
