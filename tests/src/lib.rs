//! Trunkline's simulated world and the real peers its tests talk to.

pub mod baresip;
pub mod browser;
pub mod media_phone;
pub mod sipp;
