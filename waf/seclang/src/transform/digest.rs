//! Digests, as bytes.

use alloc::vec::Vec;

use md5::{Digest, Md5};
use sha1::Sha1;

pub(super) fn md5(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&Md5::digest(input));
}

pub(super) fn sha1(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&Sha1::digest(input));
}
