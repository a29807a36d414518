use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::audio::tone::{Tone, detect};

/// Appendix II, input of the second test sequence (T1C2): both bands get the same, and it overflows whatever can.
fn overflowing() -> Vec<i32> {
    let (least, most) = (-16_384, 16_383);
    let mut samples: Vec<i32> = (0..638).map(|n| if n % 2 == 0 { least } else { most }).collect();
    samples.extend([least, 0, -10_000, -8_192]);
    samples.extend((0..126).map(|n| if n % 3 == 1 { most } else { least }));
    samples
}

fn digest(octets: impl IntoIterator<Item = u8>) -> String {
    let octets: Vec<u8> = octets.into_iter().collect();
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// As the sequences have them: 16 bits, the last of which is no part of the sample.
fn words(samples: impl Iterator<Item = i32>) -> impl Iterator<Item = u8> {
    samples.flat_map(|sample| ((sample << 1) as i16).to_be_bytes())
}

#[test]
fn sub_bands_are_coded_as_the_itus_test_sequence_has_it() {
    let (mut low, mut high) = (Low::default(), High::default());
    let codes: Vec<u8> = overflowing().iter().map(|&sample| high.encode(sample) << 6 | low.encode(sample)).collect();
    assert_eq!(codes.len(), 768);
    // T2R2.COD, without the resets around it.
    assert_eq!(digest(codes.iter().copied()), "0f92b28fedcb1ff86c25703d6629129de1954bb094be631b53d5922b6801ce6d");
    let (mut low, mut high) = (Low::default(), High::default());
    // T3L2.RC1 and T3H2.RC0.
    let heard = digest(words(codes.iter().map(|code| low.decode(code & 0x3f))));
    assert_eq!(heard, "5597ad43bad5d3715fa622ab556378ca3c49af286e677e0f6a340aa38cbb9dcf");
    let heard = digest(words(codes.iter().map(|code| high.decode(code >> 6))));
    assert_eq!(heard, "5fccdecf20fdace172512ed545c6000296e90bb2114480e05fa7ddaa23630bee");
}

#[test]
fn speech_is_coded_bit_by_bit_as_by_another_implementation() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data");
    let table = std::fs::read_to_string(format!("{data}/g722/DIGESTS.tsv")).unwrap();
    let mut rows = 0;
    for row in table.lines().skip(1) {
        let [name, coded, heard] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let mut file = hound::WavReader::open(format!("{data}/speech/{name}")).unwrap();
        let pcm: Vec<i16> = file.samples().map(Result::unwrap).collect();
        let (mut payload, mut back) = (Vec::new(), Vec::new());
        G722Encoder::default().encode(&pcm, &mut payload);
        assert_eq!(payload.len(), pcm.len() / 2);
        G722Decoder::default().decode(&payload, &mut back);
        assert_eq!(digest(payload), coded, "{name}, coded");
        assert_eq!(digest(back.iter().flat_map(|sample| sample.to_le_bytes())), heard, "{name}, decoded");
        rows += 1;
    }
    assert_eq!(rows, 2);
}

#[test]
fn tones_of_either_band_keep_their_level() {
    for hz in [300.0, 1_000.0, 3_000.0, 5_000.0, 6_500.0] {
        let (mut payload, mut pcm) = (Vec::new(), Vec::new());
        G722Encoder::default().encode(&Tone::new(hz, RATE, -15.0).take(16_000), &mut payload);
        G722Decoder::default().decode(&payload, &mut pcm);
        let level = detect(&pcm[1_600..], RATE, hz);
        assert!((level + 15.0).abs() < 1.0, "{hz} Hz: {level}");
    }
}

#[test]
fn what_is_too_loud_is_clipped_and_never_turned_over() {
    let loud: Vec<i16> = (0..8_000).map(|n| if n / 9 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
    let (mut payload, mut pcm) = (Vec::new(), Vec::new());
    G722Encoder::default().encode(&loud, &mut payload);
    G722Decoder::default().decode(&payload, &mut pcm);
    // The filters' delay is 22 samples.
    let same = loud.iter().zip(&pcm[22..]).skip(2_000).filter(|(a, b)| (**a < 0) == (**b < 0)).count();
    assert!(same > 5_400, "{same} of {}", loud.len() - 2_022);
}

proptest! {
    #[test]
    fn nothing_overflows(octets in prop::collection::vec(any::<u8>(), 1..1500), pcm in prop::collection::vec(any::<i16>(), 1..3000)) {
        let (mut payload, mut back) = (Vec::new(), Vec::new());
        G722Encoder::default().encode(&pcm, &mut payload);
        G722Decoder::default().decode(&payload, &mut back);
        prop_assert_eq!((payload.len(), back.len()), (pcm.len() / 2, pcm.len() / 2 * 2));
        let mut decoder = G722Decoder::default();
        decoder.decode(&octets, &mut back);
        decoder.decode(&payload, &mut back);
    }
}
