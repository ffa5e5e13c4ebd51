//! Where a transaction's values live: one arena of bytes, and entries that point into it.

use alloc::vec;
use alloc::vec::Vec;

use crate::Variable;
use crate::body::is_same_text;
use crate::format::NONE;

/// Most values that are stored.
pub(crate) const MAX_ENTRIES: usize = 1 << 16;
/// Most bytes of names and values, in all their variants.
pub(crate) const MAX_ARENA: usize = 32 << 20;
/// Most variables that rules can make up in TX, ENV and the kept collections.
pub(crate) const MAX_NAMED: usize = 4096;

/// Bytes in the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub at: u32,
    pub len: u32,
}

/// A value, wherever it is: small enough to be copied about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Value<'r> {
    /// There is none.
    #[default]
    None,
    /// A number; as text, its decimal digits.
    Int(i64),
    /// Text of the ruleset.
    Fixed(&'r [u8]),
    /// Text in the arena.
    Stored(Span),
}

/// A value of a variable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    /// A [`Variable`].
    pub variable: u8,
    pub key: Span,
    pub value: Span,
    /// The next of the same variable.
    next: u32,
}

/// A variable that a rule has made: in TX under a name without a number, in ENV, or in a collection
/// that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'r> {
    /// A [`Variable`].
    pub variable: u8,
    hash: u32,
    pub name: Span,
    pub value: Value<'r>,
    /// When it ceases to be, in microseconds since 1970; 0: with its collection.
    pub expires: u64,
}

/// Room for the digits of any number.
pub(crate) type Digits = [u8; 20];

#[derive(Debug)]
pub(crate) struct Store<'r> {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// First and last entry of each variable.
    chains: [(u32, u32); Variable::COUNT],
    /// How many each has.
    counts: [u32; Variable::COUNT],
    /// TX by number.
    pub tx: Vec<Value<'r>>,
    pub named: Vec<Named<'r>>,
    /// What found no room.
    pub dropped: u32,
}

impl<'r> Store<'r> {
    pub fn new(tx: usize) -> Self {
        Store {
            arena: Vec::new(),
            entries: Vec::new(),
            chains: [(NONE, NONE); Variable::COUNT],
            counts: [0; Variable::COUNT],
            tx: vec![Value::None; tx],
            named: Vec::new(),
            dropped: 0,
        }
    }

    /// Empties the store for another transaction. What one large request has taken is given back.
    pub fn clear(&mut self) {
        clear(&mut self.arena);
        clear(&mut self.entries);
        clear(&mut self.named);
        self.chains = [(NONE, NONE); Variable::COUNT];
        self.counts = [0; Variable::COUNT];
        self.tx.fill(Value::None);
        self.dropped = 0;
    }

    /// Makes room ahead, so that a small request grows nothing twice.
    pub fn reserve(&mut self, bytes: usize, entries: usize) {
        self.arena.reserve(bytes);
        self.entries.reserve(entries);
    }

    /// Copies bytes into the arena. Beyond its limit nothing is kept, and that is counted.
    pub fn keep(&mut self, bytes: &[u8]) -> Span {
        let at = self.arena.len();
        if bytes.len() > MAX_ARENA - at {
            self.dropped += 1;
            return Span::default();
        }
        self.arena.extend_from_slice(bytes);
        Span { at: at as u32, len: bytes.len() as u32 }
    }

    #[inline]
    pub fn bytes(&self, span: Span) -> &[u8] {
        let at = span.at as usize;
        self.arena.get(at..at + span.len as usize).unwrap_or(&[])
    }

    /// The bytes of a value; a number is written to `digits`.
    #[inline]
    pub fn text<'s>(&'s self, value: Value<'r>, digits: &'s mut Digits) -> &'s [u8] {
        match value {
            Value::None => &[],
            Value::Int(number) => decimal(number, digits),
            Value::Fixed(text) => text,
            Value::Stored(span) => self.bytes(span),
        }
    }

    /// Adds a value of a variable and returns its number.
    pub fn add(&mut self, variable: Variable, key: Span, value: Span) -> Option<u32> {
        if self.entries.len() == MAX_ENTRIES {
            self.dropped += 1;
            return None;
        }
        let number = self.entries.len() as u32;
        self.entries.push(Entry { variable: variable as u8, key, value, next: NONE });
        let (first, last) = &mut self.chains[variable as usize];
        if *first == NONE {
            *first = number;
        } else if let Some(entry) = self.entries.get_mut(*last as usize) {
            entry.next = number;
        }
        *last = number;
        self.counts[variable as usize] += 1;
        Some(number)
    }

    #[inline]
    pub fn entry(&self, number: u32) -> Entry {
        self.entries.get(number as usize).copied().unwrap_or_default()
    }

    /// The number of the first value of a variable, or [`NONE`].
    #[inline]
    pub fn first(&self, variable: Variable) -> u32 {
        self.chains[variable as usize].0
    }

    /// How many values a variable has, all keys together.
    #[inline]
    pub fn count(&self, variable: Variable) -> u32 {
        parts(variable).iter().map(|part| self.counts[*part as usize]).sum()
    }

    /// Whether a variable has no value, by its number.
    #[inline]
    pub fn is_absent(&self, variable: u8) -> bool {
        self.chains.get(usize::from(variable)).is_none_or(|chain| chain.0 == NONE)
    }

    /// The number behind that one, and its entry.
    #[inline]
    pub fn step(&self, number: u32) -> Option<(u32, Entry)> {
        self.entries.get(number as usize).map(|entry| (entry.next, *entry))
    }

    /// The first value of `variable:key` (any key if it is empty).
    pub fn find(&self, variable: Variable, key: &[u8]) -> Option<Entry> {
        for part in parts(variable) {
            let mut at = self.first(*part);
            while let Some((next, entry)) = self.step(at) {
                if key.is_empty() || is_same_text(self.bytes(entry.key), key) {
                    return Some(entry);
                }
                at = next;
            }
        }
        None
    }

    fn position(&self, variable: Variable, hash: u32, name: &[u8]) -> Option<usize> {
        self.named.iter().position(|named| {
            named.hash == hash
                && named.variable == variable as u8
                && self.bytes(named.name).eq_ignore_ascii_case(name)
        })
    }

    /// The value of a variable that a rule has made.
    pub fn named(&self, variable: Variable, name: &[u8]) -> Value<'r> {
        self.position(variable, hash(name), name)
            .and_then(|at| self.named.get(at))
            .map_or(Value::None, |named| named.value)
    }

    /// Sets a variable under a name; [`Value::None`] removes it.
    pub fn set_named(&mut self, variable: Variable, name: &[u8], value: Value<'r>) {
        if let Some(named) = self.named_mut(variable, name, value != Value::None) {
            named.value = value;
            named.expires = 0;
        }
    }

    pub fn named_mut(&mut self, variable: Variable, name: &[u8], make: bool) -> Option<&mut Named<'r>> {
        let hash = hash(name);
        let at = match self.position(variable, hash, name) {
            Some(at) => at,
            None if !make => return None,
            None if self.named.len() == MAX_NAMED => {
                self.dropped += 1;
                return None;
            }
            None => {
                let name = self.keep(name);
                let value = Value::None;
                self.named.push(Named { variable: variable as u8, hash, name, value, expires: 0 });
                self.named.len() - 1
            }
        };
        self.named.get_mut(at)
    }
}

/// Empties a list, and keeps its memory if that is not large.
pub(crate) fn clear<T>(list: &mut Vec<T>) {
    const KEPT: usize = 64 << 10;
    list.clear();
    if list.capacity() * size_of::<T>() > KEPT {
        *list = Vec::new();
    }
}

/// FNV-1a over the name in lower case.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

/// The variables whose values a variable has: ARGS is ARGS_GET and ARGS_POST.
#[inline]
pub(crate) fn parts(variable: Variable) -> &'static [Variable] {
    match variable {
        Variable::Args => &[Variable::ArgsGet, Variable::ArgsPost],
        Variable::ArgsNames => &[Variable::ArgsGetNames, Variable::ArgsPostNames],
        // A slice of one, without a table of its own for each variable.
        _ => Variable::ALL.get(variable as usize..variable as usize + 1).unwrap_or(&[]),
    }
}

/// The numbers of the variables that a variable's values are stored under; one twice, if that is all.
#[inline]
pub(crate) fn halves(asked: u8) -> (u8, u8) {
    const ARGS: u8 = Variable::Args as u8;
    const NAMES: u8 = Variable::ArgsNames as u8;
    match asked {
        ARGS => (Variable::ArgsGet as u8, Variable::ArgsPost as u8),
        NAMES => (Variable::ArgsGetNames as u8, Variable::ArgsPostNames as u8),
        _ => (asked, asked),
    }
}

/// Whether values of `stored` are values of `asked`.
#[inline]
pub(crate) fn covers(asked: u8, stored: u8) -> bool {
    asked == stored
        || asked == Variable::Args as u8
            && (stored == Variable::ArgsGet as u8 || stored == Variable::ArgsPost as u8)
        || asked == Variable::ArgsNames as u8
            && (stored == Variable::ArgsGetNames as u8 || stored == Variable::ArgsPostNames as u8)
}

/// A number's decimal digits.
pub(crate) fn decimal(number: i64, digits: &mut Digits) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        // 19 digits hold any magnitude, so that a place is left for the sign.
        if rest == 0 || at == 1 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    digits.get(at..).unwrap_or(&[])
}

/// What a text is as a number: C's `atoi`, with a wider range.
pub(crate) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut number = 0i64;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        number = number.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    if negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_digits() {
        for value in [0, 7, -7, 10, 1234567890123, i64::MAX, i64::MIN + 1] {
            let mut digits = Digits::default();
            let text = decimal(value, &mut digits).to_vec();
            assert_eq!(text, std::format!("{value}").into_bytes());
            assert_eq!(number(&text), value);
        }
        assert_eq!(decimal(i64::MIN, &mut Digits::default()), b"-9223372036854775808");
        assert_eq!(number(b" 12abc"), 12);
        assert_eq!(number(b"abc"), 0);
        assert_eq!(number(b"99999999999999999999"), i64::MAX);
    }

    #[test]
    fn names_are_found_in_any_case_and_their_number_is_limited() {
        let mut store = Store::new(0);
        store.set_named(Variable::Tx, b"Counter_A", Value::Int(1));
        store.set_named(Variable::Env, b"counter_a", Value::Int(2));
        assert_eq!(store.named(Variable::Tx, b"counter_a"), Value::Int(1));
        assert_eq!(store.named(Variable::Env, b"COUNTER_A"), Value::Int(2));
        store.set_named(Variable::Tx, b"counter_a", Value::None);
        assert_eq!(store.named(Variable::Tx, b"counter_a"), Value::None);
        for number in 0..MAX_NAMED as i64 + 10 {
            let name = std::format!("n{number}");
            store.set_named(Variable::Tx, name.as_bytes(), Value::Int(number));
        }
        assert_eq!(store.named.len(), MAX_NAMED);
        assert_eq!(store.dropped, 12);
    }

    #[test]
    fn values_chain_by_variable() {
        let mut store = Store::new(0);
        let (a, b) = (store.keep(b"a"), store.keep(b"b"));
        store.add(Variable::ArgsPost, a, b);
        store.add(Variable::RequestHeaders, b, b);
        store.add(Variable::ArgsGet, b, a);
        let found = store.find(Variable::Args, b"").expect("there are two");
        assert_eq!((store.bytes(found.key), store.bytes(found.value)), (&b"b"[..], &b"a"[..]));
        assert!(store.find(Variable::ArgsGet, b"a").is_none());
        assert!(store.find(Variable::Args, b"A").is_some());
    }
}
