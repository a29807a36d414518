//! Connections that only read, kept open between reads.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::{READERS, ReadError, file};

/// Idle connections.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// How often the file was begun anew: connections to an earlier one are of no use.
    generation: u64,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// One look. Blocks; a connection that failed is not used again.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let (idle, generation) = {
            let mut idle = self.lock();
            (idle.connections.pop(), idle.generation)
        };
        let db = idle.map_or_else(|| file::open_reader(&self.path), Ok)?;
        let seen = look(&db)?;
        let mut idle = self.lock();
        if idle.generation == generation && idle.connections.len() < READERS {
            idle.connections.push(db);
        }
        Ok(seen)
    }

    /// Closes what is idle: the file was begun anew, or is not needed any more.
    pub(super) fn forget(&self) {
        let mut idle = self.lock();
        idle.generation = idle.generation.wrapping_add(1);
        idle.connections.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
