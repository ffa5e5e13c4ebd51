//! The data of a module, in an order that an interpreter on a board can afford.

/// The id of the data section in the binary format (WebAssembly 2.0, section 5.5.14).
const DATA: u8 = 11;

/// Moves the longest active segment behind the others, which changes nothing: segments of one linker
/// do not overlap. wasmi gathers them in one buffer, and doubles that when a short one follows a long one:
/// three times the memory for a moment, which a board does not have.
///
/// `None` if the module has no data section of active segments with constant addresses, or is none.
pub fn longest_last(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut at = 8;
    while at < wasm.len() {
        let id = wasm[at];
        let (len, begin) = leb128(wasm, at + 1)?;
        let end = begin.checked_add(len)?;
        let contents = wasm.get(begin..end)?;
        if id == DATA {
            let mut segments = segments(contents)?;
            segments.sort_by_key(|segment| segment.len());
            let (_, first) = leb128(contents, 0)?;
            let mut module = wasm[..begin + first].to_vec();
            segments.iter().for_each(|segment| module.extend_from_slice(segment));
            module.extend_from_slice(&wasm[end..]);
            return Some(module);
        }
        at = end;
    }
    None
}

/// The segments of a data section, each with its head.
fn segments(contents: &[u8]) -> Option<Vec<&[u8]>> {
    const I32_CONST: u8 = 0x41;
    const END: u8 = 0x0b;
    let (count, mut at) = leb128(contents, 0)?;
    let mut segments = Vec::new();
    for _ in 0..count {
        let start = at;
        // Active, of memory 0, at a constant.
        if contents.get(at..at + 2)? != [0, I32_CONST] {
            return None;
        }
        at = leb128(contents, at + 2)?.1;
        if *contents.get(at)? != END {
            return None;
        }
        let (len, bytes) = leb128(contents, at + 1)?;
        at = bytes.checked_add(len)?;
        segments.push(contents.get(start..at)?);
    }
    Some(segments)
}

/// A number of at most 32 bits, and where it ends.
fn leb128(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::longest_last;

    #[test]
    fn the_longest_segment_moves_to_the_end() {
        let long = [0, 0x41, 8, 0x0b, 3, 1, 2, 3];
        let short = [0, 0x41, 32, 0x0b, 1, 9];
        let module = |first: &[u8], second: &[u8]| {
            let section = [&[2], first, second].concat();
            [b"\0asm\x01\0\0\0", &[11, section.len() as u8][..], &section, &[0, 1, 0]].concat()
        };
        assert_eq!(longest_last(&module(&long, &short)), Some(module(&short, &long)));
        assert_eq!(longest_last(b"\0asm\x01\0\0\0\x0b\x02\x01\x01"), None, "a passive segment");
        assert_eq!(longest_last(b"\0asm\x01\0\0\0"), None);
    }
}
