//! Takes a start function out of the hands of an engine that runs it to the end, whatever the clock
//! says.

use alloc::string::String;
use alloc::vec::Vec;

use wasmparser::{Parser, Payload};

use crate::rewrite::{behind_count, leb128, push_section};

/// The kind of an export that is a function, in the binary format.
const FUNCTION: u8 = 0;

/// Rewrites a module with a start function into one that exports it instead, for backends whose
/// engine cannot interrupt a start function: they call it like any other. Returns the module and the
/// name of the export; `None` for a module without a start function, or for no module.
///
/// The rest of the module stays as it is, byte by byte; custom sections included.
pub fn start_as_export(wasm: &[u8]) -> Option<(Vec<u8>, String)> {
    let mut start = None;
    let mut name = String::from("picket start");
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::StartSection { func, .. } => start = Some(func),
            Payload::ExportSection(exports) => {
                // Whatever it is called already, that is not it.
                while exports.clone().into_iter().flatten().any(|export| export.name == name) {
                    name.push('\'');
                }
            }
            _ => {}
        }
    }
    let start = start?;

    let mut module = wasm.get(..8)?.to_vec();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        let Some((id, range)) = payload.as_section() else { continue };
        let contents = wasm.get(range)?;
        match payload {
            Payload::StartSection { .. } => {}
            Payload::ExportSection(exports) => {
                let mut section = Vec::with_capacity(contents.len() + name.len() + 12);
                leb128(&mut section, exports.count() + 1);
                section.extend_from_slice(behind_count(contents)?);
                leb128(&mut section, name.len() as u32);
                section.extend_from_slice(name.as_bytes());
                section.push(FUNCTION);
                leb128(&mut section, start);
                push_section(&mut module, id, &section);
            }
            _ => push_section(&mut module, id, contents),
        }
    }
    Some((module, name))
}
