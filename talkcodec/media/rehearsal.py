# SPDX-License-Identifier: Apache-2.0
"""First runs, before a call's clock starts: what they cost would delay its first seconds.

A receiver's networks take half a second of a core to load (0.69 s the first in a process), which
would fall between the stream's header and the first picture. Coding and decoding a first key
picture takes 0.33 s, a second one 0.20. All of it is done here, with the package's own portrait.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from talkcodec.errors import MissingDependency
from talkcodec.face import FaceTracker
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.fit import fit_identity, fit_state, neutral_shape
from talkcodec.reference.codec import CodecId, open_decoder, open_encoder
from talkcodec.render.geometric import ReferenceView, Target
from talkcodec.render.renderer import Renderer
from talkcodec.types import CANVAS
from talkcodec.weights import shape_model


def rehearse_tracker(tracker: FaceTracker) -> None:
    """Let ``tracker`` see the portrait, and forget it."""
    tracker.track(portrait_picture(), 0.0)
    tracker.reset()


@cache
def rehearse_pictures(codec: CodecId, side: int = CANVAS) -> None:
    """Code and decode one key picture, once in a process; without the packages, do nothing."""
    picture = np.ascontiguousarray(portrait_picture(side))
    try:
        encoder, decoder = open_encoder(codec, side), open_decoder(codec, side)
    except MissingDependency:
        return
    decoder.decode(encoder.encode(picture, key=True).data, key=True)
    encoder.close()


def rehearse_renderer(renderer: Renderer, side: int = CANVAS) -> None:
    """Let ``renderer`` draw the portrait, which it forgets with its next picture."""
    model, points = shape_model(), Track.load().portrait
    neutral = neutral_shape(model, fit_identity(model, points))
    state = fit_state(model, neutral, points)
    view = ReferenceView.make(portrait_picture(side), state, neutral, model)
    renderer.render(Target.make(state, neutral, model), view, [view])
