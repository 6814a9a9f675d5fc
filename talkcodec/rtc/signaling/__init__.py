# SPDX-License-Identifier: Apache-2.0
"""How the two ends of a call find each other and exchange session descriptions.

``protocol.py`` says what is exchanged and what a way of exchanging it must do. The ways:
``paste.py`` (people carry one line each), ``room.py`` (a rendezvous server, which ``server.py``
is), ``whip.py`` (one HTTP POST). ``meeting.py`` makes the connection over any of them, and
makes it again when it is lost.
"""
