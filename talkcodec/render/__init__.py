# SPDX-License-Identifier: Apache-2.0
"""Motion states to pictures: flow, layer, patches; and what the sender measures of it."""
