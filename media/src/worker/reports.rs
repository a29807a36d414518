//! Reports on their way to the control plane. A media thread never waits for it.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::api::{MediaEvent, Report};

/// Reports the control plane may be behind with, over all workers.
pub(super) const CHANNEL: usize = 4096;

/// Events of one worker that wait for room in the channel.
const WAITING: usize = 1024;

pub(super) struct Reports {
    channel: mpsc::Sender<Report>,
    waiting: VecDeque<Report>,
    dropped: u64,
}

impl Reports {
    pub(super) fn new(channel: mpsc::Sender<Report>) -> Self {
        Self { channel, waiting: VecDeque::new(), dropped: 0 }
    }

    pub(super) fn push(&mut self, report: Report) {
        let sample = matches!(report.event, MediaEvent::Sample(_));
        if !sample && !self.waiting.is_empty() {
            return self.wait(report);
        }
        match self.channel.try_send(report) {
            Ok(()) => {}
            // overflow: samples are dropped and counted, the next comes in a second; events wait.
            Err(TrySendError::Full(_)) if sample => self.dropped += 1,
            Err(TrySendError::Full(report)) => self.wait(report),
            Err(TrySendError::Closed(_)) => self.dropped += 1,
        }
    }

    /// Tries again what waits.
    pub(super) fn flush(&mut self) {
        while let Some(report) = self.waiting.pop_front() {
            match self.channel.try_send(report) {
                Ok(()) => {}
                // overflow: goes back to the front of the queue.
                Err(TrySendError::Full(report)) => return self.waiting.push_front(report),
                Err(TrySendError::Closed(_)) => self.dropped += 1,
            }
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn wait(&mut self, report: Report) {
        // overflow: dropped and counted; a control plane so far behind has lost its calls already.
        if self.waiting.len() < WAITING {
            self.waiting.push_back(report);
        } else {
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::api::{CallKey, Leg};

    fn report(event: MediaEvent) -> Report {
        #[allow(clippy::disallowed_methods)] // Any instant will do.
        Report { key: CallKey(1), at: Instant::now() + Duration::from_secs(3600), event }
    }

    #[test]
    fn a_slow_control_plane_loses_samples_but_no_event() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut reports = Reports::new(sender);
        let digits: Vec<MediaEvent> =
            [Leg::Browser, Leg::Trunk, Leg::Browser, Leg::Trunk].map(|from| MediaEvent::FirstAudio { from }).to_vec();
        for event in &digits {
            reports.push(report(event.clone()));
            reports.push(report(MediaEvent::Sample(Box::default())));
        }
        let mut heard = Vec::new();
        while let Ok(report) = receiver.try_recv() {
            heard.push(report.event);
            reports.flush();
        }
        heard.retain(|event| !matches!(event, MediaEvent::Sample(_)));
        assert_eq!(heard, digits, "all of them, in order");
        assert!(reports.dropped() > 0);
    }

    #[test]
    fn a_dead_control_plane_costs_a_limited_queue() {
        let (sender, _receiver) = mpsc::channel(1);
        let mut reports = Reports::new(sender);
        for _ in 0..5000 {
            reports.push(report(MediaEvent::Crashed));
        }
        assert_eq!(reports.dropped(), 5000 - 1 - 1024);
    }
}
