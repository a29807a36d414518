//! The same code in all five places: event, record, `Reason` header, log line, counter; for every reason there is.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;

use super::counters::Counters;
use super::driver::log_end;
use crate::call::Effect;
use crate::call::tests::{about, answered};
use crate::outcome::Reason;

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(line: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).with_target(false).finish();
    tracing::subscriber::with_default(subscriber, line);
    let bytes = Bytes::from(lines.0.lock().unwrap().clone());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn five_places_agree_on_every_reason() {
    for &reason in Reason::ALL {
        let now = Instant::now();
        let mut call = answered(now, about(now));
        call.finish_for(now, reason);
        let (mut header, mut event, mut outcome) = (None, None, None);
        while let Some(effect) = call.poll_effect() {
            match effect {
                Effect::Hangup { reason, .. } => header = Some(reason),
                Effect::Emit(told) => event = Some(told),
                Effect::Finished(how) => outcome = Some(how),
                Effect::Media(_)
                | Effect::LeaseTrunk { .. }
                | Effect::LeaseSpare { .. }
                | Effect::PlanTransfer { .. }
                | Effect::Transfer { .. }
                | Effect::Adopt { .. }
                | Effect::Resolve { .. }
                | Effect::Met { .. }
                | Effect::Invite(_)
                | Effect::AnswerOffer { .. }
                | Effect::Offer { .. }
                | Effect::Ring { .. }
                | Effect::Accept { .. }
                | Effect::Refuse { .. }
                | Effect::Tell { .. }
                | Effect::SendDigits { .. }
                | Effect::Ask(_)
                | Effect::Fetch { .. } => {}
            }
        }
        let (header, event, outcome) = (header.unwrap(), event.unwrap(), outcome.unwrap());
        let (word, class) = (reason.word(), reason.class().word());
        let text = reason.detail().map_or(word.to_owned(), |detail| format!("{word} {detail}"));
        assert_eq!(header.text.as_deref(), Some(&text[..]), "the header of the BYE");
        assert!(["Q.850", "SIP"].contains(&&header.protocol[..]) && header.cause > 0, "{header:?}");

        assert_eq!(event.name, if class == "ended" { "call_ended" } else { "call_error" });
        assert_eq!((&event.data["reason"], &event.data["class"]), (&word.into(), &class.into()));
        assert_eq!(event.data["detail"], serde_json::to_value(reason.detail()).unwrap());

        let record = call.record(now);
        assert_eq!((&record["outcome"]["reason"], &record["outcome"]["detail"]), (&word.into(), &event.data["detail"]));
        assert_eq!(record["outcome"]["blame"], event.data["blame"]);

        let line = logged(|| log_end(&outcome));
        assert!(line.contains(&format!("class=\"{class}\" reason=\"{word}\"")), "{line}");
        if let Some(detail) = reason.detail() {
            assert!(line.contains(&format!("detail=\"{detail}\"")), "{line}");
        }

        let counters = Counters::default();
        counters.ended(&outcome, &call.timings());
        assert_eq!(counters.outcomes(), [([class, word, outcome.phase.word()], 1)]);
    }
    assert_eq!(
        Reason::ALL.iter().map(|reason| (reason.word(), reason.detail())).collect::<BTreeSet<_>>().len(),
        Reason::ALL.len()
    );
}
