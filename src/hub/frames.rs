//! The frames a connection sends, put right where the AMQP library's order confuses clients.
//!
//! The library answers a peer's detach before the transfers it has queued for that link; clients end
//! the session or the connection over a transfer for a link that is gone. Such frames are left out.
//! And a link is refused by an attach without an end and a detach that says why: between the two a
//! quick client detaches by itself and never learns the reason. The attach waits for the detach.

use std::collections::{HashMap, HashSet};

use bytes::{Buf as _, BytesMut};

use super::encoding::{described, field};

const ATTACH: u64 = 0x12;
const FLOW: u64 = 0x13;
const TRANSFER: u64 = 0x14;
const DETACH: u64 = 0x16;
const END: u64 = 0x17;
/// Where a protocol header begins, which is no frame.
const HEADER: &[u8] = b"AMQP";
const NULL: u8 = 0x40;

/// Channel and handle.
type Link = (u16, u32);

/// What goes out on a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// To be written.
    pub ready: BytesMut,
    /// The beginning of a frame.
    partial: BytesMut,
    /// Links that were detached and not attached again.
    gone: HashSet<Link>,
    /// Attaches that refuse, until their detach comes.
    held: HashMap<Link, BytesMut>,
}

/// What a frame is to the links.
enum Kind {
    Attach(Link, bool),
    Detach(Link),
    /// A transfer or a flow.
    Use(Link),
    End(u16),
    Other,
}

impl Frames {
    /// Takes in what the library writes, in pieces of any size.
    pub fn push(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(size) = size(&self.partial) {
            if self.partial.len() < size {
                break;
            }
            let frame = self.partial.split_to(size);
            self.pass(frame);
        }
    }

    fn pass(&mut self, frame: BytesMut) {
        match kind(&frame).unwrap_or(Kind::Other) {
            Kind::Attach(link, true) => {
                self.held.insert(link, frame);
                return;
            }
            Kind::Attach(link, false) => {
                self.gone.remove(&link);
            }
            Kind::Detach(link) => {
                if let Some(attach) = self.held.remove(&link) {
                    self.ready.extend_from_slice(&attach);
                }
                self.gone.insert(link);
            }
            Kind::Use(link) if self.gone.contains(&link) || self.held.contains_key(&link) => return,
            Kind::End(channel) => {
                self.gone.retain(|link| link.0 != channel);
                self.held.retain(|link, _| link.0 != channel);
            }
            Kind::Use(_) | Kind::Other => {}
        }
        self.ready.extend_from_slice(&frame);
    }
}

/// How long the first frame or protocol header is, once enough of it is there to tell.
fn size(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(HEADER) {
        return Some(8);
    }
    let mut size = bytes.get(..4)?;
    // A size below that of its own head is no frame of the library's; it goes as it is.
    usize::try_from(size.get_u32()).ok().map(|size| size.max(4))
}

fn kind(frame: &[u8]) -> Option<Kind> {
    let head = frame.first_chunk::<8>()?;
    let [.., doff, _, high, low] = *head;
    let channel = u16::from_be_bytes([high, low]);
    let (performative, code, list, _) = described(frame.get(usize::from(doff) * 4..)?)?;
    let link = |index| {
        let handle = match field(code, list, index)? {
            (0x43, _) => 0,
            (0x52, &[handle]) => u32::from(handle),
            (0x70, handle) => u32::from_be_bytes(handle.try_into().ok()?),
            _ => return None,
        };
        Some((channel, handle))
    };
    Some(match performative {
        ATTACH => {
            let receiver = matches!(field(code, list, 2)?, (0x41, _) | (0x56, [1]));
            let (end, _) = field(code, list, if receiver { 6 } else { 5 })?;
            Kind::Attach(link(1)?, end == NULL)
        }
        FLOW => link(4).map_or(Kind::Other, Kind::Use),
        TRANSFER => Kind::Use(link(0)?),
        DETACH => Kind::Detach(link(0)?),
        END => Kind::End(channel),
        _ => Kind::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(channel: u8, performative: u64, fields: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut body = vec![0x00, 0x53, u8::try_from(performative).unwrap(), 0xc0];
        body.extend([u8::try_from(fields.len() + 1).unwrap(), 9]);
        body.extend_from_slice(fields);
        body.extend_from_slice(payload);
        let mut frame = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        frame.extend([2, 0, 0, channel]);
        frame.extend(body);
        frame
    }

    /// Name "l", handle 1, role sender, two modes, the source given.
    fn attach(source: &[u8]) -> Vec<u8> {
        frame(0, ATTACH, &[&[0xa1, 1, b'l', 0x52, 1, 0x42, 0x50, 2, 0x50, 0][..], source].concat(), b"")
    }

    fn sent(frames: &[&[u8]], piece: usize) -> Vec<u8> {
        let mut out = Frames::default();
        for bytes in frames.concat().chunks(piece) {
            out.push(bytes);
        }
        out.ready.to_vec()
    }

    #[test]
    fn nothing_comes_for_a_link_that_is_gone() {
        let header = b"AMQP\x00\x01\x00\x00".to_vec();
        let attach = attach(&[0x00, 0x53, 0x28, 0x45]);
        let transfer = |channel, handle| frame(channel, TRANSFER, &[0x52, handle], b"payload");
        let detach = frame(0, DETACH, &[0x52, 1, 0x41], b"");
        let flow = frame(0, FLOW, &[0x43, 0x43, 0x43, 0x43, 0x52, 1], b"");
        let (mine, other, far) = (transfer(0, 1), transfer(0, 2), transfer(1, 1));
        let frames: &[&[u8]] =
            &[&header, &attach, &mine, &detach, &mine, &flow, &other, &far, &attach, &mine, &flow];
        let expected = [&header[..], &attach, &mine, &detach, &other, &far, &attach, &mine, &flow].concat();
        for piece in [1, 3, 17, 1000] {
            assert_eq!(sent(frames, piece), expected, "{piece}");
        }
        // A channel is used again, and so are its handles.
        let end = frame(0, END, &[], b"");
        assert_eq!(sent(&[&detach, &end, &mine], 1000), [detach, end, mine].concat());
    }

    #[test]
    fn a_refusal_and_its_reason_go_together() {
        let (refusal, detach) = (attach(&[0x40]), frame(0, DETACH, &[0x52, 1, 0x41], b""));
        let begin = frame(0, 0x11, &[], b"");
        let expected = [&begin[..], &refusal, &detach].concat();
        assert_eq!(sent(&[&refusal, &begin, &detach], 1000), expected);
        assert_eq!(sent(&[&refusal, &begin], 1000), begin);
    }

    #[test]
    fn what_is_no_frame_passes() {
        let nonsense = [0, 0, 0, 1, 0, 0, 0, 5, 9];
        assert_eq!(sent(&[&nonsense], 1000), nonsense);
    }
}
