//! Which of the byte sets that patterns ask for have a byte in a value.

use crate::blob::format::SPECIAL_BYTE as SPECIAL;
use crate::blob::u32_at;
use crate::transform::hex;

/// For each byte, the sets it is in: one bit each, and the mark of the special ones.
#[derive(Clone, Copy)]
pub(crate) struct ByteSets<'a>(&'a [[u8; 4]]);

impl<'a> ByteSets<'a> {
    pub(crate) fn new(table: &'a [u8]) -> Self {
        ByteSets(table.as_chunks().0)
    }

    fn of(&self, byte: u8) -> u32 {
        self.0.get(usize::from(byte)).map_or(0, |sets| u32_at(sets, 0))
    }

    /// The sets that have a byte in `value`.
    #[inline(never)]
    pub(crate) fn in_value(&self, value: &[u8]) -> u32 {
        value.iter().fold(0, |seen, &byte| seen | self.of(byte)) & !SPECIAL
    }

    /// The sets that have a byte in a name or a value of a raw urlencoded string, once decoded. What
    /// separates them does not count.
    #[inline(never)]
    pub(crate) fn in_urlencoded(&self, raw: &[u8]) -> u32 {
        let mut seen = 0;
        let mut in_value = false;
        let mut rest = raw.iter();
        while let Some(&byte) = rest.next() {
            let sets = self.of(byte);
            if sets & SPECIAL == 0 {
                seen |= sets;
                continue;
            }
            match byte {
                b'&' => in_value = false,
                b'=' if !in_value => in_value = true,
                b'+' => seen |= self.of(b' '),
                b'%' => {
                    // The digits are read again as what they are: more is seen than there is.
                    let decoded = match rest.as_slice() {
                        [high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
                        _ => None,
                    };
                    seen |= self.of(decoded.unwrap_or(b'%'));
                }
                _ => seen |= sets,
            }
        }
        seen & !SPECIAL
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::urlencoded;

    /// A set for each of a few bytes.
    fn table() -> Vec<u8> {
        let sets = |byte: u8| {
            let bit = b"=&%+ A'".iter().position(|&known| known == byte).map_or(0, |bit| 1 << bit);
            bit | if matches!(byte, b'=' | b'&' | b'%' | b'+') { SPECIAL } else { 0 }
        };
        (0..=255u8).flat_map(|byte| u32::to_le_bytes(sets(byte))).collect()
    }

    /// What holds for the whole string must hold for each name and value in it.
    #[test]
    fn a_string_has_every_byte_of_its_pairs() {
        let table = table();
        let sets = ByteSets::new(&table);
        for raw in [
            &b"a=1&b==2"[..],
            b"a&b==c",
            b"x=%3D%26+&%41",
            b"=&=&===",
            b"%",
            b"a=%4&b=%zz",
            b"a%3d=1",
            b"a=%27",
        ] {
            let whole = sets.in_urlencoded(raw);
            let mut buffer = Vec::new();
            for (name, value) in urlencoded::pairs(raw) {
                for part in [name, value] {
                    let part = sets.in_value(urlencoded::decode(part, &mut buffer));
                    assert_eq!(part & !whole, 0, "{}", raw.escape_ascii());
                }
            }
        }
        assert_eq!(sets.in_urlencoded(b"a=1&b=2"), 0, "separators do not count");
    }
}
