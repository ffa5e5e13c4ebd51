//! Puts data into a module: a filter and its ruleset become one file with one digest.
//!
//! The data become part of the module's initial memory, behind everything that it has already. A
//! fresh instance then finds them in place: nothing is handed over, copied or parsed for it, and an
//! engine that shares initial memory between instances shares them as well.

use alloc::vec::Vec;
use core::fmt;

use wasmparser::{ConstExpr, ExternalKind, Operator, Parser, Payload};

use crate::rewrite::{behind_count, leb128, push_section, sleb128};

/// The global that a module exports if it takes data: the address of two words of four bytes, for the
/// address of the data and their length.
const EXPORT: &str = "picket_data";
/// The custom section that says what was put in: the length, four bytes.
const MARK: &str = "picket.data";
const PAGE: usize = 64 * 1024;
/// Pages of a 32-bit memory.
const MAX_PAGES: usize = 65536;

const CUSTOM: u8 = 0;
const MEMORY: u8 = 5;
const DATA: u8 = 11;
const DATA_COUNT: u8 = 12;

/// Why data cannot be put into a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AttachError {
    /// The bytes are no module.
    NotAModule {
        /// Where reading ended, in bytes.
        offset: usize,
    },
    /// The module does not say where it looks for data.
    TakesNone,
    /// It has data already.
    HasSome {
        /// Their length, in bytes.
        length: u32,
    },
    /// The module's memory is not of the kind that data can be put into: not its own, not the only
    /// one, shared, or of 64 bits.
    Memory,
    /// The memory would become too large.
    TooLarge {
        /// Pages of 64 KiB that it would need.
        pages: usize,
        /// Pages that it can have.
        limit: usize,
    },
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttachError::NotAModule { offset } => {
                write!(f, "not a WebAssembly module (reading ended at byte {offset})")
            }
            AttachError::TakesNone => {
                write!(f, "the module takes no data: it has no exported global `{EXPORT}`")
            }
            AttachError::HasSome { length } => {
                write!(f, "the module carries {length} bytes of data already: take the one without")
            }
            AttachError::Memory => {
                f.write_str("the module needs one memory of its own, of 32 bits and not shared, to take data")
            }
            AttachError::TooLarge { pages, limit } => {
                write!(f, "the module's memory would need {pages} pages of 64 KiB and can have {limit}")
            }
        }
    }
}

impl core::error::Error for AttachError {}

/// A module with `data` in its initial memory, for modules that ask for it (`data: true` in the SDK's
/// `export!`). Everything else of the module stays as it is.
///
/// # Errors
/// [`AttachError`] if the bytes are no module or not one that takes data, or if there is no room.
pub fn attach(wasm: &[u8], data: &[u8]) -> Result<Vec<u8>, AttachError> {
    let place = Place::find(wasm)?;
    let data_pages = data.len().div_ceil(PAGE);
    let pages = place.pages.saturating_add(data_pages);
    if pages > place.max_pages {
        return Err(AttachError::TooLarge { pages, limit: place.max_pages });
    }
    let start = (place.pages * PAGE) as u32;

    let mut segments = Vec::with_capacity(data.len() + 32);
    push_segment(&mut segments, start, data);
    let mut slot = [0; 8];
    slot[..4].copy_from_slice(&start.to_le_bytes());
    slot[4..].copy_from_slice(&(data.len() as u32).to_le_bytes());
    push_segment(&mut segments, place.slot, &slot);

    let broken = |offset| AttachError::NotAModule { offset };
    let mut module = wasm.get(..8).ok_or(broken(0))?.to_vec();
    module.reserve(wasm.len() + segments.len());
    let mut pending = Some(segments);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| broken(error.offset()))?;
        let Some((id, range)) = payload.as_section() else { continue };
        let contents = wasm.get(range.clone()).ok_or(broken(range.start))?;
        let mut section = Vec::new();
        match payload {
            Payload::MemorySection(_) => {
                section.push(1);
                section.push(u8::from(place.has_max));
                leb128(&mut section, pages as u32);
                if place.has_max {
                    leb128(&mut section, place.max_pages as u32);
                }
                push_section(&mut module, MEMORY, &section);
            }
            Payload::DataCountSection { count, .. } => {
                leb128(&mut section, count.saturating_add(2));
                push_section(&mut module, DATA_COUNT, &section);
            }
            Payload::DataSection(known) => {
                leb128(&mut section, known.count().saturating_add(2));
                section.extend_from_slice(behind_count(contents).ok_or(broken(range.start))?);
                section.append(&mut pending.take().unwrap_or_default());
                push_section(&mut module, DATA, &section);
            }
            _ => push_section(&mut module, id, contents),
        }
    }
    if let Some(mut segments) = pending {
        let mut section = alloc::vec![2];
        section.append(&mut segments);
        push_section(&mut module, DATA, &section);
    }
    let mut mark = Vec::new();
    leb128(&mut mark, MARK.len() as u32);
    mark.extend_from_slice(MARK.as_bytes());
    mark.extend_from_slice(&(data.len() as u32).to_le_bytes());
    push_section(&mut module, CUSTOM, &mark);
    Ok(module)
}

/// An active segment of memory 0.
fn push_segment(section: &mut Vec<u8>, at: u32, bytes: &[u8]) {
    const I32_CONST: u8 = 0x41;
    const END: u8 = 0x0b;
    section.extend([0, I32_CONST]);
    sleb128(section, at as i32);
    section.push(END);
    leb128(section, bytes.len() as u32);
    section.extend_from_slice(bytes);
}

/// Where a module takes data.
struct Place {
    /// Address of the two words.
    slot: u32,
    pages: usize,
    max_pages: usize,
    has_max: bool,
}

impl Place {
    fn find(wasm: &[u8]) -> Result<Place, AttachError> {
        let broken =
            |error: wasmparser::BinaryReaderError| AttachError::NotAModule { offset: error.offset() };
        let mut memories = Vec::new();
        let mut imported_globals = 0;
        let mut globals = Vec::new();
        let mut export = None;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(broken)? {
                Payload::Version { encoding: wasmparser::Encoding::Component, .. } => {
                    return Err(AttachError::NotAModule { offset: 4 });
                }
                Payload::ImportSection(imports) => {
                    for import in imports {
                        match import.map_err(broken)?.ty {
                            wasmparser::TypeRef::Memory(_) => return Err(AttachError::Memory),
                            wasmparser::TypeRef::Global(_) => imported_globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        memories.push(memory.map_err(broken)?);
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        globals.push(constant(&global.map_err(broken)?.init_expr));
                    }
                }
                Payload::ExportSection(exports) => {
                    for known in exports {
                        let known = known.map_err(broken)?;
                        if known.name == EXPORT && known.kind == ExternalKind::Global {
                            export = Some(known.index);
                        }
                    }
                }
                Payload::CustomSection(section) if section.name() == MARK => {
                    let length = section.data().first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
                    return Err(AttachError::HasSome { length });
                }
                _ => {}
            }
        }
        let slot = export
            .and_then(|index| index.checked_sub(imported_globals))
            .and_then(|index| globals.get(index as usize).copied().flatten())
            .ok_or(AttachError::TakesNone)?;
        let [memory] = memories[..] else { return Err(AttachError::Memory) };
        let pages = usize::try_from(memory.initial).unwrap_or(usize::MAX);
        if memory.memory64
            || memory.shared
            || memory.page_size_log2.is_some()
            || u64::from(slot) + 8 > memory.initial.saturating_mul(PAGE as u64)
        {
            return Err(AttachError::Memory);
        }
        let max = memory.maximum.and_then(|max| usize::try_from(max).ok());
        Ok(Place { slot, pages, max_pages: max.unwrap_or(MAX_PAGES).min(MAX_PAGES), has_max: max.is_some() })
    }
}

/// The value of an initialiser that is a number.
pub(crate) fn constant(expression: &ConstExpr<'_>) -> Option<u32> {
    match expression.get_operators_reader().read().ok()? {
        Operator::I32Const { value } => Some(value as u32),
        _ => None,
    }
}
