//! Bytes that every match has, beside its literals.
//!
//! The literals of a pattern may be ordinary words; what makes them an attack are the signs around
//! them. A value that has the word but none of the signs is dropped after one look at the set of its
//! bytes.

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Repetition};

use super::build::byte_set;
use super::sample::Sample;

/// A set of bytes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSet(pub [u64; 4]);

impl ByteSet {
    /// All bytes.
    pub const ALL: ByteSet = ByteSet([u64::MAX; 4]);

    /// The bytes of ASCII words.
    pub fn word() -> ByteSet {
        (0..=255).filter(|&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'_').collect()
    }

    /// Whether a byte is in the set.
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }

    /// Adds a byte.
    pub fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Number of bytes in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the set has no byte.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The bytes of either set.
    pub fn union(&self, other: &ByteSet) -> ByteSet {
        ByteSet(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// Whether the two have a byte in common.
    pub fn meets(&self, other: &ByteSet) -> bool {
        self.0.iter().zip(&other.0).any(|(left, right)| left & right != 0)
    }

    /// Whether all bytes of `other` are in this set.
    pub fn holds(&self, other: &ByteSet) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| other & !own == 0)
    }

    /// The bytes, in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255).filter(|&byte| self.contains(byte))
    }
}

impl FromIterator<u8> for ByteSet {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut set = ByteSet::default();
        bytes.into_iter().for_each(|byte| set.insert(byte));
        set
    }
}

/// Most sets of a pattern.
const MAX_SETS: usize = 6;
/// Most sets kept on the way.
const MAX_KEPT: usize = 12;

/// Sets of which each has a byte in every match, those first that ordinary values lack most often.
pub(super) fn required(hir: &Hir, sample: &Sample<'_>) -> Vec<ByteSet> {
    let mut sets = of(hir, sample);
    // One that (nearly) every value has tells nothing.
    sets.retain(|set| sample.with(set) * 20 < sample.len() * 19);
    sets.truncate(MAX_SETS);
    sets.extend(beyond().into_iter().find(|set| without(hir, set).is_none()));
    sets
}

/// The bytes that prose has not, those that words have not, and with the underscore, the fewest first. A pattern may ask for one
/// of many bytes: that it asks for any of these is what it has in common with others.
pub(crate) fn beyond() -> [ByteSet; 3] {
    let words = ByteSet::word().union(&b" -".iter().copied().collect());
    let prose = words.union(&b".,:/+@!?".iter().copied().collect());
    let text = (0..=255).filter(|&byte| words.contains(byte) && byte != b'_').collect();
    [prose, words, text].map(|set| ByteSet(set.0.map(|bits| !bits)))
}

/// Orders sets by what they tell, and drops those that add nothing.
fn prune(mut sets: Vec<ByteSet>, sample: &Sample<'_>) -> Vec<ByteSet> {
    sets.retain(|set| *set != ByteSet::ALL);
    sets.sort_by_cached_key(|set| (sample.with(set), set.len(), *set));
    sets.dedup();
    let mut kept: Vec<ByteSet> = Vec::new();
    for set in sets {
        if !kept.iter().any(|known| set.holds(known)) {
            kept.push(set);
        }
    }
    kept.truncate(MAX_KEPT);
    kept
}

fn of(hir: &Hir, sample: &Sample<'_>) -> Vec<ByteSet> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Literal(literal) => {
            prune(literal.0.iter().map(|&byte| ByteSet::from_iter([byte])).collect(), sample)
        }
        HirKind::Class(class) => byte_set(class).map_or(Vec::new(), |set| prune(vec![set], sample)),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub, sample),
        HirKind::Repetition(_) => Vec::new(),
        HirKind::Capture(capture) => of(&capture.sub, sample),
        HirKind::Concat(parts) => prune(parts.iter().flat_map(|part| of(part, sample)).collect(), sample),
        // Any choice of one set a branch makes a union that every match meets. Branch by branch, the
        // unions that tell most are kept.
        HirKind::Alternation(branches) => {
            let mut unions = vec![ByteSet::default()];
            for branch in branches {
                let sets = of(branch, sample);
                let all = unions.iter().flat_map(|union| sets.iter().map(|set| union.union(set)));
                unions = prune(all.collect(), sample);
            }
            unions
        }
    }
}

/// What a pattern is for values that have no byte of a set; `None` if it matches none of them.
pub(super) fn without(hir: &Hir, set: &ByteSet) -> Option<Hir> {
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => hir.clone(),
        HirKind::Literal(literal) => {
            if literal.0.iter().any(|&byte| set.contains(byte)) {
                return None;
            }
            hir.clone()
        }
        HirKind::Class(class) => {
            let Ok(bytes) = byte_set(class) else { return Some(hir.clone()) };
            let left = bytes.iter().filter(|&byte| !set.contains(byte));
            let left = ClassBytes::new(left.map(|byte| ClassBytesRange::new(byte, byte)));
            if left.ranges().is_empty() {
                return None;
            }
            Hir::class(Class::Bytes(left))
        }
        HirKind::Capture(capture) => without(&capture.sub, set)?,
        HirKind::Repetition(repetition) => match without(&repetition.sub, set) {
            Some(sub) => Hir::repetition(Repetition { sub: Box::new(sub), ..repetition.clone() }),
            None if repetition.min == 0 => Hir::empty(),
            None => return None,
        },
        HirKind::Concat(parts) => {
            Hir::concat(parts.iter().map(|part| without(part, set)).collect::<Option<Vec<Hir>>>()?)
        }
        HirKind::Alternation(branches) => {
            let left: Vec<Hir> = branches.iter().filter_map(|branch| without(branch, set)).collect();
            if left.is_empty() {
                return None;
            }
            Hir::alternation(left)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Options, requirements};

    fn needs(pattern: &str) -> Vec<String> {
        let sets = requirements(pattern, &Options::default()).unwrap().needs;
        sets.iter().map(|set| set.iter().map(|byte| byte.escape_ascii().to_string()).collect()).collect()
    }

    #[test]
    fn signs_around_words() {
        assert_eq!(needs(r"[;|]\s*(?:cat|ls)\b")[0], ";|");
        assert!(needs(r"(?i)on[a-z]+\s*=").contains(&"=".into()));
        assert_eq!(needs(r"(?:a\(|b\[)")[0], "([");
        assert!(needs(r"(?:\(.*\{|\[.*<)").len() > 1);
        assert!(needs(r"x*").is_empty());
        assert!(needs(r"(?s).").is_empty());
        assert!(needs(r"(?:a|)").is_empty());
    }

    #[test]
    fn what_words_and_prose_cannot_be() {
        let beyond = super::beyond();
        let needs = |pattern: &str| requirements(pattern, &Options::default()).unwrap().needs;
        assert!(needs(r"eval\s*\(|new[ ]?\{").contains(&beyond[0]));
        assert!(needs(r"[a-z]+[.(]").contains(&beyond[1]));
        assert!(needs(r"_x|[.(]y").contains(&beyond[2]));
        assert!(!needs(r"[a-z]+[.( ]x").iter().any(|need| beyond.contains(need)));
    }

    #[test]
    fn bytes_beyond_ascii() {
        assert_eq!(needs(r"\xfc[\xbe\xff]")[..2], ["\\xfc", "\\xbe\\xff"]);
    }
}
