//! The file: its folder, its lock, its pragmas, its versions.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// The file's name in its folder.
const NAME: &str = "trunkline.db";
/// Held by the process that writes the file.
const LOCK: &str = "trunkline.lock";
/// How long a lock of somebody else's (a backup) is waited for before it counts as a failure.
const BUSY: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2_000 });
/// What a checkpoint leaves of the write-ahead log, bytes.
const LOG_BYTES: u32 = 16 << 20;
/// Pages of the file kept in memory by each connection, KiB: what is written is hardly read again, and the system keeps
/// the file's pages, too.
const CACHE_KIB: i64 = 128;

/// Each step brings the file from the version of its index to the next (`user_version`). Steps are never changed once
/// released, only added.
const STEPS: &[&str] = &[
    "
    CREATE TABLE calls (
        id TEXT NOT NULL PRIMARY KEY,
        session TEXT NOT NULL,
        app TEXT NOT NULL,
        state TEXT NOT NULL,        -- 'live' or 'ended'
        reason TEXT,
        started INTEGER NOT NULL,   -- microseconds of the Unix epoch
        ended INTEGER,
        record TEXT NOT NULL,       -- JSON
        details BLOB                -- see pack.rs
    );
    CREATE INDEX calls_started ON calls (started, id);
    CREATE INDEX calls_app ON calls (app, started, id);
    CREATE INDEX calls_reason ON calls (reason, started, id);
    CREATE INDEX calls_ended ON calls (ended) WHERE state = 'ended';
    CREATE INDEX calls_live ON calls (id) WHERE state = 'live';
    CREATE TABLE node (
        name TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL
    );
",
    "
    CREATE TABLE events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        call TEXT,                  -- null: belongs to no call
        app TEXT NOT NULL,          -- empty: belongs to no app
        name TEXT NOT NULL,
        seq INTEGER NOT NULL,
        time INTEGER NOT NULL,      -- microseconds of the Unix epoch
        bytes INTEGER NOT NULL,     -- with its deliveries, about
        body TEXT NOT NULL          -- JSON
    );
    CREATE INDEX events_call ON events (call, seq) WHERE call IS NOT NULL;
    CREATE INDEX events_app ON events (app, position);
    CREATE INDEX events_name ON events (name, position);
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event INTEGER NOT NULL,     -- its position
        integration TEXT NOT NULL,
        state TEXT NOT NULL,        -- 'pending', 'delivered', 'failed' or 'skipped'
        attempts INTEGER NOT NULL DEFAULT 0,
        next_attempt INTEGER,       -- null: as soon as it is its turn
        status INTEGER,             -- of the last answer
        error TEXT,                 -- of the last attempt
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX deliveries_event ON deliveries (event, integration);
    CREATE INDEX deliveries_log ON deliveries (integration, id);
    CREATE INDEX deliveries_pending ON deliveries (integration, id) WHERE state = 'pending';
    CREATE TABLE integrations (
        id TEXT NOT NULL PRIMARY KEY,
        status TEXT NOT NULL,       -- 'active' or 'paused'
        consecutive_failures INTEGER NOT NULL,
        last_error TEXT,
        paused_at INTEGER
    );
",
    "
    CREATE TABLE legs (
        sip_call_id TEXT NOT NULL PRIMARY KEY,
        snapshot BLOB NOT NULL      -- see LegSnapshot of trunkline-signaling
    ) WITHOUT ROWID;
",
];

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is no folder of ours.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process writes it.
    #[error("{} is in use by another gateway", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// A newer gateway has written it.
    #[error("{} has version {found}, this gateway knows versions up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file cannot be used.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// The folder, locked for this process.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// It shall survive a power cut too.
    lasting: bool,
    _lock: File,
}

impl Place {
    pub(super) fn take(dir: &Path, lasting: bool) -> Result<Self, OpenError> {
        let wrong = |source| OpenError::Folder { path: dir.to_owned(), source };
        // Records name people's addresses: nobody else's business on this machine.
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong)?;
        let lock = private().create(true).write(true).truncate(false).open(dir.join(LOCK)).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: dir.join(NAME), lasting, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(wrong(source)),
        }
    }

    /// Opens the file at this version; a damaged one is moved aside and a new one begun.
    pub(super) fn open(&self) -> Result<Connection, OpenError> {
        match self.open_as_it_is() {
            Err(OpenError::Sqlite { source, .. }) if is_damage(&source) => {
                self.move_aside(&source)?;
                self.open_as_it_is()
            }
            other => other,
        }
    }

    /// Gives a damaged file another name; the one moved aside before it goes.
    pub(super) fn move_aside(&self, why: &rusqlite::Error) -> Result<(), OpenError> {
        let aside = with_suffix(&self.path, ".damaged");
        tracing::warn!(%why, file = %self.path.display(), kept = %aside.display(), "the database is damaged: begun anew");
        for suffix in ["", "-wal", "-shm"] {
            match std::fs::rename(with_suffix(&self.path, suffix), with_suffix(&aside, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(OpenError::Folder { path: self.path.clone(), source: error });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn open_as_it_is(&self) -> Result<Connection, OpenError> {
        private()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(|source| OpenError::Folder { path: self.path.clone(), source })?;
        let wrong = |source| OpenError::Sqlite { path: self.path.clone(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&self.path, flags).map_err(wrong)?;
        set_up(&db, self.lasting).map_err(wrong)?;
        let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        let found = migrate(&mut db).map_err(wrong)?;
        if found > known {
            return Err(OpenError::Newer { path: self.path.clone(), found, known });
        }
        Ok(db)
    }
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(db)
}

/// Whether the file is not what it should be, rather than out of reach.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn set_up(db: &Connection, lasting: bool) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY)?;
    // Before the first table, else it has no effect.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What has been told outside is on the disk: neither a killed process nor a power cut takes it back. One wait for the
    // disk serves all that came in the meantime.
    db.pragma_update(None, "synchronous", if lasting { "FULL" } else { "OFF" })?;
    db.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
    db.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(())
}

/// The version the file has afterwards; one that is newer than ours is left alone.
fn migrate(db: &mut Connection) -> rusqlite::Result<i64> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut version = found;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        let tx = db.transaction()?;
        tx.execute_batch(step)?;
        version = version.saturating_add(1);
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(version)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
