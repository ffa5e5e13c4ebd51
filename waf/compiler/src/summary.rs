//! What a compiled ruleset consists of.

use std::fmt;

/// One pattern of a [`Summary`].
#[derive(Clone, Debug)]
pub struct PatternSummary {
    /// Rule it belongs to.
    pub rule: u32,
    /// The pattern.
    pub pattern: String,
    /// States of its automaton.
    pub states: usize,
    /// Byte classes of its automaton, the end of input among them.
    pub classes: usize,
    /// Bytes of its table; 0 if another pattern has the same.
    pub bytes: usize,
    /// Literals of which one must occur before the pattern is run; empty: it always runs.
    pub literals: Vec<String>,
    /// How many lines of the sample of clean traffic have what the pattern asks for: each costs a run
    /// of the automaton that finds nothing.
    pub clean_hits: usize,
}

/// What a compiled ruleset consists of.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Rules.
    pub rules: usize,
    /// Checks of the rules.
    pub checks: usize,
    /// Patterns, in the order of the source.
    pub patterns: Vec<PatternSummary>,
    /// Nodes of the transformation pipelines.
    pub nodes: usize,
    /// Distinct literals in the prefilter.
    pub literals: usize,
    /// States of the prefilter.
    pub prefilter_states: usize,
    /// Byte classes of the prefilter.
    pub prefilter_classes: usize,
    /// Bytes of the prefilter.
    pub prefilter_bytes: usize,
    /// Bytes of all automata.
    pub automata_bytes: usize,
    /// Bytes of the blob.
    pub blob_bytes: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rules, {} checks, {} patterns, {} pipeline nodes; blob {} bytes",
            self.rules,
            self.checks,
            self.patterns.len(),
            self.nodes,
            self.blob_bytes
        )?;
        writeln!(
            f,
            "prefilter: {} literals, {} states, {} classes, {} bytes; automata: {} bytes",
            self.literals,
            self.prefilter_states,
            self.prefilter_classes,
            self.prefilter_bytes,
            self.automata_bytes
        )?;
        writeln!(
            f,
            "  {:>6} {:>6} {:>7} {:>6} {:>5}  literals ⟶ pattern",
            "rule", "states", "classes", "bytes", "clean"
        )?;
        let mut patterns: Vec<_> = self.patterns.iter().collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.bytes));
        for pattern in patterns {
            writeln!(
                f,
                "  {:>6} {:>6} {:>7} {:>6} {:>5}  {} ⟶ {}",
                pattern.rule,
                pattern.states,
                pattern.classes,
                pattern.bytes,
                pattern.clean_hits,
                if pattern.literals.is_empty() { "(always)".into() } else { pattern.literals.join(" ") },
                pattern.pattern
            )?;
        }
        Ok(())
    }
}
