# SPDX-License-Identifier: Apache-2.0
"""Integer frequency tables and the range coder that uses them.

Only integers decide a symbol: see ``talkcodec/bitstream/FORMAT.md``, sections 3 and 4.
"""

from talkcodec.entropy.build import build_table, laplace_table
from talkcodec.entropy.coder import RangeDecoder, RangeEncoder
from talkcodec.entropy.table import PRECISION, FrequencyTable
from talkcodec.entropy.tableset import QUANTISERS, TableSet

__all__ = [
    "PRECISION",
    "QUANTISERS",
    "FrequencyTable",
    "RangeDecoder",
    "RangeEncoder",
    "TableSet",
    "build_table",
    "laplace_table",
]
