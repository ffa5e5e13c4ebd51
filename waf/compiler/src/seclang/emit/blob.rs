//! The frame around the sections.

use picket_seclang::format::{HEADER_LEN, MAGIC, Record, SECTIONS, Section, Text, VERSION};
use picket_seclang::{BlobError, RuleSet, checksum};

use super::super::error::{Error, fit};

/// Sections begin at multiples of this.
const ALIGN: usize = 16;

/// Puts sections together, each at the place that its number says.
pub(super) fn assemble(sections: &[Vec<u8>; SECTIONS]) -> Result<Vec<u8>, Error> {
    let mut blob = vec![0; (HEADER_LEN + SECTIONS * Text::LEN).next_multiple_of(ALIGN)];
    let mut table = Vec::new();
    for section in sections {
        blob.resize(blob.len().next_multiple_of(ALIGN), 0);
        let at = fit("bytes", blob.len(), u32::MAX as usize)?;
        let len = fit("bytes in a section", section.len(), u32::MAX as usize)?;
        Text { at, len }.write(&mut table);
        blob.extend_from_slice(section);
    }
    let mut header = MAGIC.to_vec();
    VERSION.write(&mut header);
    (SECTIONS as u16).write(&mut header);
    fit::<u32>("bytes", blob.len(), u32::MAX as usize)?.write(&mut header);
    0u32.write(&mut header);
    header.extend(table);
    blob[..header.len()].copy_from_slice(&header);
    let crc = checksum(&blob);
    blob[12..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    Ok(blob)
}

/// The sections of a blob.
pub(crate) fn sections(blob: &[u8]) -> Result<[Vec<u8>; SECTIONS], BlobError> {
    let rules = RuleSet::load(blob)?;
    Ok(SECTION_LIST.map(|section| rules.section(section).to_vec()))
}

/// All sections, in the order of the table.
pub(crate) const SECTION_LIST: [Section; SECTIONS] = [
    Section::Meta,
    Section::Strings,
    Section::Rules,
    Section::Targets,
    Section::Actions,
    Section::Parts,
    Section::Tags,
    Section::Matchers,
    Section::Data,
    Section::Uses,
    Section::Nodes,
    Section::Pipelines,
    Section::Variables,
    Section::Slots,
    Section::MatcherSets,
    Section::RuleSets,
    Section::Scan,
    Section::TxNames,
    Section::TxInit,
    Section::ResponseTypes,
    Section::Sources,
    Section::Glance,
    Section::Wants,
    Section::ScanWords,
    Section::ScanResponses,
    Section::TxUses,
];

/// The blob without what only [`explain`](crate::seclang::explain) needs: for a module that a ruleset
/// is put into.
///
/// # Errors
/// [`BlobError`] if it is no blob.
pub fn strip_sources(blob: &[u8]) -> Result<Vec<u8>, BlobError> {
    let mut sections = sections(blob)?;
    sections[Section::Sources as usize].clear();
    // It was a blob, and is smaller now: the numbers fit.
    Ok(assemble(&sections).unwrap_or_else(|_| blob.to_vec()))
}
