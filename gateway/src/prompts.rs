//! Recordings by name and language: the bundled ones, and the operator's own over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use trunkline_config::HoldAudio;
use trunkline_media::audio::prompt::Prompt;
use trunkline_media::audio::tone::Tone;

/// Told to a visitor when there is nobody to call.
pub const NO_DESTINATION: &str = "no_destination";
/// Told to a visitor when nobody could be reached, where the trunk wants it.
pub const CALL_FAILED: &str = "call_failed";
/// Told to an agent while the visitor's browser is away.
pub const PLEASE_WAIT: &str = "please_wait";
/// Played to both sides when the longest call is nearly over: a tone, unless an operator has better to say.
pub const ENDING_SOON: &str = "ending_soon";
/// Heard by a leg that an operator holds.
pub const HOLD: &str = "hold";
/// A piece of music for that.
pub const HOLD_MUSIC: &str = "hold_music";

/// Language of last resort.
const FALLBACK: &str = "en";

/// Largest file read from `prompts_dir`: ten minutes of 48 kHz stereo are below it.
const LARGEST_FILE: u64 = 128 * 1024 * 1024;
/// Most files read from `prompts_dir`.
const MOST_FILES: usize = 1_000;
/// What files of `prompts_dir` end with.
const ENDINGS: [&str; 3] = ["opus", "ogg", "wav"];

/// Rate of the tone that is heard on hold.
const HOLD_RATE: u32 = 8_000;

macro_rules! bundled {
    ($($lang:literal),+ $(,)?) => {
        [$(
            ($lang, NO_DESTINATION, include_bytes!(concat!("../prompts/", $lang, "/no_destination.opus")).as_slice()),
            ($lang, CALL_FAILED, include_bytes!(concat!("../prompts/", $lang, "/call_failed.opus")).as_slice()),
            ($lang, PLEASE_WAIT, include_bytes!(concat!("../prompts/", $lang, "/please_wait.opus")).as_slice()),
            ($lang, "closed", include_bytes!(concat!("../prompts/", $lang, "/closed.opus")).as_slice()),
            ($lang, "goodbye", include_bytes!(concat!("../prompts/", $lang, "/goodbye.opus")).as_slice()),
        )+]
    };
}

const BUNDLED: [(&str, &str, &[u8]); 30] = bundled!["en", "es", "fr", "de", "it", "pt"];
const MUSIC: &[u8] = include_bytes!("../prompts/en/hold_music.opus");

/// All prompts; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Prompts {
    /// By language (lower case), then name.
    by_language: Arc<ByLanguage>,
}

type ByLanguage = BTreeMap<String, BTreeMap<String, Arc<Recording>>>;

#[derive(Debug)]
enum Recording {
    /// In memory.
    Ready(Arc<Prompt>),
    /// Decoded when it is wanted first: of what is bundled, a gateway plays little.
    Bundled(&'static [u8], OnceLock<Option<Arc<Prompt>>>),
}

impl Recording {
    fn prompt(&self) -> Option<Arc<Prompt>> {
        match self {
            Self::Ready(prompt) => Some(Arc::clone(prompt)),
            Self::Bundled(file, prompt) => prompt.get_or_init(|| Prompt::from_file(file).ok().map(Arc::new)).clone(),
        }
    }
}

impl Prompts {
    /// No prompts at all: whoever asks goes on without.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes the bundled prompts, then `<dir>/<language>/<name>.wav`, `.opus` or `.ogg` over them. A file that cannot be used
    /// is skipped with a warning: a bad recording keeps no gateway from starting.
    #[must_use]
    pub fn load(dir: Option<&Path>) -> Self {
        let mut all = ByLanguage::new();
        for (lang, name, file) in BUNDLED.into_iter().chain([(FALLBACK, HOLD_MUSIC, MUSIC)]) {
            let recording = Arc::new(Recording::Bundled(file, OnceLock::new()));
            all.entry(lang.to_owned()).or_default().insert(name.to_owned(), recording);
        }
        for (name, sound) in [(ENDING_SOON, tone()), (HOLD, hold_tone())] {
            if let Some(sound) = sound {
                let recording = Arc::new(Recording::Ready(Arc::new(sound)));
                all.entry(FALLBACK.to_owned()).or_default().insert(name.to_owned(), recording);
            }
        }
        if let Some(dir) = dir {
            load_dir(&mut all, dir);
        }
        Self { by_language: Arc::new(all) }
    }

    /// The same, with what legs on hold hear under the name of that.
    #[must_use]
    pub fn on_hold(self, audio: HoldAudio) -> Self {
        let mut all = Arc::unwrap_or_clone(self.by_language);
        for named in all.values_mut() {
            let own = named.remove(HOLD);
            let heard = match audio {
                HoldAudio::Prompt => own,
                HoldAudio::Music => named.get(HOLD_MUSIC).map(Arc::clone),
                HoldAudio::Noise => None,
            };
            named.extend(heard.map(|recording| (HOLD.to_owned(), recording)));
        }
        Self { by_language: Arc::new(all) }
    }

    /// The prompt in this language (BCP 47), else in its base language, else in English.
    #[must_use]
    pub fn get(&self, name: &str, lang: &str) -> Option<Arc<Prompt>> {
        let lang = lang.to_ascii_lowercase().replace('_', "-");
        let base = lang.split('-').next().unwrap_or(FALLBACK);
        [lang.as_str(), base, FALLBACK].into_iter().find_map(|l| self.by_language.get(l)?.get(name)?.prompt())
    }
}

/// Two short beeps, softer than speech: heard, and soon talked over again.
fn tone() -> Option<Prompt> {
    const RATE: u32 = 8_000;
    const BEEP: usize = 1_200;
    const PAUSE: usize = 800;
    let beep = || Tone::new(1_000.0, RATE, -20.0).take(BEEP);
    Prompt::from_pcm(RATE, [beep(), vec![0; PAUSE], beep()].concat()).ok()
}

/// Two soft beeps every five seconds: the line is not dead.
fn hold_tone() -> Option<Prompt> {
    let beep = Tone::new(425.0, HOLD_RATE, -32.0).take(HOLD_RATE as usize / 5);
    let pause = vec![0; HOLD_RATE as usize / 5];
    let mut samples = [beep.clone(), pause, beep].concat();
    samples.resize(HOLD_RATE as usize * 5, 0);
    Prompt::from_pcm(HOLD_RATE, samples).ok()
}

fn insert(all: &mut ByLanguage, lang: &str, name: &str, bytes: &[u8]) {
    match Prompt::from_file(bytes) {
        Ok(prompt) => {
            let recording = Arc::new(Recording::Ready(Arc::new(prompt)));
            all.entry(lang.to_ascii_lowercase()).or_default().insert(name.to_owned(), recording);
        }
        Err(error) => tracing::warn!(lang, name, %error, "prompt skipped"),
    }
}

fn load_dir(all: &mut ByLanguage, dir: &Path) {
    let mut left = MOST_FILES;
    for language in entries(dir) {
        let Some(lang) = language.file_name().and_then(|n| n.to_str()).filter(|_| language.is_dir()) else { continue };
        for file in entries(&language) {
            let is_ours = file.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e));
            let name = file.file_stem().and_then(|n| n.to_str()).filter(|_| is_ours);
            let Some(name) = name else { continue };
            if left == 0 {
                tracing::warn!(limit = MOST_FILES, "too many prompts, the rest is not read");
                return;
            }
            left -= 1;
            match std::fs::metadata(&file) {
                Ok(meta) if meta.len() > LARGEST_FILE => tracing::warn!(lang, name, "prompt too large, skipped"),
                Ok(_) => match std::fs::read(&file) {
                    Ok(bytes) => insert(all, lang, name, &bytes),
                    Err(error) => tracing::warn!(lang, name, %error, "prompt unreadable, skipped"),
                },
                Err(error) => tracing::warn!(lang, name, %error, "prompt unreadable, skipped"),
            }
        }
    }
}

/// A folder's entries in a fixed order; none if it cannot be read.
fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    match std::fs::read_dir(dir) {
        Ok(list) => {
            let mut paths: Vec<_> = list.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.sort();
            paths
        }
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "prompt folder unreadable");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use trunkline_media::audio::prompt::Player;
    use trunkline_media::audio::tone::level;

    use super::*;

    #[test]
    fn languages_fall_back_to_their_base_then_to_english() {
        let prompts = Prompts::load(None);
        let get = |lang| prompts.get(NO_DESTINATION, lang);
        assert_eq!(get("es-MX"), get("es"));
        assert_eq!(get("PT_br"), get("pt"));
        assert_eq!(get("xx"), get("en"));
        assert_ne!(get("es"), get("en"));
        assert!(get("").is_some());
        assert!(prompts.get("no such prompt", "en").is_none());
        assert!(Prompts::none().get(NO_DESTINATION, "en").is_none());
    }

    #[test]
    fn every_bundled_prompt_is_speech_in_its_own_language() {
        let prompts = Prompts::load(None);
        for name in [NO_DESTINATION, CALL_FAILED, PLEASE_WAIT, "closed", "goodbye"] {
            let spoken: Vec<_> =
                ["en", "es", "fr", "de", "it", "pt"].map(|lang| prompts.get(name, lang).unwrap()).into();
            for (at, prompt) in spoken.iter().enumerate() {
                assert!((1_500..10_000).contains(&prompt.duration_ms()), "{name}: {} ms", prompt.duration_ms());
                assert!(!spoken[..at].contains(prompt), "{name}: two languages are one");
                let mut pcm = vec![0; 8 * prompt.duration_ms() as usize];
                Player::new(Arc::clone(prompt), 8_000, false).fill(&mut pcm);
                assert!((-35.0..-10.0).contains(&level(&pcm)), "{name}: {} dBov", level(&pcm));
                assert!(level(&pcm[..1_600]) < -60.0, "{name} begins with a pause");
            }
        }
        let bytes: usize = BUNDLED.iter().map(|(_, _, file)| file.len()).sum();
        assert!(bytes < 500_000, "the bundled prompts are small: {bytes}");
    }

    #[test]
    fn an_operators_file_wins_and_a_broken_one_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let spanish = BUNDLED.iter().find(|row| row.0 == "es" && row.1 == NO_DESTINATION).unwrap().2;
        let write = |lang: &str, file: &str, bytes: &[u8]| {
            std::fs::create_dir_all(dir.path().join(lang)).unwrap();
            std::fs::write(dir.path().join(lang).join(file), bytes).unwrap();
        };
        write("en", "no_destination.opus", spanish);
        write("en", "welcome.ogg", spanish);
        write("en", "notes.txt", spanish);
        write("fr", "no_destination.wav", b"not a recording");
        write("fr", "closed.opus", b"OggS");
        let (own, bundled) = (Prompts::load(Some(dir.path())), Prompts::load(None));
        assert_eq!(own.get(NO_DESTINATION, "en"), bundled.get(NO_DESTINATION, "es"));
        assert_eq!(own.get("welcome", "de"), bundled.get(NO_DESTINATION, "es"));
        assert!(own.get("notes", "en").is_none());
        for name in [NO_DESTINATION, "closed"] {
            assert_eq!(own.get(name, "fr"), bundled.get(name, "fr"));
        }
    }

    #[test]
    fn hold_is_a_prompt_or_none() {
        assert!(Prompts::load(None).get(HOLD, "es").is_some());
        let without = Prompts::load(None).on_hold(HoldAudio::Noise);
        assert!(without.get(HOLD, "es").is_none() && without.get(ENDING_SOON, "es").is_some());
    }

    #[test]
    fn hold_music_is_bundled_and_begins_where_it_ends() {
        let plain = Prompts::load(None);
        let music = plain.get(HOLD_MUSIC, "es").unwrap();
        assert_ne!(plain.get(HOLD, "es"), Some(Arc::clone(&music)), "it is not heard unless it is wanted");
        assert_eq!(Prompts::load(None).on_hold(HoldAudio::Music).get(HOLD, "es"), Some(Arc::clone(&music)));
        assert!(music.duration_ms().abs_diff(19_200) < 5 && MUSIC.len() < 100_000, "{} ms", music.duration_ms());

        let mut pcm = vec![0; 8 * 40_000];
        Player::new(music, 8_000, true).fill(&mut pcm);
        let quavers: Vec<_> = pcm.chunks_exact(2_400).map(level).collect();
        assert!(quavers.iter().all(|level| (-32.0..-18.0).contains(level)), "softer than speech: {quavers:?}");
        let step = |pcm: &[i16]| pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max();
        assert!(step(&pcm[153_400..153_800]) <= step(&pcm[..150_000]), "no click where it begins again");
    }
}
