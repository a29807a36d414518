#!/bin/sh
# Makes the bundled prompts (8 kHz mono 16-bit WAV) with espeak-ng and sox. Run from this folder.
set -eu

say() { # language name text
    mkdir -p "$1"
    espeak-ng -v "$1" -s 150 -w "$1/$2.tmp.wav" "$3"
    # A quarter of a second of silence in front: the first frames of a fresh connection are often lost.
    sox "$1/$2.tmp.wav" -D -r 8000 -c 1 -b 16 "$1/$2.wav" norm -3 pad 0.25 0.25
    rm "$1/$2.tmp.wav"
}

say en no_destination "We are sorry, nobody can take your call at the moment. Please try again later."
say es no_destination "Lo sentimos, en este momento nadie puede atender su llamada. Inténtelo de nuevo más tarde."
say fr no_destination "Nous sommes désolés, personne ne peut répondre à votre appel pour le moment. Veuillez réessayer plus tard."
say de no_destination "Leider kann Ihr Anruf im Moment nicht angenommen werden. Bitte versuchen Sie es später noch einmal."
say it no_destination "Siamo spiacenti, al momento nessuno può rispondere alla sua chiamata. La preghiamo di riprovare più tardi."
say pt no_destination "Lamentamos, neste momento ninguém pode atender a sua chamada. Por favor, tente novamente mais tarde."
