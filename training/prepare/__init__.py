# SPDX-License-Identifier: Apache-2.0
"""From a folder of videos to shards of labelled face crops: ``talkcodec train prepare``.

Three stages (``job``), the first and the last of which may run on many processes or machines
(``executors``, ``ray_data``):

1. every video by itself (``clip``): find its passages, cut a still square window around head and
   shoulders, label every frame with the teacher, judge the quality. Leaves a folder of files and,
   last, a record of what was kept and what was refused.
2. over all records (``plan``): leave out what is there twice and share the rest out over shards.
3. every shard by itself (``shards``): tar files that ``webdataset`` streams, then ``index.json``
   and a page to look at (``summary``).

Nothing depends on who did what when: interrupted and run again, the shards are the same bytes.
Reading them back is ``read_index`` and ``read_passages``, or ``talkcodec train store``
(``to_store``). The user's guide is ``training/DATA.md``.
"""

from training.prepare.reading import Passage, read_index, read_passages

__all__ = ["Passage", "read_index", "read_passages"]
