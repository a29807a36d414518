"""PESQ scores for `trunkline-loadtest sound`.

Reads lines `RATE SAID HEARD` (files of 16-bit little-endian mono PCM) and answers each with a score: P.862 at 8000 Hz,
P.862.2 at 16000. Needs `pip install pesq==0.0.4 numpy` (MIT; pesq builds from source with a C compiler).
"""
import sys

import numpy
from pesq import pesq

for line in sys.stdin:
    rate, said, heard = line.split()
    pcm = [numpy.fromfile(name, dtype="<i2") for name in (said, heard)]
    print(pesq(int(rate), *pcm, "nb" if rate == "8000" else "wb"), flush=True)
