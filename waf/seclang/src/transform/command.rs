//! What a command line comes to once a shell has read it.

use alloc::vec::Vec;

/// Quotes, carets and backslashes vanish; runs of blanks, `,` and `;` become one blank, none before
/// `/` and `(`; letters become lower case.
pub(super) fn line(input: &[u8], out: &mut Vec<u8>) {
    out.reserve(input.len());
    let mut blank = false;
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !blank {
                    out.push(b' ');
                    blank = true;
                }
            }
            _ => {
                if blank && matches!(byte, b'/' | b'(') {
                    out.pop();
                }
                blank = false;
                out.push(byte.to_ascii_lowercase());
            }
        }
    }
}
