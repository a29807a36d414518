//! PESQ (ITU-T P.862, P.862.2), by a Python script that stays up.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

const SCRIPT: &str = include_str!("../../pesq.py");

/// Who compares recordings.
pub(super) struct Judge {
    process: RefCell<Process>,
    folder: tempfile::TempDir,
}

struct Process {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    pub(super) fn new(python: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("pesq_scores.py");
        std::fs::write(&script, SCRIPT)?;
        let mut child = Command::new(python)
            .arg(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", python.display()))?;
        let ask = child.stdin.take().context("no input")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { process: RefCell::new(Process { child, ask, answers }), folder })
    }

    /// The score of what was heard; both at `rate` Hz (8000: P.862, 16000: P.862.2).
    pub(super) fn score(&self, rate: u32, said: &[i16], heard: &[i16]) -> Result<f64> {
        let write = |name: &str, pcm: &[i16]| -> Result<PathBuf> {
            let file = self.folder.path().join(name);
            let octets: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            std::fs::write(&file, octets)?;
            Ok(file)
        };
        let (said, heard) = (write("said", said)?, write("heard", heard)?);
        let mut process = self.process.borrow_mut();
        writeln!(process.ask, "{rate} {} {}", said.display(), heard.display())?;
        process.ask.flush()?;
        let mut answer = String::new();
        ensure!(process.answers.read_line(&mut answer)? > 0, "no answer: is `pesq` installed in that Python?");
        answer.trim().parse().with_context(|| answer.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends when it reads no more; whatever becomes of it, it is not left behind.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}
