//! The demo: everything on this machine, with an agent that answers.

/// What the demo is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Options {}

/// Runs the demo until it is interrupted.
///
/// # Errors
/// Always: the demo is not there yet.
pub fn run(_options: Options) -> impl Future<Output = anyhow::Result<()>> {
    std::future::ready(Err(anyhow::anyhow!("the demo is not part of this build yet")))
}
