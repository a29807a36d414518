//! placeholder
mod listen;
