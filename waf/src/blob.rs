//! The compiled ruleset: a view over bytes, every access of which is checked.
//!
//! No table is built at start: a fresh instance of the guest begins with its tables where the linker
//! put them. Reads outside a table give zero, so that a wrong blob can give wrong verdicts but no
//! panic; [`RuleSet::load`] refuses damaged blobs by their checksum.

use core::fmt;

use crate::crc::crc32;
use crate::dfa::Dfa;
use crate::prefilter::Prefilter;
use crate::present::ByteSets;
use crate::transform::Transformation;
use crate::variable::Variable;
use picket_abi::Severity;

/// Layout of the blob, shared with the compiler. All numbers are little-endian.
///
/// | bytes | content |
/// |---|---|
/// | 0–3 | [`MAGIC`](format::MAGIC) |
/// | 4–5 | [`VERSION`](format::VERSION) |
/// | 6–7 | number of sections |
/// | 8–11 | length of the blob |
/// | 12–15 | CRC-32 of everything from byte 16 |
/// | 16– | a table of `offset: u32, length: u32`, one pair a [`Section`](format::Section) |
///
/// A *text* is `offset: u32, length: u16` into [`Section::Strings`](format::Section::Strings). A
/// *pattern set* is a row of `u32` words, one bit a pattern.
pub mod format {
    /// The first bytes of a blob.
    pub const MAGIC: [u8; 4] = *b"PKTR";
    /// Version of this layout.
    pub const VERSION: u16 = 3;
    /// Bytes before the section table.
    pub const HEADER_LEN: usize = 16;

    /// Sections, in the order of the table.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(usize)]
    pub enum Section {
        /// Texts, one behind the other.
        Strings = 0,
        /// Records of [`RULE_LEN`].
        Rules = 1,
        /// Texts: the tags of the rules.
        Tags = 2,
        /// Records of [`CHECK_LEN`].
        Checks = 3,
        /// Records of [`SELECTOR_LEN`].
        Selectors = 4,
        /// Records of [`PATTERN_LEN`].
        Patterns = 5,
        /// Records of [`NODE_LEN`].
        Nodes = 6,
        /// Records of [`VARIABLE_LEN`].
        Variables = 7,
        /// A pattern set a variable: what could match there.
        VariablePatterns = 8,
        /// A pattern set a node: what runs on its value.
        NodePatterns = 9,
        /// A pattern set a variable: what runs whether a literal was seen or not.
        Always = 10,
        /// `u16` numbers: prefilter classes; the hot limit and the dense length, in entries; how many
        /// of the first checks are structural (for absent headers, for header counts, or with
        /// patterns that run on a named header without a literal); the first sparse state with
        /// outputs; how many headers are counted.
        Meta = 11,
        /// The class of each byte in values, then the same in raw urlencoded strings.
        PrefilterMap = 12,
        /// `u16` entries: rows of the dense states, premultiplied.
        PrefilterDense = 13,
        /// Values of a variable that no rule has anything against, one behind the other, the most
        /// frequent first: `variable: u8, length: u8`, then its bytes.
        Calm = 14,
        /// Lists: `count: u8, base: u8`, then `class: u8, next: u16` each; for any other class dense row
        /// number `base` counts. In front of the list of a state with outputs: `output: u16`. Behind the
        /// last: three bytes. The number of a sparse state is the dense length and the offset of its list.
        PrefilterSparse = 15,
        /// `u16` offsets of the outputs: of the dense states that have some, of [`ESCAPE`].
        PrefilterOutputIndex = 16,
        /// Lists: `count: u16`, then `u16` each: a pattern, or [`OUTPUT_FLAG`] and a flag's number.
        PrefilterOutputs = 17,
        /// Pattern automata; the module `dfa` has their layout.
        Automata = 18,
        /// A `u32` a byte: the byte sets it is in, one bit each, and [`SPECIAL_BYTE`].
        Needs = 19,
        /// The joint class of each byte: bytes of one class are told apart by no automaton.
        JointClasses = 20,
        /// Records of [`HEADER_NAME_LEN`]: names of headers that something is known of.
        HeaderNames = 21,
        /// A hash table of these: the number of a record and 1, or 0. Its length is a power of two; a
        /// name stands at [`name_hash`] or behind it.
        HeaderSlots = 22,
    }

    /// Number of sections.
    pub const SECTIONS: usize = 23;
    /// Most byte sets that the patterns of a ruleset ask for.
    pub const NEEDS: usize = 31;
    /// In [`Section::Needs`]: the byte is no content in a raw urlencoded string (`=`, `&`, `%`, `+`).
    pub const SPECIAL_BYTE: u32 = 1 << 31;
    /// `id: u32, message: text, category: text, severity: u8, tags: u8, first tag: u16`
    pub const RULE_LEN: usize = 20;
    /// `rule: u16, calm: u8, operator: u8, variables: u32, first selector: u16, selectors: u16,
    /// first pattern: u16, patterns: u16`. What is calm needs no automaton: with [`CALM_COUNTS`] the
    /// header counts 0 and 1, with any other number `n` above 0 values with a byte, but none of byte set
    /// `n - 1`.
    pub const CHECK_LEN: usize = 16;
    /// See [`CHECK_LEN`].
    pub const CALM_COUNTS: u8 = 0xff;
    /// `name: text, flags: u8, count: u8`: what is known of a header's name, and its place among the
    /// counts of headers, if there is one.
    pub const HEADER_NAME_LEN: usize = 8;
    /// Only checks that name the header look at its values.
    pub const NAME_IGNORED: u8 = 1;
    /// No rule has anything against the name.
    pub const NAME_CALM: u8 = 2;
    /// Some check of the header's values needs no literal.
    pub const NAME_VALUED: u8 = 4;
    /// In a record of a name: it is not counted.
    pub const NOT_COUNTED: u8 = 0xff;

    /// Where a header's name stands in [`Section::HeaderSlots`], in any letter case.
    pub const fn name_hash(name: &[u8]) -> usize {
        let [first, .., last] = name else { return name.len() };
        name.len() * 7 + (*first | 0x20) as usize * 3 + (*last | 0x20) as usize
    }
    /// `variable: u8, kind: u8, name: text`. The kind: [`EXCLUDE`], and, above it, in structural checks
    /// the place of the name among the counts of headers and 1.
    pub const SELECTOR_LEN: usize = 8;
    /// In a selector: the name is left out.
    pub const EXCLUDE: u8 = 1;
    /// `nodes: u32, triggers: u32, always: u32`: the pipeline nodes that values of the variable need
    /// (0: no rule looks at it), the flags that make one of them change something, and the byte sets of
    /// which a value must have one before patterns run that wait for no literal, or [`EVERY_VALUE`]
    pub const VARIABLE_LEN: usize = 12;
    /// Patterns run whatever bytes a value has.
    pub const EVERY_VALUE: u32 = 1 << 31;
    /// `automaton: u32, check: u16, needs: u32`: a value without a byte of each set whose bit is in
    /// `needs` does not match
    pub const PATTERN_LEN: usize = 10;
    /// `parent: u8, transformation: u8, reserved: u16, trigger flags: u32`
    pub const NODE_LEN: usize = 8;
    /// Length of a text reference.
    pub const TEXT_LEN: usize = 6;
    /// Most nodes, the root among them: they are bits of a `u32`.
    pub const MAX_NODES: usize = 32;
    /// Prefilter state that stands for `%`, which the sweep of a raw urlencoded string decodes. Its
    /// outputs are those of a `%` that is left.
    pub const ESCAPE: u16 = u16::MAX;
    /// Marks an output that sets a flag instead of naming a pattern.
    pub const OUTPUT_FLAG: u16 = 0x8000;

    /// Operator: one of the patterns matches.
    pub const OP_RX: u8 = 0;
    /// Operator: none of the patterns matches.
    pub const OP_NOT_RX: u8 = 1;
    /// Operator: there is no such variable.
    pub const OP_ABSENT: u8 = 2;
}

use format::Section;

/// Why bytes are not taken as a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobError {
    /// It does not begin with [`format::MAGIC`].
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
            BlobError::NotARuleset => f.write_str("not a compiled ruleset (it does not begin with PKTR)"),
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

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u16::from_le_bytes(*chunk))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// Whether two names are the same in any letter case: four bytes at a time, which an interpreter reads as
/// fast as one.
#[inline]
fn same_name(known: &[u8], name: &[u8]) -> bool {
    let (fours, rest) = known.as_chunks::<4>();
    let (name_fours, name_rest) = name.as_chunks::<4>();
    known.len() == name.len()
        && fours.iter().zip(name_fours).all(|(known, name)| same_four(*known, *name))
        && rest
            .iter()
            .zip(name_rest)
            .all(|(&known, &byte)| known == byte || known.eq_ignore_ascii_case(&byte))
}

#[inline]
fn same_four(known: [u8; 4], name: [u8; 4]) -> bool {
    const CASE: u32 = 0x2020_2020;
    let mut differing = u32::from_le_bytes(known) ^ u32::from_le_bytes(name);
    if differing & !CASE != 0 {
        return false;
    }
    while differing != 0 {
        let letter = u32::from_le_bytes(known) >> (differing.trailing_zeros() & 24);
        if !(letter as u8).is_ascii_alphabetic() {
            return false;
        }
        differing &= differing - 1;
    }
    true
}

fn record(bytes: &[u8], index: usize, len: usize) -> &[u8] {
    bytes.get(index * len..index * len + len).unwrap_or(&[])
}

/// A rule, as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleInfo<'a> {
    /// Number.
    pub id: u32,
    /// Message.
    pub message: &'a [u8],
    /// Category.
    pub category: &'a [u8],
    /// Severity.
    pub severity: Severity,
    first_tag: usize,
    tags: usize,
}

/// One condition of a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub rule: usize,
    pub operator: u8,
    /// See [`format::CHECK_LEN`].
    pub calm: u8,
    variables: u32,
    first_selector: usize,
    pub selectors: usize,
    pub first_pattern: usize,
    pub patterns: usize,
}

/// A step of a transformation pipeline. Pipelines that begin alike share nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub parent: u8,
    pub transformation: Option<Transformation>,
    pub triggers: u32,
}

/// What the rules want of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interest {
    /// Pipeline nodes, one bit each; 0 if no rule looks at the variable.
    pub nodes: u32,
    /// Flags of a sweep that make one of the nodes change the value.
    pub triggers: u32,
    /// The byte sets of which one makes patterns run without a literal, or [`format::EVERY_VALUE`].
    pub always: u32,
}

/// What is known of a header's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderName {
    /// `NAME_…`
    pub flags: u8,
    /// Its place among the counts.
    pub count: u8,
}

/// A compiled ruleset.
#[derive(Clone, Copy)]
pub struct RuleSet<'a> {
    len: usize,
    sections: [&'a [u8]; format::SECTIONS],
    words: usize,
    joint: &'a [u8; 256],
}

impl<'a> RuleSet<'a> {
    /// A ruleset from bytes that may be damaged or foreign: structure and checksum are proved.
    ///
    /// # Errors
    /// [`BlobError`] says what is wrong.
    pub fn load(blob: &'a [u8]) -> Result<Self, BlobError> {
        let rules = Self::from_trusted(blob)?;
        let stated = u32_at(blob, 12);
        let computed = crc32(blob.get(format::HEADER_LEN..).unwrap_or(&[]));
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
        if blob.get(..4) != Some(&format::MAGIC) {
            return Err(BlobError::NotARuleset);
        }
        let found = u16_at(blob, 4);
        if found != format::VERSION {
            return Err(BlobError::Version { found, supported: format::VERSION });
        }
        let stated = u32_at(blob, 8) as usize;
        if stated != blob.len() || usize::from(u16_at(blob, 6)) != format::SECTIONS {
            return Err(BlobError::Length { stated, found: blob.len() });
        }
        let mut sections: [&[u8]; format::SECTIONS] = [&[]; format::SECTIONS];
        for (index, section) in sections.iter_mut().enumerate() {
            let entry = format::HEADER_LEN + index * 8;
            let (offset, len) = (u32_at(blob, entry) as usize, u32_at(blob, entry + 4) as usize);
            *section = offset
                .checked_add(len)
                .and_then(|end| blob.get(offset..end))
                .ok_or(BlobError::Section { section: index })?;
        }
        let patterns = sections[Section::Patterns as usize].len() / format::PATTERN_LEN;
        let joint = sections[Section::JointClasses as usize];
        let joint =
            joint.first_chunk().ok_or(BlobError::Section { section: Section::JointClasses as usize })?;
        Ok(RuleSet { len: blob.len(), sections, words: patterns.div_ceil(32), joint })
    }

    fn section(&self, section: Section) -> &'a [u8] {
        self.sections[section as usize]
    }

    fn text(&self, record: &[u8], at: usize) -> &'a [u8] {
        let offset = u32_at(record, at) as usize;
        let len = usize::from(u16_at(record, at + 4));
        self.section(Section::Strings).get(offset..offset + len).unwrap_or(&[])
    }

    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        self.section(Section::Rules).len() / format::RULE_LEN
    }

    /// Rule number `index`, in the order of the source.
    pub fn rule(&self, index: usize) -> RuleInfo<'a> {
        let record = record(self.section(Section::Rules), index, format::RULE_LEN);
        RuleInfo {
            id: u32_at(record, 0),
            message: self.text(record, 4),
            category: self.text(record, 10),
            severity: Severity::try_from(record.get(16).copied().unwrap_or(0)).unwrap_or_default(),
            tags: usize::from(record.get(17).copied().unwrap_or(0)),
            first_tag: usize::from(u16_at(record, 18)),
        }
    }

    /// The tags of a rule.
    pub fn tags(&self, rule: &RuleInfo<'_>) -> impl Iterator<Item = &'a [u8]> {
        let tags = self.section(Section::Tags);
        (rule.first_tag..rule.first_tag + rule.tags).map(move |tag| self.text(tags, tag * format::TEXT_LEN))
    }

    pub(crate) fn check_count(&self) -> usize {
        self.section(Section::Checks).len() / format::CHECK_LEN
    }

    /// How many of the first checks are structural, see [`Section::Meta`].
    pub(crate) fn structural_checks(&self) -> usize {
        usize::from(u16_at(self.section(Section::Meta), 6))
    }

    pub(crate) fn check(&self, index: usize) -> Check {
        let record = record(self.section(Section::Checks), index, format::CHECK_LEN);
        Check {
            rule: usize::from(u16_at(record, 0)),
            operator: record.get(3).copied().unwrap_or(0),
            calm: record.get(2).copied().unwrap_or(0),
            variables: u32_at(record, 4),
            first_selector: usize::from(u16_at(record, 8)),
            selectors: usize::from(u16_at(record, 10)),
            first_pattern: usize::from(u16_at(record, 12)),
            patterns: usize::from(u16_at(record, 14)),
        }
    }

    /// The names that a check picks, and the place of each among the counts of headers, if it has one.
    pub(crate) fn picked(&self, check: &Check) -> impl Iterator<Item = (Variable, Option<u8>, &'a [u8])> {
        (0..check.selectors).filter_map(|at| self.picked_at(check, at))
    }

    fn picked_at(&self, check: &Check, at: usize) -> Option<(Variable, Option<u8>, &'a [u8])> {
        let record =
            record(self.section(Section::Selectors), check.first_selector + at, format::SELECTOR_LEN);
        let (variable, kind) = (Variable::from_number(*record.first()?)?, *record.get(1)?);
        let count = (kind >> 1).checked_sub(1);
        (kind & format::EXCLUDE == 0).then(|| (variable, count, self.text(record, 2)))
    }

    /// Whether a check looks at `variable:name`.
    pub(crate) fn applies(&self, check: &Check, variable: Variable, name: &[u8]) -> bool {
        let mut applies = check.variables & variable.bit() != 0;
        let records = self.section(Section::Selectors).as_chunks::<{ format::SELECTOR_LEN }>().0;
        let records = records.get(check.first_selector..check.first_selector + check.selectors);
        for record in records.unwrap_or(&[]) {
            // Variable and length first: a check may leave out a score of headers.
            if record[0] == variable as u8
                && usize::from(u16_at(record, 6)) == name.len()
                && self.text(record, 2).eq_ignore_ascii_case(name)
            {
                applies = record[1] & format::EXCLUDE == 0;
            }
        }
        applies
    }

    /// How many headers are counted.
    pub(crate) fn header_counts(&self) -> usize {
        usize::from(u16_at(self.section(Section::Meta), 10))
    }

    /// What is known of a header's name, in any letter case.
    #[inline(never)]
    pub(crate) fn header_name(&self, name: &[u8]) -> Option<HeaderName> {
        let slots = self.section(Section::HeaderSlots);
        let mask = slots.len().wrapping_sub(1);
        let first = format::name_hash(name);
        // A table that is full, which only a damaged one is, ends the search, too.
        for slot in first..first + slots.len() {
            let number = usize::from(*slots.get(slot & mask)?).checked_sub(1)?;
            let record = record(self.section(Section::HeaderNames), number, format::HEADER_NAME_LEN);
            if same_name(self.text(record, 0), name) {
                return Some(HeaderName { flags: *record.get(6)?, count: *record.get(7)? });
            }
        }
        None
    }

    /// Whether no rule has anything against a value of `variable`.
    #[inline(never)]
    pub(crate) fn is_calm(&self, variable: Variable, value: &[u8]) -> bool {
        let mut rest = self.section(Section::Calm);
        while let [known, len, tail @ ..] = rest {
            let Some((calm, tail)) = tail.split_at_checked(usize::from(*len)) else { return false };
            if *known == variable as u8 && calm == value {
                return true;
            }
            rest = tail;
        }
        false
    }

    /// Words of a pattern set.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// The check a pattern belongs to, and its automaton.
    pub(crate) fn pattern(&self, index: usize) -> (usize, Dfa<'a>) {
        let record = record(self.section(Section::Patterns), index, format::PATTERN_LEN);
        let automaton = self.section(Section::Automata).get(u32_at(record, 0) as usize..).unwrap_or(&[]);
        (usize::from(u16_at(record, 4)), Dfa::new(self.joint, automaton))
    }

    /// Whether a value with bytes of these sets can match a pattern.
    pub(crate) fn is_possible(&self, pattern: usize, present: u32) -> bool {
        u32_at(self.section(Section::Patterns), pattern * format::PATTERN_LEN + 6) & !present == 0
    }

    pub(crate) fn byte_sets(&self) -> ByteSets<'a> {
        ByteSets::new(self.section(Section::Needs))
    }

    pub(crate) fn node_count(&self) -> usize {
        self.section(Section::Nodes).len() / format::NODE_LEN
    }

    pub(crate) fn node(&self, index: usize) -> Node {
        let record = record(self.section(Section::Nodes), index, format::NODE_LEN);
        Node {
            parent: record.first().copied().unwrap_or(0),
            transformation: record.get(1).copied().and_then(Transformation::from_number),
            triggers: u32_at(record, 4),
        }
    }

    pub(crate) fn interest(&self, variable: Variable) -> Interest {
        let record = record(self.section(Section::Variables), variable as usize, format::VARIABLE_LEN);
        Interest { nodes: u32_at(record, 0), triggers: u32_at(record, 4), always: u32_at(record, 8) }
    }

    /// Word `word` of what could match in `variable`.
    pub(crate) fn variable_patterns(&self, variable: Variable, word: usize) -> u32 {
        u32_at(self.section(Section::VariablePatterns), (variable as usize * self.words + word) * 4)
    }

    /// Word `word` of what runs on the value of node `node`.
    pub(crate) fn node_patterns(&self, node: usize, word: usize) -> u32 {
        u32_at(self.section(Section::NodePatterns), (node * self.words + word) * 4)
    }

    /// Word `word` of what runs in `variable` without a literal.
    pub(crate) fn always(&self, variable: Variable, word: usize) -> u32 {
        u32_at(self.section(Section::Always), (variable as usize * self.words + word) * 4)
    }

    pub(crate) fn prefilter(&self) -> Prefilter<'a> {
        Prefilter::new(
            self.section(Section::Meta),
            self.section(Section::PrefilterMap),
            self.section(Section::PrefilterDense),
            self.section(Section::PrefilterSparse),
            self.section(Section::PrefilterOutputIndex),
            self.section(Section::PrefilterOutputs),
        )
    }
}

impl fmt::Debug for RuleSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet")
            .field("bytes", &self.len)
            .field("rules", &self.rule_count())
            .field("checks", &self.check_count())
            .finish_non_exhaustive()
    }
}
