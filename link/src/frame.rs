//! Frames: how a message crosses a line that may lose, change and add bytes.
//!
//! ```text
//! COBS( kind u8 │ sequence u16 │ part u16 │ payload │ CRC-32 ) 00
//! ```
//!
//! A zero byte stands between frames and nowhere else, so that after any garbage the next frame is
//! found at the next zero. What the CRC does not vouch for is answered with a [`Fault`] and otherwise
//! did not happen.

use cobs::CobsEncoder;
use crc::{CRC_32_ISO_HDLC, Crc};
use postcard::ser_flavors::Flavor;
use serde::Serialize;

use crate::fault::Fault;

/// Between frames, and nowhere within one.
pub const DELIMITER: u8 = 0;

/// The sequence number of what answers no request in particular.
pub const UNASKED: u16 = 0;

/// The least length of a frame buffer, in bytes.
pub const MIN_BUFFER: usize = 64;

/// Bytes before the payload.
const HEADER: usize = 5;
/// Bytes behind the payload.
const TRAILER: usize = 4;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A request, from the client to the device.
    Request = 1,
    /// A part of an answer; more parts follow.
    Part = 2,
    /// The last part of an answer, or all of it.
    Last = 3,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Kind::Request),
            2 => Some(Kind::Part),
            3 => Some(Kind::Last),
            _ => None,
        }
    }
}

/// A frame that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: Kind,
    /// The request that it is, or that it answers.
    pub sequence: u16,
    /// Which part of its message, from 0.
    pub part: u16,
    /// The message, or the part of it.
    pub payload: &'a [u8],
}

/// The longest payload of a frame that fits into `buffer` bytes, its delimiter included.
pub const fn max_payload(buffer: usize) -> usize {
    let encoded = buffer.saturating_sub(1);
    // COBS adds a byte, and one for each further 254.
    let body = encoded.saturating_sub(encoded / 255 + 1);
    body.saturating_sub(HEADER + TRAILER)
}

/// The length of a buffer that holds any frame with `payload` bytes, its delimiter included.
pub const fn frame_length(payload: usize) -> usize {
    let body = HEADER + payload + TRAILER;
    // One more than COBS needs at worst: `max_payload` is the other way round, and rounds.
    body + body / 254 + 3
}

/// A frame without payload, with the byte of COBS and the delimiter.
const SHORTEST: usize = HEADER + TRAILER + 2;

/// Collects bytes up to a delimiter and makes a [`Frame`] of them. It keeps no more than its buffer.
#[derive(Debug)]
pub struct Receiver<B> {
    buffer: B,
    /// Bytes since the last delimiter, those that found no room included.
    len: usize,
    complete: bool,
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> Receiver<B> {
    /// A receiver of frames that fit into `buffer`.
    pub fn new(buffer: B) -> Self {
        Receiver { buffer, len: 0, complete: false }
    }

    /// The longest payload it can receive.
    pub fn max_payload(&self) -> usize {
        max_payload(self.buffer.as_ref().len())
    }

    /// Takes bytes up to the next delimiter, that included; returns how many, and whether it was found.
    /// Then [`frame`](Self::frame) has something to say.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.complete {
            self.clear();
        }
        let end = bytes.iter().position(|&byte| byte == DELIMITER);
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        let buffer = self.buffer.as_mut();
        let start = self.len.min(buffer.len());
        let room = &mut buffer[start..];
        let kept = piece.len().min(room.len());
        room[..kept].copy_from_slice(&piece[..kept]);
        self.len = self.len.saturating_add(piece.len());
        self.complete = end.is_some();
        (piece.len() + usize::from(self.complete), self.complete)
    }

    /// What stood before the delimiter: nothing, a frame, or garbage.
    ///
    /// # Errors
    /// [`Fault::Garbled`] or [`Fault::FrameTooLong`].
    pub fn frame(&mut self) -> Option<Result<Frame<'_>, Fault>> {
        let len = core::mem::take(&mut self.len);
        if len == 0 {
            return None;
        }
        // The longest frame is one byte shorter than the buffer that may hold its delimiter, too.
        let limit = self.buffer.as_ref().len() - 1;
        let Some(encoded) = self.buffer.as_mut().get_mut(..len).filter(|_| len <= limit) else {
            return Some(Err(Fault::FrameTooLong { limit: figure(limit), value: figure(len) }));
        };
        Some(open(encoded).ok_or(Fault::Garbled))
    }

    /// Bytes that have arrived of a frame whose end has not.
    pub fn pending(&self) -> usize {
        if self.complete { 0 } else { self.len }
    }

    /// Forgets what has arrived of a frame.
    pub fn clear(&mut self) {
        self.len = 0;
        self.complete = false;
    }
}

fn figure(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Decodes a frame in place.
fn open(encoded: &mut [u8]) -> Option<Frame<'_>> {
    let len = cobs::decode_in_place(encoded).ok()?;
    let (body, crc) = encoded.get(..len)?.split_last_chunk::<TRAILER>()?;
    if CRC.checksum(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (&[kind, s0, s1, p0, p1], payload) = body.split_first_chunk::<HEADER>()?;
    Some(Frame {
        kind: Kind::from_byte(kind)?,
        sequence: u16::from_le_bytes([s0, s1]),
        part: u16::from_le_bytes([p0, p1]),
        payload,
    })
}

/// Writes an answer as frames, each into the same buffer.
///
/// Nothing is kept of the message between two frames: it is serialised again for each, and all but the
/// part that is due is passed over, which for a list is one step. So a buffer of any length sends a
/// message of any length.
#[derive(Debug)]
pub struct Emission {
    sequence: u16,
    part: u16,
    sent: usize,
    total: usize,
    done: bool,
}

impl Emission {
    /// The frames of `message`, the answer to request `sequence`.
    pub fn new<M: Serialize + ?Sized>(sequence: u16, message: &M) -> Self {
        let total = picket_abi::encoded_len(message);
        Emission { sequence, part: 0, sent: 0, total, done: false }
    }

    /// The length of the whole message, in bytes.
    pub fn message_length(&self) -> usize {
        self.total
    }

    /// Writes the next frame, delimiter included, to the front of `buffer`; returns its length, 0 when
    /// all are written.
    ///
    /// `message` is the one that this emission was made for. A buffer shorter than [`MIN_BUFFER`], or
    /// more parts than can be numbered, end the emission early.
    pub fn next<M: Serialize + ?Sized>(&mut self, message: &M, buffer: &mut [u8]) -> usize {
        let room = max_payload(buffer.len());
        if self.done || room == 0 {
            return 0;
        }
        let payload = room.min(self.total - self.sent);
        let last = self.sent + payload == self.total;
        let kind = if last { Kind::Last } else { Kind::Part };
        let frame = Body::new(buffer, kind, self.sequence, self.part);
        let window = Window { frame, before: self.sent, inside: payload };
        // A message that is no longer what it was measured as leaves a frame that no CRC vouches for.
        let Ok(body) = postcard::serialize_with_flavor(message, window) else { return 0 };
        let length = body.seal();
        buffer[length] = DELIMITER;

        self.sent += payload;
        self.done = last || self.part == u16::MAX;
        self.part = self.part.saturating_add(1);
        length + 1
    }
}

/// Writes the frame of a request, delimiter included, to the front of `buffer`; returns its length, or
/// `None` if it does not fit ([`frame_length`] tells what does). Requests have one frame: the device's
/// limit is for whole messages.
pub fn request_frame(sequence: u16, payload: &[u8], buffer: &mut [u8]) -> Option<usize> {
    // A buffer that is too short for any frame has no room either.
    if payload.len() > max_payload(buffer.len()) || buffer.len() < SHORTEST {
        return None;
    }
    let mut body = Body::new(buffer, Kind::Request, sequence, 0);
    body.push(payload);
    let length = body.seal();
    buffer[length] = DELIMITER;
    Some(length + 1)
}

/// The inside of a frame while it is written.
struct Body<'b> {
    encoder: CobsEncoder<'b>,
    crc: crc::Digest<'static, u32>,
}

impl<'b> Body<'b> {
    fn new(buffer: &'b mut [u8], kind: Kind, sequence: u16, part: u16) -> Self {
        let mut body = Body { encoder: CobsEncoder::new(buffer), crc: CRC.digest() };
        let ([s0, s1], [p0, p1]) = (sequence.to_le_bytes(), part.to_le_bytes());
        body.push(&[kind as u8, s0, s1, p0, p1]);
        body
    }

    fn push(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.encode(bytes);
    }

    fn encode(&mut self, bytes: &[u8]) {
        // Between two pushes the encoder takes an empty one for the beginning of a further block.
        if !bytes.is_empty() {
            // What is pushed was measured to fit.
            let pushed = self.encoder.push(bytes);
            debug_assert!(pushed.is_ok(), "a frame is longer than its buffer");
        }
    }

    /// Ends the frame with its CRC; returns the encoded length.
    fn seal(mut self) -> usize {
        let crc = self.crc.clone().finalize();
        self.encode(&crc.to_le_bytes());
        self.encoder.finalize()
    }
}

/// Lets through the part of a message that is due.
struct Window<'b> {
    frame: Body<'b>,
    /// Bytes of the message before the part.
    before: usize,
    /// Bytes of the part that are still to come.
    inside: usize,
}

impl<'b> Flavor for Window<'b> {
    type Output = Body<'b>;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let passed = bytes.len().min(self.before);
        self.before -= passed;
        let bytes = &bytes[passed..];
        let due = bytes.len().min(self.inside);
        self.inside -= due;
        self.frame.push(&bytes[..due]);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Body<'b>> {
        Ok(self.frame)
    }
}
