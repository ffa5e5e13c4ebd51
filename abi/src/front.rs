//! Decoding by hand what a guest reads with every request.
//!
//! The same bytes as postcard reads, the same results: a test compares the two. Interpreters pay by the
//! instruction, and a decoder that is written for any type has a call for every field.

use crate::octets::Octets;

/// Takes a number of at most `bits` bits (a varint, as postcard writes them) from the front.
// Nearly all are one byte, in guests for size, too.
#[inline(always)]
fn varint(bytes: &[u8], bits: u32) -> Option<(u64, &[u8])> {
    match bytes {
        [first, rest @ ..] if *first < 0x80 => Some((u64::from(*first), rest)),
        _ => long_varint(bytes, bits),
    }
}

#[inline(never)]
fn long_varint(bytes: &[u8], bits: u32) -> Option<(u64, &[u8])> {
    let most = bits.div_ceil(7);
    let mut value = 0;
    let mut rest = bytes;
    for at in 0..most {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            // The last byte may hold no more bits than are left.
            let fits = at + 1 < most || byte < 1 << (bits % 7);
            return fits.then_some((value, rest));
        }
    }
    None
}

/// The front of a message.
pub(crate) struct Front<'a>(pub(crate) &'a [u8]);

impl<'a> Front<'a> {
    /// A length and that many bytes.
    #[inline]
    pub(crate) fn octets(&mut self) -> Option<Octets<'a>> {
        let (len, rest) = varint(self.0, usize::BITS)?;
        let (octets, rest) = rest.split_at_checked(len as usize)?;
        self.0 = rest;
        Some(Octets(octets))
    }

    /// Which variant of an enum.
    #[inline]
    pub(crate) fn variant(&mut self) -> Option<u32> {
        let (number, rest) = varint(self.0, u32::BITS)?;
        self.0 = rest;
        Some(number as u32)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        let (number, rest) = varint(self.0, u16::BITS)?;
        self.0 = rest;
        Some(number as u16)
    }

    pub(crate) fn bool(&mut self) -> Option<bool> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        match byte {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::varint;

    #[test]
    fn numbers_are_read_as_postcard_reads_them() {
        let mut cases: Vec<Vec<u8>> = vec![vec![]];
        for len in 0..11 {
            for last in [0u8, 1, 2, 3, 4, 15, 16, 127, 128, 255] {
                for filler in [0x80u8, 0xff, 0x81] {
                    cases.push([vec![filler; len], vec![last, 7]].concat());
                }
            }
        }
        for case in &cases {
            let expected = postcard::take_from_bytes::<u16>(case).ok().map(|(n, rest)| (u64::from(n), rest));
            assert_eq!(varint(case, 16), expected, "{case:?}");
            let expected = postcard::take_from_bytes::<u32>(case).ok().map(|(n, rest)| (u64::from(n), rest));
            assert_eq!(varint(case, 32), expected, "{case:?}");
            let expected = postcard::take_from_bytes::<u64>(case).ok();
            assert_eq!(varint(case, 64), expected, "{case:?}");
        }
    }
}
