//! Parity bits of seven-bit bytes.

/// The top bit set if the byte has an odd number of ones, cleared otherwise.
pub(super) const fn even(byte: u8) -> u8 {
    if byte.count_ones() & 1 == 1 { byte | 0x80 } else { byte & 0x7f }
}

/// The top bit cleared if the byte has an odd number of ones, set otherwise.
pub(super) const fn odd(byte: u8) -> u8 {
    if byte.count_ones() & 1 == 1 { byte & 0x7f } else { byte | 0x80 }
}

/// The bytes that [`even`] changes.
pub(super) const EVEN: [u64; 4] = changed(true);

/// The bytes that [`odd`] changes.
pub(super) const ODD: [u64; 4] = changed(false);

const fn changed(to_even: bool) -> [u64; 4] {
    let mut set = [0; 4];
    let mut b = 0usize;
    while b < 256 {
        let byte = b as u8;
        if (if to_even { even(byte) } else { odd(byte) }) != byte {
            set[b >> 6] |= 1 << (b & 63);
        }
        b += 1;
    }
    set
}
