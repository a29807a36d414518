//! SIP legs in the database: what it takes to end each one that may be up.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{ReadError, Store};

/// Most legs a start finds to end; a node never has more.
const LEGS: i64 = 100_000;

impl Store {
    /// Keeps what it takes to end a SIP leg; hears when that is written, or an error if it will not be. Returns at once.
    pub fn keep_leg(&self, sip_call_id: String, snapshot: Bytes) -> oneshot::Receiver<()> {
        let (change, written) = LegChange::keep(sip_call_id, snapshot);
        self.inner.queue.push_leg(change);
        written
    }

    /// A SIP leg is settled.
    pub fn forget_leg(&self, sip_call_id: String) {
        self.inner.queue.push_leg(LegChange::forget(sip_call_id));
    }

    /// What it takes to end each SIP leg that is written down.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn legs(&self) -> Result<Vec<Bytes>, ReadError> {
        self.read(all).await
    }
}

/// A leg has become another thing, or is settled.
pub(super) struct LegChange {
    sip_call_id: String,
    /// `None`: settled.
    snapshot: Option<Bytes>,
    written: Mutex<Option<oneshot::Sender<()>>>,
}

impl LegChange {
    /// Also what hears when it is written.
    fn keep(sip_call_id: String, snapshot: Bytes) -> (Self, oneshot::Receiver<()>) {
        let (written, hears) = oneshot::channel();
        (Self { sip_call_id, snapshot: Some(snapshot), written: Mutex::new(Some(written)) }, hears)
    }

    fn forget(sip_call_id: String) -> Self {
        Self { sip_call_id, snapshot: None, written: Mutex::default() }
    }

    /// It is written.
    pub(super) fn settle(&self) {
        if let Some(written) = self.written.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody may wait any more.
            let _ = written.send(());
        }
    }
}

pub(super) fn write(db: &Connection, change: &LegChange) -> rusqlite::Result<()> {
    match &change.snapshot {
        Some(snapshot) => {
            let mut statement =
                db.prepare_cached("INSERT OR REPLACE INTO legs (sip_call_id, snapshot) VALUES (?1, ?2)")?;
            statement.execute(params![change.sip_call_id, &snapshot[..]])?;
        }
        None => {
            db.prepare_cached("DELETE FROM legs WHERE sip_call_id = ?1")?.execute([&change.sip_call_id])?;
        }
    }
    Ok(())
}

fn all(db: &Connection) -> Result<Vec<Bytes>, ReadError> {
    let mut statement = db.prepare("SELECT snapshot FROM legs LIMIT ?1")?;
    let rows = statement.query_map([LEGS], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|row| Ok(row?.into())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_leg_is_there_from_when_it_says_so_until_it_is_settled() {
        let store = Store::temporary(&Clock::system()).unwrap();
        for (call_id, snapshot) in [("a", "ringing"), ("b", "ringing"), ("a", "answered")] {
            store.keep_leg(call_id.into(), snapshot.into()).await.unwrap();
        }
        assert_eq!(store.legs().await.unwrap(), ["answered", "ringing"]);
        store.forget_leg("a".into());
        store.forget_leg("c".into());
        let other = store.clone();
        assert!(tokio::task::spawn_blocking(move || other.flush(Duration::from_secs(20))).await.unwrap());
        assert_eq!(store.legs().await.unwrap(), ["ringing"]);
    }
}
