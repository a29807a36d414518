#!/bin/sh
# Makes the bundled hold music (an Opus in Ogg file) with sox and opusenc, out of nothing but plucked strings and sines:
# four chords of eight quavers each, twice. Run from this folder.
set -eu

QUAVER=0.3
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

bar() { # name bass notes...: the notes one after another, each ringing on for two seconds, over a soft bass
    name=$1 bass=$2
    shift 2
    at=0 mix=
    for note; do
        sox -n -D -r 16000 -c 1 -b 16 "$work/$at.wav" synth 2 pluck "$note" fade t 0.005 2 1.5 gain -8 \
            pad "$(echo "$at * $QUAVER" | bc)"
        mix="$mix $work/$at.wav"
        at=$((at + 1))
    done
    sox -n -D -r 16000 -c 1 -b 16 "$work/bass.wav" synth 2.9 sine "$bass" fade t 0.2 2.9 1 gain -16
    # shellcheck disable=SC2086
    sox -m -v 1 $(echo "$mix" | sed 's/^ //; s/ / -v 1 /g') -v 1 "$work/bass.wav" -D "$work/$name.bar.wav"
}

bar 0 C3 C4 E4 G4 B4 C5 B4 G4 E4
bar 1 A2 A3 C4 E4 G4 A4 G4 E4 C4
bar 2 F2 F3 A3 C4 E4 F4 E4 C4 A3
bar 3 G2 G3 B3 D4 E4 G4 E4 D4 B3

# Three times through, of which the middle is taken: what rings on at its end is what is heard at its beginning.
mix=
for n in $(seq 0 23); do
    sox "$work/$((n % 4)).bar.wav" -D "$work/$n.part.wav" pad "$(echo "$n * 8 * $QUAVER" | bc)"
    mix="$mix -v 1 $work/$n.part.wav"
done
# shellcheck disable=SC2086
sox -m $mix -D "$work/all.wav" reverb 25 lowpass 3400
sox "$work/all.wav" -D "$work/music.wav" trim 19.2 19.2 norm -13
opusenc --quiet --bitrate 24 --music --serial 1 --discard-comments --padding 0 "$work/music.wav" en/hold_music.opus
