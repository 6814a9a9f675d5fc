# SPDX-License-Identifier: Apache-2.0
"""The call: sessions, playout and statistics without I/O, and thin aiortc shells around them.

Read ``sending.py`` and ``receiving.py`` for the protocol, ``peer.py`` for how it meets aiortc,
``relay.py`` for how the wire is measured. Only ``peer.py`` imports aiortc, and only when a
connection is made.
"""
