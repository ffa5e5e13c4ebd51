//! Layout of a compiled ruleset, shared with the compiler. All numbers are little-endian.
//!
//! | bytes | content |
//! |---|---|
//! | 0–3 | [`MAGIC`] |
//! | 4–5 | [`VERSION`] |
//! | 6–7 | number of sections |
//! | 8–11 | length of the blob |
//! | 12–15 | CRC-32 of everything from byte 16 |
//! | 16– | a table of `offset: u32, length: u32`, one pair a [`Section`]; sections begin at multiples of 16 |
//!
//! Sections are arrays of fixed records, read in place: nothing is built when an instance starts.
//! Reads outside a section give records of zeros, so that a damaged blob can give wrong verdicts
//! and no panic; the checksum is there to refuse it.
//!
//! # How a request meets the rules
//! A *stored value* (see [`VariableInfo`]) belongs to one [`Slot`], which names the pipelines that
//! rules want to see it through, and the [`Matcher`]s that look at it behind each. Pipelines are paths
//! in the tree of [`Node`]s. A matcher that the scan finds possible is a candidate; its rules are
//! listed in [`Section::Uses`], and so are those that wait for a value of the slot. Rules of set 0 of
//! [`Section::RuleSets`] run in every transaction.

pub mod glance;
mod stored;

use alloc::vec::Vec;

pub use stored::is_stored;

/// The first bytes of a blob.
pub const MAGIC: [u8; 4] = *b"PKTS";
/// Version of this layout: the low byte counts, the high one is made of the lengths of the records, so that
/// a compiler and an engine that differ in them never take each other's word.
pub const VERSION: u16 = 2 | layout() << 8;
/// Bytes before the section table.
pub const HEADER_LEN: usize = 16;
/// In [`Action::slot`]: no number, and no name that the action can make up has one.
pub const MADE_UP16: u16 = u16::MAX - 1;
/// No rule, slot, set or name.
pub const NONE: u32 = u32::MAX;
/// The same in 16 bits.
pub const NONE16: u16 = u16::MAX;
/// Most pipelines of a ruleset: they are bits of a `u64`.
pub const MAX_PIPELINES: usize = 64;
/// Most byte sets that matchers and transformations ask for.
pub const MAX_BYTE_SETS: usize = 64;
/// In [`Node::trigger`]: the transformation changes any value. The bit of no byte set.
pub const TRIGGER_ALWAYS: u64 = 1 << 63;

/// Sections, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    /// One [`Meta`].
    Meta = 0,
    /// Texts, one behind the other.
    Strings = 1,
    /// [`Rule`]s: by phase, then in the order of the files; the links of a chain behind its head.
    Rules = 2,
    /// [`Target`]s.
    Targets = 3,
    /// [`Action`]s.
    Actions = 4,
    /// [`Part`]s of templates.
    Parts = 5,
    /// [`TextRecord`]s: tags of rules.
    Tags = 6,
    /// [`Matcher`]s.
    Matchers = 7,
    /// What matchers need: regexes, phrase sets, byte sets, address lists, literals.
    Data = 8,
    /// [`Use`]s: which rules stand behind a matcher, or wait for a value.
    Uses = 9,
    /// [`Node`]s; number 0 is the value as it came. What is below a node stands right behind it.
    Nodes = 10,
    /// [`Pipeline`]s.
    Pipelines = 11,
    /// 256 [`VariableInfo`]s.
    Variables = 12,
    /// [`Slot`]s.
    Slots = 13,
    /// Bit sets of matchers: `u32` words, as many as [`Meta::matcher_words`] a set.
    MatcherSets = 14,
    /// Bit sets of rules: `u32` words, as many as [`Meta::rule_words`] a set. Set 0: the rules that
    /// run in every transaction.
    RuleSets = 15,
    /// The scan's tables for values of requests; module `scan` has their layout.
    Scan = 16,
    /// [`TextRecord`]s: names of the variables in TX that rules name, in lower case. The first ten
    /// are `0` to `9`, what `capture` sets.
    TxNames = 17,
    /// [`TxInit`]s: what TX holds when a transaction begins.
    TxInit = 18,
    /// [`TextRecord`]s: media types whose response bodies are inspected, in lower case.
    ResponseTypes = 19,
    /// [`TextRecord`]s by matcher: the operator's argument as written; the texts follow, their places
    /// count from the section's begin. Not needed to run; left out of a module that a ruleset is put
    /// into.
    Sources = 20,
    /// Tables that tell by a value's byte sets what is to be done with it: see [`glance`].
    Glance = 21,
    /// [`Wants`]: for each slot as many as there are nodes.
    Wants = 22,
    /// The scan's tables for values of requests without any byte of [`Meta::signs`]: the literals of those matchers that
    /// can match one. Empty where there is no such set.
    ScanWords = 23,
    /// The scan's tables for values of responses.
    ScanResponses = 24,
    /// [`TxUse`]s: for each variable in TX, by its number, the rules that wait for another value of it. May
    /// end before the last.
    TxUses = 25,
}

/// Number of sections.
pub const SECTIONS: usize = 26;

/// What the literals of matchers hold that a transformation may make of other bytes than a change of case
/// does.
pub mod holds {
    /// A blank.
    pub const BLANK: u8 = 1;
    /// A slash that is not the first byte.
    pub const SLASH: u8 = 2;
    /// An opening parenthesis that is not the first byte.
    pub const PARENTHESIS: u8 = 4;
    /// Anything.
    pub const ALL: u8 = 7;
}

/// Which tables have the literals of a slot's matchers.
pub mod scans {
    /// None of the matchers has literals.
    pub const NOTHING: u8 = 0;
    /// [`Section::Scan`](super::Section::Scan).
    pub const REQUEST: u8 = 1;
    /// [`Section::ScanResponses`](super::Section::ScanResponses).
    pub const RESPONSE: u8 = 2;
}

/// A byte that another length of any record, or another number of sections, makes another.
const fn layout() -> u16 {
    let lengths = [
        SECTIONS,
        Meta::LEN,
        Rule::LEN,
        Target::LEN,
        Action::LEN,
        Part::LEN,
        Matcher::LEN,
        Use::LEN,
        Node::LEN,
        Wants::LEN,
        Pipeline::LEN,
        VariableInfo::LEN,
        Slot::LEN,
        TxInit::LEN,
        TxUse::LEN,
    ];
    let mut mixed = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < lengths.len() {
        mixed = (mixed ^ lengths[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (mixed >> 24) as u16
}

/// A value of a fixed length.
pub trait Record: Copy + Default {
    /// Bytes it takes.
    const LEN: usize;
    /// Reads it from the first [`Record::LEN`] bytes; zeros where there are fewer.
    fn read(bytes: &[u8]) -> Self;
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! number {
    ($($ty:ty),*) => {$(
        impl Record for $ty {
            const LEN: usize = size_of::<$ty>();
            #[inline]
            fn read(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or(0, |bytes| <$ty>::from_le_bytes(*bytes))
            }
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
number!(u8, u16, u32, u64, i64);

macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl Record for $name {
            const LEN: usize = 0 $(+ <$ty as Record>::LEN)*;
            #[inline]
            fn read(bytes: &[u8]) -> Self {
                // One check for the whole record: the reads below need none.
                let Some(bytes) = bytes.get(..Self::LEN) else { return Self::default() };
                let mut at = 0;
                $(
                    let $field = <$ty as Record>::read(&bytes[at..]);
                    at += <$ty as Record>::LEN;
                )*
                let _ = at;
                $name { $($field,)* }
            }
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }
        }
    };
}

record! {
    /// Bytes in [`Section::Strings`], or in [`Section::Data`] where said.
    Text {
        /// Offset.
        at: u32,
        /// Length.
        len: u32,
    }
}

/// A text as a record of its own.
pub type TextRecord = Text;

record! {
    /// Text with macros: [`Part`]s one behind the other.
    Template {
        /// The first part.
        first: u32,
        /// How many; 0: no text.
        parts: u16,
    }
}

record! {
    /// A part of a template.
    Part {
        /// A [`part`] number.
        kind: u8,
        /// The variable of a macro.
        variable: u8,
        /// Number of the name in TX, for [`part::TX`].
        slot: u16,
        /// The literal text, or the key of the variable in lower case.
        text: Text,
    }
}

/// Kinds of [`Part`]s.
pub mod part {
    /// Text as it stands.
    pub const LITERAL: u8 = 0;
    /// A variable in TX that has a number.
    pub const TX: u8 = 1;
    /// Any other variable; with a key where `text` is not empty.
    pub const VARIABLE: u8 = 2;
}

record! {
    /// Facts about the ruleset, and the directives that are not rules.
    Meta {
        /// First rule record of each phase: phase 1.
        phase1: u32,
        /// Phase 2.
        phase2: u32,
        /// Phase 3.
        phase3: u32,
        /// Phase 4.
        phase4: u32,
        /// Phase 5.
        phase5: u32,
        /// Behind the last rule record.
        rules: u32,
        /// `u32` words of a bit set of rules.
        rule_words: u32,
        /// `u32` words of a bit set of matchers. Sets hold matchers of scanned rules alone, which have
        /// the lowest numbers.
        matcher_words: u32,
        /// Matchers that no literal announces: a set in [`Section::MatcherSets`].
        silent: u32,
        /// Rules that wait for a request's body: a set in [`Section::RuleSets`].
        body_rules: u32,
        /// The byte sets of which values have none that [`Section::ScanWords`] is for.
        signs: u64,
        /// An [`engine`] number (`SecRuleEngine`).
        engine: u8,
        /// [`switch`]es.
        switches: u32,
        /// `SecRequestBodyLimit`, in bytes.
        request_body_limit: u32,
        /// `SecRequestBodyNoFilesLimit`, in bytes.
        request_body_no_files_limit: u32,
        /// `SecResponseBodyLimit`, in bytes.
        response_body_limit: u32,
        /// `SecRequestBodyJsonDepthLimit`.
        json_depth: u32,
        /// `SecArgumentsLimit`.
        arguments: u32,
        /// `SecArgumentSeparator`.
        separator: u8,
        /// `SecAuditLogParts`, one bit a letter from `A`.
        audit_parts: u32,
        /// `SecWebAppId`.
        web_app_id: Text,
        /// `SecComponentSignature`s, separated by ", ".
        component: Text,
        /// Status codes that `SecAuditLogRelevantStatus` means: a regex in [`Section::Data`], or empty.
        relevant_status: Text,
        /// `SecCollectionTimeout`, in seconds.
        collection_timeout: u32,
        /// Number in TX of `blocking_inbound_anomaly_score`, or [`NONE16`].
        tx_inbound: u16,
        /// Number in TX of `blocking_outbound_anomaly_score`, or [`NONE16`].
        tx_outbound: u16,
    }
}

/// Values of [`Meta::engine`].
pub mod engine {
    /// Rules do not run.
    pub const OFF: u8 = 0;
    /// Rules run and act.
    pub const ON: u8 = 1;
    /// Rules run and nothing is refused.
    pub const DETECTION_ONLY: u8 = 2;
}

/// Bits of [`Meta::switches`].
pub mod switch {
    /// `SecRequestBodyAccess On`
    pub const REQUEST_BODY: u32 = 1;
    /// `SecResponseBodyAccess On`
    pub const RESPONSE_BODY: u32 = 1 << 1;
    /// `SecRequestBodyLimitAction ProcessPartial`
    pub const REQUEST_PARTIAL: u32 = 1 << 2;
    /// `SecResponseBodyLimitAction ProcessPartial`
    pub const RESPONSE_PARTIAL: u32 = 1 << 3;
    /// `SecAuditEngine On`
    pub const AUDIT_ALL: u32 = 1 << 4;
    /// `SecAuditEngine RelevantOnly`
    pub const AUDIT_RELEVANT: u32 = 1 << 5;
    /// Some rule reads FULL_REQUEST, REQUEST_BODY or FILES_TMP_CONTENT: bodies are kept.
    pub const KEEPS_BODY: u32 = 1 << 6;
}

record! {
    /// A rule, or a link of a chain.
    Rule {
        /// `id`; 0 for a link.
        id: u32,
        /// Bits of [`flag`].
        flags: u32,
        /// Line of the rule in its file.
        line: u32,
        /// Its file.
        file: Text,
        /// First target; none for `SecAction`.
        targets: u32,
        /// How many, exclusions among them.
        target_count: u16,
        /// Number of its pipeline.
        pipeline: u16,
        /// Number of its matcher.
        matcher: u16,
        /// First action.
        actions: u32,
        /// How many.
        action_count: u16,
        /// Records behind this one that belong to the chain (0: no chain; a link says 0 as well).
        links: u16,
        /// `skipAfter`, `skip`: the rule record at which the phase goes on, or [`NONE`].
        skip_to: u32,
        /// A [`disruptive`] number.
        disruptive: u8,
        /// `status`; 0 where none is given.
        status: u16,
        /// Where `redirect` leads.
        redirect: Template,
        /// `severity`, 0 (emergency) to 7 (debug); 255: none.
        severity: u8,
        /// `maturity`
        maturity: u8,
        /// `accuracy`
        accuracy: u8,
        /// `msg`
        message: Template,
        /// `logdata`
        logdata: Template,
        /// First tag.
        tags: u32,
        /// How many.
        tag_count: u16,
        /// `ver`
        version: Text,
        /// `rev`
        revision: Text,
    }
}

/// Bits of [`Rule::flags`].
pub mod flag {
    /// The operator is negated.
    pub const NEGATED: u32 = 1;
    /// `capture`
    pub const CAPTURE: u32 = 1 << 1;
    /// `multiMatch`: the operator looks at the value as it came and after each transformation that
    /// changes it. Such a rule can be [`SCANNED`] if slots name its matcher behind every beginning
    /// of its pipeline, the empty one too.
    pub const MULTI_MATCH: u32 = 1 << 2;
    /// A match goes to the log.
    pub const LOG: u32 = 1 << 3;
    /// A match makes the transaction one for the audit log.
    pub const AUDIT_LOG: u32 = 1 << 4;
    /// Candidates of the scan are all that can match: they alone are asked. The rule is not in rule set 0,
    /// but others that wait for something are not either.
    pub const SCANNED: u32 = 1 << 5;
    /// `SecAction`: matches always.
    pub const UNCONDITIONAL: u32 = 1 << 6;
    /// A link of a chain.
    pub const LINK: u32 = 1 << 7;
    /// Some target is an exclusion.
    pub const EXCLUDES: u32 = 1 << 8;
    /// A rule that waits for something, though it is in rule set 0: what it captures before it fails is
    /// made up for where a rule [`OBSERVES`] it.
    pub const LEAVES: u32 = 1 << 9;
    /// Some text of the rule names TX.0 to TX.9 as rules before it have left them.
    pub const OBSERVES: u32 = 1 << 10;
}

/// Values of [`Rule::disruptive`].
pub mod disruptive {
    /// `pass`, or nothing.
    pub const PASS: u8 = 0;
    /// `deny`
    pub const DENY: u8 = 1;
    /// `drop`
    pub const DROP: u8 = 2;
    /// `redirect`
    pub const REDIRECT: u8 = 3;
    /// `allow`: no rule but those of phase 5 runs any more.
    pub const ALLOW: u8 = 4;
    /// `allow:phase`
    pub const ALLOW_PHASE: u8 = 5;
    /// `allow:request`
    pub const ALLOW_REQUEST: u8 = 6;
}

record! {
    /// What a rule looks at, or leaves out.
    Target {
        /// A [`Variable`](crate::Variable), as written (ARGS, not ARGS_GET).
        variable: u8,
        /// Bits of [`target`].
        flags: u8,
        /// For TX with a key that is text: the name's number.
        slot: u16,
        /// The key, in lower case; of a key that is a regex, what all that it fits begin with.
        key: Text,
        /// The key as a regex: in [`Section::Data`].
        regex: Text,
    }
}

/// Bits of [`Target::flags`].
pub mod target {
    /// `&`: how many there are.
    pub const COUNT: u8 = 1;
    /// `!`: is left out.
    pub const EXCLUDE: u8 = 1 << 1;
    /// `key` counts.
    pub const KEY: u8 = 1 << 2;
    /// `regex` counts.
    pub const REGEX: u8 = 1 << 3;
    /// `regex` fits no name in TX that has a number.
    pub const MADE_UP: u8 = 1 << 4;
    /// `regex` fits whatever begins with `key`, and need not be asked.
    pub const BEGINS: u8 = 1 << 5;
}

record! {
    /// Something a match does, beside what [`Rule`] has fields for.
    Action {
        /// An [`action`] number.
        kind: u8,
        /// The collection of [`action::SET`] and its like: a [`Variable`](crate::Variable).
        collection: u8,
        /// For TX and a fixed name: its number, else [`NONE16`] or [`MADE_UP16`].
        slot: u16,
        /// Name of the variable, key of the collection, or text of a `ctl`.
        name: Template,
        /// The value.
        value: Template,
        /// The value where it is a number known ahead; what [`action`] says else.
        number: i64,
        /// A bit set of rules, or a target to leave out.
        index: u32,
    }
}

/// Values of [`Action::kind`].
pub mod action {
    /// `setvar:x=value`; `value` holds it, a number too.
    pub const SET: u8 = 0;
    /// `setvar:x=+value`; `value` is empty where `number` holds it.
    pub const ADD: u8 = 1;
    /// `setvar:x=-value`; likewise.
    pub const SUBTRACT: u8 = 2;
    /// `setvar:!x`
    pub const UNSET: u8 = 3;
    /// `expirevar:x=seconds`
    pub const EXPIRE: u8 = 4;
    /// `initcol:collection=key`
    pub const INIT_COLLECTION: u8 = 5;
    /// `setenv`
    pub const SET_ENV: u8 = 6;
    /// `setuid`, `setsid`, `setrsc`: `collection` says which.
    pub const SET_KEY: u8 = 7;
    /// `ctl:ruleEngine`; `number` is an [`engine`](super::engine) value.
    pub const CTL_ENGINE: u8 = 16;
    /// `ctl:ruleRemoveById`, `ByTag`, `ByMsg`: `index` is the set of the rules meant.
    pub const CTL_REMOVE_RULES: u8 = 17;
    /// `ctl:ruleRemoveTargetById`, `ByTag`, `ByMsg`: `index` is the set of the rules meant, `number`
    /// the target (a record of [`Section::Targets`](super::Section::Targets)).
    pub const CTL_REMOVE_TARGET: u8 = 18;
    /// `ctl:requestBodyProcessor`; `number` is a [`processor`](super::processor).
    pub const CTL_PROCESSOR: u8 = 19;
    /// `ctl:requestBodyAccess`; `number` is 0 or 1.
    pub const CTL_REQUEST_BODY: u8 = 20;
    /// `ctl:forceRequestBodyVariable`; `number` is 0 or 1.
    pub const CTL_FORCE_BODY: u8 = 21;
    /// `ctl:auditEngine`; `number` is 0 (off), 1 (on) or 2 (relevant only).
    pub const CTL_AUDIT_ENGINE: u8 = 22;
    /// `ctl:auditLogParts`; `name` is the text.
    pub const CTL_AUDIT_PARTS: u8 = 23;
    /// `ctl:responseBodyAccess`; `number` is 0 or 1.
    pub const CTL_RESPONSE_BODY: u8 = 24;
}

/// Request body processors.
pub mod processor {
    /// None chosen.
    pub const NONE: i64 = 0;
    /// `URLENCODED`
    pub const URLENCODED: i64 = 1;
    /// `MULTIPART`
    pub const MULTIPART: i64 = 2;
    /// `XML`
    pub const XML: i64 = 3;
    /// `JSON`
    pub const JSON: i64 = 4;
}

record! {
    /// An operator with its argument. Rules with the same one share it.
    Matcher {
        /// An [`operator`] number.
        operator: u8,
        /// Least length of a value that matches, in bytes; at most 65,535.
        min_len: u16,
        /// Greatest length of a value that matches; 65,535: any.
        max_len: u16,
        /// Byte sets of which each has a byte in a value that matches.
        needs: u64,
        /// The pipelines that it stands behind for any value.
        behind: u64,
        /// The argument, compiled: in [`Section::Data`].
        data: Text,
        /// The argument as text, where macros stand in it or the operator compares text.
        argument: Template,
        /// The argument as a number, for comparisons without macros.
        number: i64,
        /// The first of its [`Use`]s.
        uses: u32,
        /// How many.
        use_count: u16,
    }
}

impl Matcher {
    /// Greatest length of a value that matches.
    #[inline]
    pub(crate) fn longest(&self) -> usize {
        if self.max_len == u16::MAX { usize::MAX } else { usize::from(self.max_len) }
    }
}

/// Values of [`Matcher::operator`].
pub mod operator {
    /// `@unconditionalMatch`
    pub const ALWAYS: u8 = 0;
    /// `@noMatch`
    pub const NEVER: u8 = 1;
    /// `@rx`: data is a [`Regex`](picket_regex::Regex), with groups where a rule captures them, and
    /// without any where every match is the whole value.
    pub const RX: u8 = 2;
    /// `@pm`, `@pmFromFile`: data is a phrase set.
    pub const PM: u8 = 3;
    /// `@eq`
    pub const EQ: u8 = 4;
    /// `@ge`
    pub const GE: u8 = 5;
    /// `@gt`
    pub const GT: u8 = 6;
    /// `@le`
    pub const LE: u8 = 7;
    /// `@lt`
    pub const LT: u8 = 8;
    /// `@streq`
    pub const STREQ: u8 = 9;
    /// `@contains`
    pub const CONTAINS: u8 = 10;
    /// `@containsWord`
    pub const CONTAINS_WORD: u8 = 11;
    /// `@beginsWith`
    pub const BEGINS_WITH: u8 = 12;
    /// `@endsWith`
    pub const ENDS_WITH: u8 = 13;
    /// `@within`
    pub const WITHIN: u8 = 14;
    /// `@strmatch`
    pub const STR_MATCH: u8 = 15;
    /// `@validateByteRange`: data is the set of bytes allowed, 32 bytes.
    pub const BYTE_RANGE: u8 = 16;
    /// `@validateUrlEncoding`
    pub const URL_ENCODING: u8 = 17;
    /// `@validateUtf8Encoding`
    pub const UTF8_ENCODING: u8 = 18;
    /// `@ipMatch`, `@ipMatchFromFile`: data is a list of networks.
    pub const IP_MATCH: u8 = 19;
    /// `@detectSQLi`
    pub const DETECT_SQLI: u8 = 20;
    /// `@detectXSS`
    pub const DETECT_XSS: u8 = 21;
    /// `@verifyCC`: data is a regex.
    pub const VERIFY_CC: u8 = 22;
    /// `@verifySSN`: data is a regex.
    pub const VERIFY_SSN: u8 = 23;
    /// `@verifyCPF`: data is a regex.
    pub const VERIFY_CPF: u8 = 24;
    /// `@rxGlobal`: every match; data is a regex.
    pub const RX_GLOBAL: u8 = 25;
}

record! {
    /// A rule behind a matcher, or one that waits for a value.
    Use {
        /// The rule's record.
        rule: u16,
    }
}

record! {
    /// A transformation behind those of its parent.
    Node {
        /// Number of the parent; its own for number 0.
        parent: u16,
        /// A [`Transformation`](crate::transform::Transformation).
        transformation: u8,
        /// Byte sets of which one has a byte in a value that the transformation changes, or
        /// [`TRIGGER_ALWAYS`].
        trigger: u64,
        /// Pipelines that end here.
        own: u64,
        /// Pipelines that pass or end here.
        below: u64,
        /// Triggers of this node and of all below it together.
        triggers: u64,
        /// Least length of a value that anything below can match, in bytes.
        min_len: u16,
        /// The same of a value behind the transformation, and for the pipelines that end here.
        own_min_len: u16,
        /// Byte sets that the transformation may give a value that has none of their bytes; all, if it
        /// may write anything.
        adds: u64,
        /// Byte sets of which none may be in a value for the transformation to change it.
        bars: u64,
        /// Byte sets of which one spoils what `bars` says.
        unless: u64,
        /// The first node behind those below.
        next: u16,
        /// Triggers of all nodes below it together.
        under: u64,
        /// 1 if nothing below can match behind the transformation without four bytes of ASCII in a row,
        /// of which those that white space is written with beyond ASCII are no part.
        text: u8,
    }
}

record! {
    /// What a value of a slot must have at a node for any of the slot's matchers to be possible.
    Wants {
        /// Byte sets of which each has a byte in a value that anything below can match, whether the
        /// node's transformation changes it or not.
        must: u64,
        /// The same of a value behind the transformation, and for the pipelines that end here.
        own_must: u64,
        /// [`holds`] bits of the literals of all that is below.
        holds: u8,
    }
}

record! {
    /// A sequence of transformations.
    Pipeline {
        /// The node at its end.
        node: u16,
        /// The transformations: bytes in [`Section::Data`].
        transformations: Text,
    }
}

record! {
    /// Which slots hold the values of a stored variable: ARGS_GET and ARGS_POST (ARGS is both),
    /// ARGS_GET_NAMES and ARGS_POST_NAMES (ARGS_NAMES is both), any other by its own name.
    VariableInfo {
        /// The slot of its values, or [`NONE16`]: no scanned rule looks at them.
        slot: u16,
        /// The first of the slots for values of one key, short keys first, those of a length in their order.
        keyed: u16,
        /// How many.
        keyed_count: u16,
        /// Whether any rule at all names the variable.
        used: u8,
    }
}

record! {
    /// What scanned rules want of a value.
    Slot {
        /// The key, in lower case, of a keyed slot.
        key: Text,
        /// Pipelines that the value is seen through.
        pipelines: u64,
        /// Number of a set in [`Section::MatcherSets`]: the matchers behind any of the pipelines. A
        /// keyed slot's set holds that of the variable's own slot.
        sets: u32,
        /// Triggers of all nodes on those pipelines together: a value without any such byte has no
        /// other variant.
        triggers: u64,
        /// Shortest value, in bytes, for which [`TRIGGER_ALWAYS`] among them counts.
        min_len: u16,
        /// A [`scans`] number.
        scans: u8,
        /// Its own number.
        number: u16,
        /// The first of its [`Wants`].
        wants: u32,
        /// The first [`Use`] of the rules that wait for any value, whatever it is.
        waiting: u32,
        /// How many.
        waiting_count: u16,
    }
}

record! {
    /// Rules that run only where a variable in TX has been set.
    TxUse {
        /// The first [`Use`].
        first: u32,
        /// How many.
        count: u16,
    }
}

record! {
    /// A variable in TX and its first value.
    TxInit {
        /// Number of its name.
        slot: u16,
        /// 1 where `number` is the value, 0 where `text` is.
        numeric: u8,
        /// The value as a number.
        number: i64,
        /// The value as text.
        text: Text,
    }
}
