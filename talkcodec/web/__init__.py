# SPDX-License-Identifier: Apache-2.0
"""A call in a web page that the local program serves.

``server.py`` is the door and the wires to the page, ``messages.py`` what the page may say,
``stage.py`` camera, microphone, picture and sound, ``caller.py`` the calls.
"""
