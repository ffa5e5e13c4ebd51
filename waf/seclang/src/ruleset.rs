//! The compiled ruleset: a view over bytes, every access of which is checked.

use core::fmt;

use crate::format::*;
use crate::scan::Scanner;

/// Why bytes are not taken as a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobError {
    /// It does not begin with [`MAGIC`].
    NotARuleset,
    /// It was made for another version of the layout.
    Version {
        /// Version of the blob.
        found: u16,
        /// Version this engine reads.
        supported: u16,
    },
    /// It is shorter or longer than it says.
    Length {
        /// Length it states, in bytes.
        stated: usize,
        /// Length it has.
        found: usize,
    },
    /// A section reaches beyond the end.
    Section {
        /// Number of the section.
        section: usize,
    },
    /// The checksum is not that of the content.
    Checksum {
        /// Checksum it states.
        stated: u32,
        /// Checksum of its content.
        computed: u32,
    },
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlobError::NotARuleset => f.write_str("not a compiled ruleset (it does not begin with PKTS)"),
            BlobError::Version { found, supported } => {
                write!(
                    f,
                    "ruleset of layout version {found}, this engine reads {supported}: compile the rules again"
                )
            }
            BlobError::Length { stated, found } => {
                write!(f, "the ruleset states {stated} bytes and has {found}")
            }
            BlobError::Section { section } => write!(f, "section {section} reaches beyond the ruleset's end"),
            BlobError::Checksum { stated, computed } => {
                write!(f, "the ruleset is damaged: checksum {computed:#010x} instead of {stated:#010x}")
            }
        }
    }
}

impl core::error::Error for BlobError {}

/// CRC-32 (IEEE 802.3, reflected polynomial `0xedb88320`) of a blob behind its header. Four bits a
/// step: a table of 16 words is small, and a blob is megabytes.
#[must_use]
pub fn checksum(blob: &[u8]) -> u32 {
    const NIBBLES: [u32; 16] = {
        let mut table = [0; 16];
        let mut at = 0;
        while at < 16 {
            let mut crc = at as u32;
            let mut bit = 0;
            while bit < 4 {
                crc = (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1));
                bit += 1;
            }
            table[at] = crc;
            at += 1;
        }
        table
    };
    let content = blob.get(HEADER_LEN..).unwrap_or(&[]);
    !content.iter().fold(u32::MAX, |crc, &byte| {
        let crc = crc ^ u32::from(byte);
        let crc = (crc >> 4) ^ NIBBLES[(crc & 15) as usize];
        (crc >> 4) ^ NIBBLES[(crc & 15) as usize]
    })
}

/// The fields of a [`Rule`] that it takes to run it, up to a match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    pub flags: u32,
    pub targets: u32,
    pub target_count: u16,
    pub pipeline: u16,
    pub matcher: u16,
    pub actions: u32,
    pub action_count: u16,
    pub links: u16,
}

/// A compiled ruleset: a handle to copy.
#[derive(Clone, Copy)]
pub struct RuleSet<'a> {
    blob: &'a [u8],
    sections: [&'a [u8]; SECTIONS],
}

impl<'a> RuleSet<'a> {
    /// A ruleset from bytes that may be damaged or foreign: structure and checksum are proved.
    ///
    /// # Errors
    /// [`BlobError`] says what is wrong.
    pub fn load(blob: &'a [u8]) -> Result<Self, BlobError> {
        let rules = Self::from_trusted(blob)?;
        let stated = u32::read(blob.get(12..).unwrap_or(&[]));
        let computed = checksum(blob);
        if stated != computed {
            return Err(BlobError::Checksum { stated, computed });
        }
        Ok(rules)
    }

    /// A ruleset from bytes that this build made itself: the structure is proved, the checksum is
    /// not computed, because every fresh instance would pay for it.
    ///
    /// # Errors
    /// [`BlobError`] says what is wrong.
    pub fn from_trusted(blob: &'a [u8]) -> Result<Self, BlobError> {
        if blob.get(..4) != Some(&MAGIC) {
            return Err(BlobError::NotARuleset);
        }
        let found = u16::read(blob.get(4..).unwrap_or(&[]));
        if found != VERSION {
            return Err(BlobError::Version { found, supported: VERSION });
        }
        let stated = u32::read(blob.get(8..).unwrap_or(&[])) as usize;
        let count = u16::read(blob.get(6..).unwrap_or(&[]));
        if stated != blob.len() || usize::from(count) != SECTIONS {
            return Err(BlobError::Length { stated, found: blob.len() });
        }
        let mut sections: [&[u8]; SECTIONS] = [&[]; SECTIONS];
        for (index, section) in sections.iter_mut().enumerate() {
            let entry = blob.get(HEADER_LEN + index * 8..).unwrap_or(&[]);
            let (offset, len) = (u32::read(entry), u32::read(entry.get(4..).unwrap_or(&[])));
            *section = offset
                .checked_add(len)
                .and_then(|end| blob.get(offset as usize..end as usize))
                .ok_or(BlobError::Section { section: index })?;
        }
        Ok(RuleSet { blob, sections })
    }

    /// The blob.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.blob
    }

    /// The bytes of a section.
    #[inline]
    #[must_use]
    pub fn section(&self, section: Section) -> &'a [u8] {
        self.sections[section as usize]
    }

    /// Record number `index` of a section; zeros where there is none.
    #[inline]
    #[must_use]
    pub fn record<R: Record>(&self, section: Section, index: usize) -> R {
        // `index` comes from 32-bit fields; a product that wraps finds another record or none.
        R::read(self.section(section).get(index.wrapping_mul(R::LEN)..).unwrap_or(&[]))
    }

    /// How many records of a kind a section holds.
    #[must_use]
    pub fn count<R: Record>(&self, section: Section) -> usize {
        self.section(section).len() / R::LEN
    }

    /// The directives.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.record(Section::Meta, 0)
    }

    /// Rule record number `index`, a link's too.
    #[inline]
    #[must_use]
    pub fn rule(&self, index: usize) -> Rule {
        self.record(Section::Rules, index)
    }

    /// The part of a rule that it takes to run it.
    #[inline]
    pub(crate) fn hot(&self, index: usize) -> Hot {
        // What is not used of the record is not read.
        let rule = self.rule(index);
        Hot {
            flags: rule.flags,
            targets: rule.targets,
            target_count: rule.target_count,
            pipeline: rule.pipeline,
            matcher: rule.matcher,
            actions: rule.actions,
            action_count: rule.action_count,
            links: rule.links,
        }
    }

    /// How many rule records there are.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.count::<Rule>(Section::Rules)
    }

    /// Target record number `index`.
    #[inline]
    #[must_use]
    pub fn target(&self, index: usize) -> Target {
        self.record(Section::Targets, index)
    }

    /// The targets of a rule, exclusions among them.
    pub fn targets(&self, rule: &Rule) -> impl Iterator<Item = Target> + use<'a> {
        let (rules, first) = (*self, rule.targets as usize);
        (first..first + usize::from(rule.target_count)).map(move |index| rules.target(index))
    }

    /// The actions of a rule.
    pub fn actions(&self, rule: &Rule) -> impl Iterator<Item = Action> + use<'a> {
        let (rules, first) = (*self, rule.actions as usize);
        (first..first + usize::from(rule.action_count)).map(move |at| rules.record(Section::Actions, at))
    }

    /// The tags of a rule.
    pub fn tags(&self, rule: &Rule) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (rules, first) = (*self, rule.tags as usize);
        (first..first + usize::from(rule.tag_count))
            .map(move |tag| rules.text(rules.record(Section::Tags, tag)))
    }

    /// The parts of a template.
    pub fn parts(&self, template: Template) -> impl Iterator<Item = Part> + use<'a> {
        let (rules, first) = (*self, template.first as usize);
        (first..first + usize::from(template.parts)).map(move |part| rules.record(Section::Parts, part))
    }

    /// Matcher number `index`.
    #[inline]
    #[must_use]
    pub fn matcher(&self, index: usize) -> Matcher {
        self.record(Section::Matchers, index)
    }

    /// A text.
    #[inline]
    #[must_use]
    pub fn text(&self, text: Text) -> &'a [u8] {
        slice(self.section(Section::Strings), text)
    }

    /// Compiled data: a regex, a phrase set …
    #[inline]
    #[must_use]
    pub fn data(&self, text: Text) -> &'a [u8] {
        slice(self.section(Section::Data), text)
    }

    /// Word `word` of set `set` of matchers; `words` is [`Meta::matcher_words`].
    #[inline]
    pub(crate) fn matcher_set(&self, set: usize, words: usize) -> &'a [[u8; 4]] {
        self.set(Section::MatcherSets, set, words)
    }

    /// Set `set` of rules; `words` is [`Meta::rule_words`].
    #[inline]
    pub(crate) fn rule_set(&self, set: usize, words: usize) -> &'a [[u8; 4]] {
        self.set(Section::RuleSets, set, words)
    }

    #[inline]
    fn set(&self, section: Section, set: usize, words: usize) -> &'a [[u8; 4]] {
        let words_of_all = self.section(section).as_chunks::<4>().0;
        let first = set.saturating_mul(words);
        words_of_all.get(first..first.saturating_add(words)).unwrap_or(&[])
    }

    /// Whether `rule` is in set `set` of rules.
    pub(crate) fn rule_in_set(&self, set: usize, words: usize, rule: usize) -> bool {
        let word = self.rule_set(set, words).get(rule / 32).map_or(0, |word| u32::from_le_bytes(*word));
        word >> (rule % 32) & 1 != 0
    }

    /// The prefilter's tables for values of requests, if there are any.
    pub(crate) fn scanner(&self) -> Option<Scanner<'a>> {
        Scanner::new(self.section(Section::Scan))
    }

    /// Those for values of responses.
    pub(crate) fn scanner_for_responses(&self) -> Option<Scanner<'a>> {
        Scanner::new(self.section(Section::ScanResponses))
    }

    /// Those for values of words.
    pub(crate) fn scanner_for_words(&self) -> Option<Scanner<'a>> {
        Scanner::new(self.section(Section::ScanWords))
    }
}

fn slice(bytes: &[u8], text: Text) -> &[u8] {
    let at = text.at as usize;
    bytes.get(at..at.saturating_add(text.len as usize)).unwrap_or(&[])
}

impl fmt::Debug for RuleSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet")
            .field("bytes", &self.blob.len())
            .field("rules", &self.rule_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn empty() -> Vec<u8> {
        let len = HEADER_LEN + SECTIONS * 8;
        let mut blob = Vec::new();
        blob.extend_from_slice(&MAGIC);
        VERSION.write(&mut blob);
        (SECTIONS as u16).write(&mut blob);
        (len as u32).write(&mut blob);
        0u32.write(&mut blob);
        for _ in 0..SECTIONS {
            (len as u32).write(&mut blob);
            0u32.write(&mut blob);
        }
        let crc = checksum(&blob);
        blob[12..16].copy_from_slice(&crc.to_le_bytes());
        blob
    }

    #[test]
    fn check_value_of_the_standard() {
        let mut blob = vec![0; HEADER_LEN];
        blob.extend_from_slice(b"123456789");
        assert_eq!(checksum(&blob), 0xcbf4_3926);
    }

    #[test]
    fn damage_is_told_by_its_kind() {
        let blob = empty();
        assert!(RuleSet::load(&blob).is_ok());
        assert_eq!(RuleSet::load(b"").err(), Some(BlobError::NotARuleset));
        assert_eq!(RuleSet::load(&blob[1..]).err(), Some(BlobError::NotARuleset));
        assert!(matches!(RuleSet::load(&blob[..blob.len() - 1]), Err(BlobError::Length { .. })));
        let mut other = blob.clone();
        other[4..6].copy_from_slice(&99_u16.to_le_bytes());
        assert_eq!(RuleSet::load(&other).err(), Some(BlobError::Version { found: 99, supported: VERSION }));
        let mut other = blob.clone();
        other[HEADER_LEN + 4] = 1;
        assert_eq!(RuleSet::load(&other).err(), Some(BlobError::Section { section: 0 }));
        let mut other = blob.clone();
        other[HEADER_LEN + 8] -= 1;
        assert!(matches!(RuleSet::load(&other), Err(BlobError::Checksum { .. })));
        assert!(RuleSet::from_trusted(&other).is_ok());
    }

    #[test]
    fn reads_beyond_a_section_are_zeros() {
        let blob = empty();
        let rules = RuleSet::load(&blob).expect("made above");
        assert_eq!(rules.meta(), Meta::default());
        assert_eq!(rules.rule(usize::MAX), Rule::default());
        assert_eq!(rules.text(Text { at: u32::MAX, len: 4 }), b"");
        assert!(rules.rule_set(7, usize::MAX).is_empty());
        assert!(!rules.rule_in_set(0, 1, 5));
    }
}
