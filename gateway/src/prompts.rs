//! Recordings by name and language: the bundled ones, and the operator's own over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use trunkline_media::audio::prompt::Prompt;
use trunkline_media::audio::tone::Tone;

/// Told to a visitor when there is nobody to call.
pub const NO_DESTINATION: &str = "no_destination";

/// Played to both sides when the longest call is nearly over: a tone, unless an operator has better to say.
pub const ENDING_SOON: &str = "ending_soon";
/// Heard by a leg that an operator holds.
pub const HOLD: &str = "hold";

/// Language of last resort.
const FALLBACK: &str = "en";

/// Largest file read from `prompts_dir`: ten minutes of 48 kHz stereo are below it.
const LARGEST_FILE: u64 = 128 * 1024 * 1024;
/// Most files read from `prompts_dir`.
const MOST_FILES: usize = 1_000;

/// Rate of the tone that is heard on hold.
const HOLD_RATE: u32 = 8_000;

macro_rules! bundled {
    ($($lang:literal / $name:literal),+ $(,)?) => {
        [$(($lang, $name, include_bytes!(concat!("../prompts/", $lang, "/", $name, ".wav")).as_slice())),+]
    };
}

const BUNDLED: [(&str, &str, &[u8]); 6] = bundled![
    "en" / "no_destination",
    "es" / "no_destination",
    "fr" / "no_destination",
    "de" / "no_destination",
    "it" / "no_destination",
    "pt" / "no_destination",
];

/// All prompts; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Prompts {
    /// By language (lower case), then name.
    by_language: Arc<BTreeMap<String, BTreeMap<String, Arc<Prompt>>>>,
}

impl Prompts {
    /// No prompts at all: whoever asks goes on without.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the bundled prompts, then `<dir>/<language>/<name>.wav` over them. A file that cannot be used is skipped
    /// with a warning: a bad recording keeps no gateway from starting.
    #[must_use]
    pub fn load(dir: Option<&Path>) -> Self {
        let mut all = BTreeMap::new();
        for (lang, name, bytes) in BUNDLED {
            insert(&mut all, lang, name, bytes);
        }
        if let Some(tone) = tone() {
            all.entry(FALLBACK.to_owned()).or_default().insert(ENDING_SOON.to_owned(), Arc::new(tone));
        }
        if let Some(hold) = hold_tone() {
            all.entry(FALLBACK.to_owned()).or_default().insert(HOLD.to_owned(), Arc::new(hold));
        }
        if let Some(dir) = dir {
            load_dir(&mut all, dir);
        }
        Self { by_language: Arc::new(all) }
    }

    /// The prompt in this language (BCP 47), else in its base language, else in English.
    #[must_use]
    pub fn get(&self, name: &str, lang: &str) -> Option<Arc<Prompt>> {
        let lang = lang.to_ascii_lowercase().replace('_', "-");
        let base = lang.split('-').next().unwrap_or(FALLBACK);
        [lang.as_str(), base, FALLBACK].into_iter().find_map(|l| self.by_language.get(l)?.get(name)).cloned()
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

type ByLanguage = BTreeMap<String, BTreeMap<String, Arc<Prompt>>>;

fn insert(all: &mut ByLanguage, lang: &str, name: &str, bytes: &[u8]) {
    match Prompt::from_wav(bytes) {
        Ok(prompt) => {
            all.entry(lang.to_ascii_lowercase()).or_default().insert(name.to_owned(), Arc::new(prompt));
        }
        Err(error) => tracing::warn!(lang, name, %error, "prompt skipped"),
    }
}

fn load_dir(all: &mut ByLanguage, dir: &Path) {
    let mut left = MOST_FILES;
    for language in entries(dir) {
        let Some(lang) = language.file_name().and_then(|n| n.to_str()).filter(|_| language.is_dir()) else { continue };
        for file in entries(&language) {
            let name =
                file.file_stem().and_then(|n| n.to_str()).filter(|_| file.extension().is_some_and(|e| e == "wav"));
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
    fn an_operators_file_wins_and_a_broken_one_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        for (lang, bytes) in [("en", BUNDLED[1].2), ("fr", b"not a recording".as_slice())] {
            std::fs::create_dir(dir.path().join(lang)).unwrap();
            std::fs::write(dir.path().join(lang).join("no_destination.wav"), bytes).unwrap();
        }
        let (own, bundled) = (Prompts::load(Some(dir.path())), Prompts::load(None));
        assert_eq!(own.get(NO_DESTINATION, "en"), bundled.get(NO_DESTINATION, "es"));
        assert_eq!(own.get(NO_DESTINATION, "fr"), bundled.get(NO_DESTINATION, "fr"));
    }
}
