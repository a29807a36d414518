//! Writing our own reports (RFC 3550 sections 6.4 to 6.6).

use crate::rtp::Ssrc;
use crate::rtp::receiver::Reception;
use crate::rtp::sender::Sender;

/// A report block about the stream we receive.
pub(super) struct Block {
    pub(super) reception: Reception,
    /// Middle 32 bits of the NTP timestamp of the peer's last SR, 0 if none came.
    pub(super) last_sr: u32,
    /// In 1/65536 s.
    pub(super) delay_since_last_sr: u32,
}

pub(super) fn sender_report(buffer: &mut Vec<u8>, sender: &Sender, ntp: u64, timestamp: u32, block: Option<&Block>) {
    header(buffer, u8::from(block.is_some()), 200, if block.is_some() { 12 } else { 6 });
    buffer.extend_from_slice(&sender.ssrc().0.to_be_bytes());
    buffer.extend_from_slice(&ntp.to_be_bytes());
    buffer.extend_from_slice(&timestamp.to_be_bytes());
    buffer.extend_from_slice(&(sender.packets() as u32).to_be_bytes());
    buffer.extend_from_slice(&(sender.octets() as u32).to_be_bytes());
    report_block(buffer, block);
}

pub(super) fn receiver_report(buffer: &mut Vec<u8>, ours: Ssrc, block: Option<&Block>) {
    header(buffer, u8::from(block.is_some()), 201, if block.is_some() { 7 } else { 1 });
    buffer.extend_from_slice(&ours.0.to_be_bytes());
    report_block(buffer, block);
}

/// SDES with the one item that is mandatory.
pub(super) fn cname(buffer: &mut Vec<u8>, ours: Ssrc, name: &str) {
    let mut length = name.len().min(255);
    while !name.is_char_boundary(length) {
        length -= 1;
    }
    let name = name.as_bytes().get(..length).unwrap_or_default();
    // SSRC, item header and text, then at least one null octet up to the next 32-bit boundary (section 6.5).
    let item = 2 + name.len();
    let padding = 4 - item % 4;
    header(buffer, 1, 202, (1 + (item + padding) / 4) as u16);
    buffer.extend_from_slice(&ours.0.to_be_bytes());
    buffer.push(1);
    buffer.push(name.len() as u8);
    buffer.extend_from_slice(name);
    buffer.extend(std::iter::repeat_n(0, padding));
}

pub(super) fn bye(buffer: &mut Vec<u8>, ours: Ssrc) {
    header(buffer, 1, 203, 1);
    buffer.extend_from_slice(&ours.0.to_be_bytes());
}

fn header(buffer: &mut Vec<u8>, count: u8, kind: u8, words: u16) {
    buffer.push(0x80 | count);
    buffer.push(kind);
    buffer.extend_from_slice(&words.to_be_bytes());
}

fn report_block(buffer: &mut Vec<u8>, block: Option<&Block>) {
    let Some(Block { reception, last_sr, delay_since_last_sr }) = block else { return };
    let [_, l0, l1, l2] = reception.cumulative_lost.to_be_bytes();
    buffer.extend_from_slice(&reception.ssrc.0.to_be_bytes());
    buffer.extend_from_slice(&[reception.fraction_lost, l0, l1, l2]);
    buffer.extend_from_slice(&reception.highest_sequence.to_be_bytes());
    buffer.extend_from_slice(&reception.jitter.to_be_bytes());
    buffer.extend_from_slice(&last_sr.to_be_bytes());
    buffer.extend_from_slice(&delay_since_last_sr.to_be_bytes());
}
