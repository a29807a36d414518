//! eSpeak NG as a child process: no shell, the text on its standard input, a WAV file on its standard output.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use trunkline_media::audio::prompt::Prompt;

use super::{Speech, SpeechError};

/// From the wish to the recording, the wait for a turn included.
const LIMIT: Duration = Duration::from_secs(10);
/// Processes at once: each takes a core for some milliseconds a sentence.
const AT_ONCE: usize = 4;
/// Largest recording: the longest text, read slowly, is half of it.
const LARGEST: u64 = 16 * 1024 * 1024;
/// Words a minute; a telephone takes the edge off consonants.
const PACE: &str = "155";

/// Voices by BCP 47 tag, a base language after its regions. Only these words ever stand on the command line.
const VOICES: [(&str, &str); 46] = [
    ("en-us", "en-us"),
    ("en-gb", "en-gb"),
    ("en", "en"),
    ("es-es", "es"),
    ("es", "es-419"),
    ("pt-br", "pt-br"),
    ("pt", "pt"),
    ("fr", "fr-fr"),
    ("de", "de"),
    ("it", "it"),
    ("ar", "ar"),
    ("bg", "bg"),
    ("bn", "bn"),
    ("ca", "ca"),
    ("cs", "cs"),
    ("cy", "cy"),
    ("da", "da"),
    ("el", "el"),
    ("et", "et"),
    ("eu", "eu"),
    ("fa", "fa"),
    ("fi", "fi"),
    ("ga", "ga"),
    ("gl", "es"),
    ("he", "he"),
    ("hi", "hi"),
    ("hr", "hr"),
    ("hu", "hu"),
    ("id", "id"),
    ("is", "is"),
    ("ja", "ja"),
    ("ko", "ko"),
    ("lt", "lt"),
    ("lv", "lv"),
    ("ms", "ms"),
    ("nb", "nb"),
    ("nl", "nl"),
    ("pl", "pl"),
    ("ro", "ro"),
    ("ru", "ru"),
    ("sk", "sk"),
    ("sl", "sl"),
    ("sv", "sv"),
    ("tr", "tr"),
    ("uk", "uk"),
    ("zh", "cmn"),
];
const FALLBACK: &str = "en";

/// See the module.
#[derive(Debug, Clone)]
pub struct Espeak {
    program: PathBuf,
    turns: Arc<Semaphore>,
    limit: Duration,
}

impl Espeak {
    /// The program of this name or path, if it is there.
    #[must_use]
    pub fn find(program: &str) -> Option<Self> {
        let named = Path::new(program);
        let found = if named.components().count() > 1 {
            Some(named.to_owned()).filter(|path| path.is_file())
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(named)).find(|path| path.is_file())
        };
        Some(Self { program: found?, turns: Arc::new(Semaphore::new(AT_ONCE)), limit: LIMIT })
    }

    /// Gives up sooner.
    #[cfg(test)]
    fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl Speech for Espeak {
    fn say(&self, text: String, lang: String) -> BoxFuture<'static, Result<Arc<Prompt>, SpeechError>> {
        let Self { program, turns, limit } = self.clone();
        Box::pin(async move {
            let spoken = async {
                let _turn = turns.acquire().await.map_err(|_| SpeechError::Busy)?;
                speak(&program, &text, voice(&lang)).await
            };
            let waits = turns.available_permits() == 0;
            let late = if waits { SpeechError::Busy } else { SpeechError::TimedOut };
            tokio::time::timeout(limit, spoken).await.unwrap_or(Err(late))
        })
    }
}

/// The child is killed when this is dropped, at the time limit and when its call has ended.
async fn speak(program: &Path, text: &str, voice: &str) -> Result<Arc<Prompt>, SpeechError> {
    let failed = |error: std::io::Error| {
        tracing::warn!(%error, "the speaker failed");
        SpeechError::Failed
    };
    let mut child = Command::new(program)
        .args(["-v", voice, "-s", PACE, "-b", "1", "--stdin", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (Some(mut to), Some(from)) = (child.stdin.take(), child.stdout.take()) else { return Err(SpeechError::Failed) };
    // A control character is nothing that can be said; a line's end is a pause.
    let plain: String = text.chars().map(|c| if c.is_control() { '\n' } else { c }).collect();
    let write = async {
        // A speaker that does not read to the end has said what it wants to say.
        let _ = to.write_all(plain.as_bytes()).await;
        drop(to);
    };
    let mut wav = Vec::new();
    let mut bounded = from.take(LARGEST.saturating_add(1));
    let ((), read) = tokio::join!(write, bounded.read_to_end(&mut wav));
    read.map_err(failed)?;
    if wav.len() as u64 > LARGEST {
        return Err(SpeechError::TooLarge);
    }
    if !child.wait().await.map_err(failed)?.success() {
        return Err(SpeechError::Failed);
    }
    mend(&mut wav).ok_or(SpeechError::Failed)?;
    // Converting a minute of speech takes some milliseconds.
    let read = tokio::task::spawn_blocking(move || Prompt::from_wav(&wav));
    read.await.ok().and_then(Result::ok).map(Arc::new).ok_or(SpeechError::Failed)
}

/// A program that writes to a pipe does not know how much it will write: the sizes in its header are made true.
fn mend(wav: &mut Vec<u8>) -> Option<()> {
    let mut at = 12;
    while wav.get(at..at + 4)? != b"data" {
        let size = u32::from_le_bytes(wav.get(at + 4..at + 8)?.try_into().ok()?);
        at = at.checked_add(8)?.checked_add(usize::try_from(size).ok()?)?;
    }
    // Whole samples only.
    let size = (wav.len() - at).checked_sub(8)? & !1;
    wav.truncate(at + 8 + size);
    wav.get_mut(at + 4..at + 8)?.copy_from_slice(&u32::try_from(size).ok()?.to_le_bytes());
    let whole = u32::try_from(wav.len().checked_sub(8)?).ok()?;
    wav.get_mut(4..8)?.copy_from_slice(&whole.to_le_bytes());
    Some(())
}

/// The voice of a language, else of its base language, else an English one.
fn voice(lang: &str) -> &'static str {
    let lang = lang.to_ascii_lowercase().replace('_', "-");
    let base = lang.split('-').next().unwrap_or_default();
    let base = if base == "no" || base == "nn" { "nb" } else { base };
    let find = |wanted: &str| VOICES.iter().find(|(tag, _)| *tag == wanted).map(|(_, voice)| *voice);
    find(&lang).or_else(|| find(base)).unwrap_or(FALLBACK)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_known_words_stand_on_the_command_line() {
        let rows = [
            ("en", "en"),
            ("en-AU", "en"),
            ("EN_us", "en-us"),
            ("es-MX", "es-419"),
            ("es-ES", "es"),
            ("pt-BR", "pt-br"),
            ("no", "nb"),
            ("xx", "en"),
            ("", "en"),
            ("--path=/etc", "en"),
        ];
        for (lang, expected) in rows {
            assert_eq!(voice(lang), expected, "{lang}");
        }
    }

    #[test]
    fn sizes_of_a_stream_are_made_true_and_no_bytes_panic() {
        let mut wav = Vec::from(*b"RIFF\x24\xf0\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0\x44\xac\0\0\x02\0\x10\0data\0\xf0\xff\x7f");
        wav.extend([1, 0, 2, 0, 3]);
        let whole = wav.clone();
        assert!(mend(&mut wav).is_some());
        assert_eq!(wav.len(), 48);
        assert!(Prompt::from_wav(&wav).is_ok());
        for cut in 0..whole.len() {
            let mut part = whole[..cut].to_vec();
            if mend(&mut part).is_some() {
                let _ = Prompt::from_wav(&part);
            }
        }
    }

    /// A program that does `script`, whatever it is called with.
    fn program(dir: &tempfile::TempDir, script: &str) -> Espeak {
        let path = dir.path().join("speaker");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Espeak::find(path.to_str().unwrap()).unwrap()
    }

    async fn says(espeak: &Espeak) -> Result<Arc<Prompt>, SpeechError> {
        // A program that was written a moment ago may still be open for writing in a child of another test.
        for _ in 0..50 {
            match espeak.say("hello".into(), "en".into()).await {
                Err(SpeechError::Failed) => tokio::time::sleep(Duration::from_millis(10)).await,
                said => return said,
            }
        }
        Err(SpeechError::Failed)
    }

    #[tokio::test]
    async fn a_speaker_that_hangs_or_never_stops_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let hangs = program(&dir, "echo $$ > $0.pid; exec sleep 1000").within(Duration::from_millis(300));
        assert_eq!(says(&hangs).await, Err(SpeechError::TimedOut));
        let pid = std::fs::read_to_string(dir.path().join("speaker.pid")).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", pid.trim()));
        let is_gone = || std::fs::read_to_string(proc.join("stat")).map_or(true, |stat| stat.contains(") Z"));
        for _ in 0..500 {
            if is_gone() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(is_gone(), "it still runs");
        assert_eq!(says(&program(&dir, "exec cat /dev/zero")).await, Err(SpeechError::TooLarge));
    }

    #[tokio::test]
    async fn what_fails_or_says_nothing_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        for script in ["exit 1", "true", "echo hello"] {
            let espeak = program(&dir, script);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(espeak.say("hello".into(), "en".into()).await, Err(SpeechError::Failed), "{script}");
        }
        assert!(Espeak::find("no-such-program-anywhere").is_none());
        assert!(Espeak::find("/no/such/program").is_none());
    }

    #[tokio::test]
    async fn a_text_is_spoken_in_its_language_where_there_is_a_speaker() {
        let Some(espeak) = Espeak::find("espeak-ng") else { return };
        let said = |lang: &str| espeak.say("one hundred and twenty-one".into(), lang.into());
        let (english, german) = (said("en").await.unwrap(), said("de").await.unwrap());
        assert!((1_000..6_000).contains(&english.duration_ms()), "{}", english.duration_ms());
        assert_ne!(english, german);
    }
}
