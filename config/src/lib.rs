//! Every knob of the gateway, parsed once into values that cannot be wrong.
//!
//! [`load`] reads the file, lays the environment over it, resolves secrets and hands back a [`Config`]; or every
//! problem it found, each with its key and line.

pub mod model;

pub use model::*;
