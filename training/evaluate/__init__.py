# SPDX-License-Identifier: Apache-2.0
"""What a face tracker is worth, beside the teacher: ``talkcodec train evaluate``.

``material`` has clips with the teacher's landmarks, ``conditions`` spoils them, ``landmarks``,
``still``, ``detection`` and ``speed`` measure, ``run`` does it all and ``report`` makes tables of
the JSON. Trackers run as in a call: in order, from the first frame, one face followed.
"""
