#!/bin/sh
# Makes the bundled prompts (Opus in Ogg files) with espeak-ng, sox and opusenc. Run from this folder.
set -eu

say() { # language name text
    mkdir -p "$1"
    espeak-ng -v "$1" -s 150 -w "$1/$2.tmp.wav" "$3"
    # A quarter of a second of silence in front: the first frames of a fresh connection are often lost.
    sox "$1/$2.tmp.wav" -D -r 16000 -c 1 -b 16 "$1/$2.wav" norm -3 pad 0.25 0.25
    # A serial number of its own each, and no tags: the same texts make the same files.
    opusenc --quiet --bitrate 24 --speech --serial 1 --discard-comments --padding 0 "$1/$2.wav" "$1/$2.opus"
    rm "$1/$2.tmp.wav" "$1/$2.wav"
}

say en no_destination "We are sorry, nobody can take your call at the moment. Please try again later."
say es no_destination "Lo sentimos, en este momento nadie puede atender su llamada. Inténtelo de nuevo más tarde."
say fr no_destination "Nous sommes désolés, personne ne peut répondre à votre appel pour le moment. Veuillez réessayer plus tard."
say de no_destination "Leider kann Ihr Anruf im Moment nicht angenommen werden. Bitte versuchen Sie es später noch einmal."
say it no_destination "Siamo spiacenti, al momento nessuno può rispondere alla sua chiamata. La preghiamo di riprovare più tardi."
say pt no_destination "Lamentamos, neste momento ninguém pode atender a sua chamada. Por favor, tente novamente mais tarde."

say en closed "We are closed at the moment. Please call again during our opening hours."
say es closed "En este momento estamos cerrados. Vuelva a llamar en nuestro horario de atención."
say fr closed "Nous sommes fermés pour le moment. Veuillez rappeler pendant nos heures d'ouverture."
say de closed "Wir haben im Moment geschlossen. Bitte rufen Sie während unserer Öffnungszeiten wieder an."
say it closed "In questo momento siamo chiusi. La preghiamo di richiamare durante l'orario di apertura."
say pt closed "Neste momento estamos fechados. Por favor, volte a ligar durante o nosso horário de atendimento."

say en please_wait "One moment, please. Stay on the line."
say es please_wait "Un momento, por favor. Manténgase a la espera."
say fr please_wait "Un instant, s'il vous plaît. Restez en ligne."
say de please_wait "Einen Moment, bitte. Bleiben Sie am Apparat."
say it please_wait "Un momento, per favore. Resti in linea."
say pt please_wait "Um momento, por favor. Mantenha-se em linha."

say en call_failed "Your call could not be connected. Please try again later."
say es call_failed "No se ha podido establecer la llamada. Inténtelo de nuevo más tarde."
say fr call_failed "Votre appel n'a pas pu aboutir. Veuillez réessayer plus tard."
say de call_failed "Ihr Anruf konnte nicht verbunden werden. Bitte versuchen Sie es später noch einmal."
say it call_failed "Non è stato possibile inoltrare la chiamata. La preghiamo di riprovare più tardi."
say pt call_failed "Não foi possível estabelecer a chamada. Por favor, tente novamente mais tarde."

say en goodbye "Thank you for your call. Goodbye."
say es goodbye "Gracias por su llamada. Hasta pronto."
say fr goodbye "Merci de votre appel. Au revoir."
say de goodbye "Vielen Dank für Ihren Anruf. Auf Wiederhören."
say it goodbye "Grazie per aver chiamato. Arrivederci."
say pt goodbye "Obrigado pela sua chamada. Até breve."
