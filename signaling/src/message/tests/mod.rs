//! Tables for each piece, the RFC's torture messages, properties, and an independent reader of what we write.

mod oracle;
mod pieces;
mod properties;
mod torture;
