#!/usr/bin/env python3
"""Makes DIGESTS.tsv: what SpanDSP (Debian: libspandsp2) makes of the recordings in ../speech, as SHA-256."""

import ctypes
import hashlib
import pathlib
import wave

HERE = pathlib.Path(__file__).parent
RATE = 64000  # bit/s; the options are 0: 16 kHz, an octet each for two samples

spandsp = ctypes.CDLL("libspandsp.so.2")
spandsp.g722_encode_init.restype = spandsp.g722_decode_init.restype = ctypes.c_void_p


def coded(pcm: bytes) -> bytes:
    state = ctypes.c_void_p(spandsp.g722_encode_init(None, RATE, 0))
    octets = ctypes.create_string_buffer(len(pcm) // 4)
    length = spandsp.g722_encode(state, octets, pcm, len(pcm) // 2)
    return octets.raw[:length]


def decoded(octets: bytes) -> bytes:
    state = ctypes.c_void_p(spandsp.g722_decode_init(None, RATE, 0))
    pcm = ctypes.create_string_buffer(len(octets) * 4)
    samples = spandsp.g722_decode(state, pcm, octets, len(octets))
    return pcm.raw[: 2 * samples]


rows = ["recording\tcoded\tdecoded"]
for name in ["en-woman-16k.wav", "it-man-16k.wav"]:
    recording = wave.open(str(HERE.parent / "speech" / name))
    octets = coded(recording.readframes(recording.getnframes()))
    rows.append("\t".join([name] + [hashlib.sha256(part).hexdigest() for part in (octets, decoded(octets))]))
(HERE / "DIGESTS.tsv").write_text("\n".join(rows) + "\n")
