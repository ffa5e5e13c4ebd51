//! From a value to its candidates: each distinct variant is looked through once.

use alloc::vec;
use alloc::vec::Vec;

use super::shared::Shared;
use super::store::{Span, Store, clear};
use crate::format::*;
use crate::ruleset::RuleSet;
use crate::scan::{Glance, Scanner};
use crate::transform::Transformation;

/// Most candidates of a transaction.
pub(crate) const MAX_CANDIDATES: usize = 1 << 16;
/// Most variants whose memory is kept from one transaction to the next.
const KEPT_VARIANTS: usize = 16;

/// A value that an operator could match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// The next of the same matcher, or [`NONE`].
    pub next: u32,
    pub entry: u32,
    /// The value behind any of `pipelines`.
    pub variant: Span,
    pub pipelines: u64,
    pub state: State,
}

/// What is known of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Possible,
    Match,
    NoMatch,
}

/// A value as it is behind some pipelines. Number 0 is the value as it came, which `bytes` leaves
/// out.
#[derive(Debug, Default)]
struct Variant {
    bytes: Vec<u8>,
    /// Whether `bytes` are there. They are put off as long as nothing has to look at them: until then
    /// `present` and `len` are what the value has at most.
    made: bool,
    /// The variant that it is made of, and how.
    parent: u16,
    transformation: u8,
    present: u64,
    len: usize,
    /// The length that it has at least.
    least: usize,
    /// The pipelines that end in it.
    own: u64,
    /// The variant whose literals it has too, and no other of those that hold nothing but `holds`: folding
    /// case, for one, changes none.
    like: u16,
    holds: u8,
    /// Whether its literals are in `hits`, and whether there are any.
    scanned: bool,
    has_literals: bool,
}

#[derive(Debug)]
pub(crate) struct Screen<'r> {
    words: usize,
    /// The scanner for values without a byte of some byte sets, and these.
    plain: Option<(Scanner<'r>, u64)>,
    glance: Glance<'r>,
    /// First and last candidate of each matcher, each with one added.
    chains: Vec<(u32, u32)>,
    candidates: Vec<Candidate>,
    /// The rules that have candidates, one bit each.
    pub todo: Vec<u32>,
    variants: Vec<Variant>,
    /// The variant of each node on the way down the tree.
    nodes: Vec<u16>,
    /// The literals' matchers, `words` for each variant.
    hits: Vec<u32>,
    shared: Shared,
    found: Vec<(u16, u16)>,
    output: Vec<u8>,
    pub dropped: u32,
}

/// What it takes to look at a value, but for the value.
struct Look<'l, 'r> {
    rules: &'l RuleSet<'r>,
    scanner: &'l Scanner<'r>,
    slot: &'r [u8; Slot::LEN],
    value: &'l [u8],
}

impl<'r> Look<'_, 'r> {
    #[inline]
    fn nodes(&self) -> &'r [[u8; Node::LEN]] {
        self.rules.section(Section::Nodes).as_chunks().0
    }

    /// The slot's record, of which only what is used is read.
    #[inline]
    fn slot(&self) -> Slot {
        Slot::read(self.slot)
    }

    /// What must be in a value at a node for anything below it to match, in this slot.
    #[inline]
    fn wants(&self, node: usize) -> impl Fn() -> Wants {
        let wants: &[[u8; Wants::LEN]] = self.rules.section(Section::Wants).as_chunks().0;
        let record = wants.get(self.slot().wants as usize + node).unwrap_or(&[0; Wants::LEN]);
        move || Wants::read(record)
    }
}

impl<'r> Screen<'r> {
    pub fn new(rules: &RuleSet<'r>, meta: &Meta) -> Self {
        // A set is a row of words that are there: a damaged number gives an empty one.
        let words = rules.matcher_set(meta.silent as usize, meta.matcher_words as usize).len();
        Screen {
            words,
            plain: rules.scanner_for_words().filter(|_| meta.signs != 0).map(|scanner| (scanner, meta.signs)),
            glance: Glance::new(rules.section(Section::Glance)),
            chains: vec![(0, 0); rules.count::<Matcher>(Section::Matchers)],
            candidates: Vec::new(),
            todo: vec![0; rules.rule_count().div_ceil(32)],
            variants: Vec::new(),
            nodes: Vec::new(),
            hits: Vec::new(),
            shared: Shared::default(),
            found: Vec::new(),
            output: Vec::new(),
            dropped: 0,
        }
    }

    /// Forgets what was found, but nothing that it knows about the ruleset.
    pub fn clear(&mut self) {
        self.chains.fill((0, 0));
        clear(&mut self.candidates);
        self.todo.fill(0);
        clear(&mut self.hits);
        self.shared.clear();
        clear(&mut self.output);
        self.variants.truncate(KEPT_VARIANTS);
        self.variants.iter_mut().for_each(|variant| clear(&mut variant.bytes));
        self.dropped = 0;
    }

    /// The first candidate of a matcher, or [`NONE`].
    #[inline]
    pub fn first(&self, matcher: u16) -> u32 {
        self.chains.get(usize::from(matcher)).map_or(NONE, |chain| chain.0.wrapping_sub(1))
    }

    #[inline]
    pub fn candidate(&self, number: u32) -> Option<Candidate> {
        self.candidates.get(number as usize).copied()
    }

    pub fn judge(&mut self, number: u32, matches: bool) {
        if let Some(candidate) = self.candidates.get_mut(number as usize) {
            candidate.state = if matches { State::Match } else { State::NoMatch };
        }
    }

    /// Tells whether the values that come are parts of one text.
    pub fn share(&mut self, on: bool) {
        self.shared.on = on;
    }

    /// Whether something that a rule waits for is there.
    pub fn is_awake(&self, rule: usize) -> bool {
        self.todo.get(rule / 32).is_some_and(|word| word >> (rule % 32) & 1 != 0)
    }

    /// Wakes rules, whatever they wait for.
    pub fn wake(&mut self, rules: &RuleSet<'r>, uses: u32, count: u16) {
        wake(&mut self.todo, rules, uses, count);
    }

    /// Looks through the value of entry number `entry` as its slot asks.
    #[inline(never)]
    pub fn look(
        &mut self,
        rules: &RuleSet<'r>,
        scanner: &Scanner<'r>,
        slot: &'r [u8; Slot::LEN],
        store: &mut Store<'r>,
        entry: u32,
        span: Span,
    ) {
        let value = store.bytes(span);
        let present = scanner.present(value);
        let pipelines = Slot::read(slot).pipelines;
        let own = pipelines & self.glance.unchanged(present);
        if self.variants.is_empty() {
            self.variants.push(Variant::default());
        }
        let root = &mut self.variants[0];
        (root.made, root.scanned, root.holds) = (true, false, holds::ALL);
        (root.present, root.len, root.least, root.own) = (present, value.len(), value.len(), own);
        self.found.clear();
        let look = Look { rules, scanner, slot, value };
        let count = if own == pipelines { 1 } else { self.transform(&look, present) };
        for number in 0..count {
            if self.variants[number].own != 0 {
                self.find(&look, number);
            }
        }
        if !self.found.is_empty() {
            self.file(rules, pipelines, store, entry, span);
        }
    }

    /// Finds the matchers that are possible for a variant.
    #[inline(never)]
    fn find(&mut self, look: &Look<'_, 'r>, number: usize) {
        let like = usize::from(self.variants[number].like);
        let before = self.found.len();
        if !self.variants[like].scanned {
            self.make(look, like);
            self.scan(look, like);
        }
        self.collect(look, number, like);
        if !self.variants[number].made && self.found.len() != before {
            // Perhaps, by what it has at most: now it has to be known.
            self.found.truncate(before);
            self.make(look, number);
            self.collect(look, number, like);
        }
    }

    #[inline(never)]
    fn scan(&mut self, look: &Look<'_, 'r>, number: usize) {
        let end = (number + 1) * self.words;
        if self.hits.len() < end {
            self.hits.resize(end, 0);
        }
        let hits = &mut self.hits[number * self.words..end];
        hits.fill(0);
        let variant = &mut self.variants[number];
        variant.scanned = true;
        let bytes = if number == 0 { look.value } else { &variant.bytes };
        variant.has_literals = bytes.len() > 1
            && match (look.slot().scans, &self.plain) {
                (scans::NOTHING, _) => false,
                (scans::RESPONSE, _) => look.scanner.scan(bytes, hits),
                (_, Some((scanner, signs))) if variant.present & signs == 0 => scanner.scan(bytes, hits),
                _ => self.shared.scan(look.scanner, bytes, hits),
            };
    }

    fn collect(&mut self, look: &Look<'_, 'r>, number: usize, like: usize) {
        let Variant { present, len, least, own, .. } = self.variants[number];
        let set = look.rules.matcher_set(look.slot().sets as usize, self.words);
        let hits = match self.variants[like].has_literals {
            true => self.hits.get(like * self.words..).unwrap_or(&[]),
            false => &[],
        };
        for (at, (hits, set)) in hits.iter().zip(set).enumerate() {
            let mut word = hits & u32::from_le_bytes(*set);
            while word != 0 {
                let number_of = at * 32 + word.trailing_zeros() as usize;
                word &= word - 1;
                let matcher = look.rules.matcher(number_of);
                if matcher.needs & !present == 0
                    && matcher.behind & own != 0
                    && usize::from(matcher.min_len) <= len
                    && least <= matcher.longest()
                {
                    self.found.push((number_of as u16, number as u16));
                }
            }
        }
        for word in 0..self.glance.silent_words() {
            let mut silent = self.glance.silent(look.slot().number, word, present);
            while silent != 0 {
                let number_of =
                    usize::from(self.glance.matcher(word * 64 + silent.trailing_zeros() as usize));
                silent &= silent - 1;
                // Some wait for a literal or a sign: those with a literal are found above.
                if hits.get(number_of / 32).is_some_and(|word| word >> (number_of % 32) & 1 != 0) {
                    continue;
                }
                let matcher = look.rules.matcher(number_of);
                if matcher.behind & own != 0
                    && usize::from(matcher.min_len) <= len
                    && least <= matcher.longest()
                {
                    self.found.push((number_of as u16, number as u16));
                }
            }
        }
    }

    /// Walks down the pipelines that change the value, and returns how many variants there are.
    #[inline(never)]
    fn transform(&mut self, look: &Look<'_, 'r>, present: u64) -> usize {
        let mut count = 1;
        for word in 0..self.glance.node_words() {
            let mut first = self.glance.nodes(word, present);
            while first != 0 {
                let at = word * 64 + first.trailing_zeros() as usize;
                first &= first - 1;
                let Some(node) = look.nodes().get(at) else { break };
                let node = || Node::read(node);
                if node().below & look.slot().pipelines != 0
                    && look.value.len() >= usize::from(node().min_len)
                    && !self.is_folded_for_nothing(look, &node(), present)
                {
                    let end = usize::from(node().next);
                    self.descend(look, at, end, &mut count);
                }
            }
        }
        count
    }

    /// Whether a node does nothing but fold the value's case, and nothing is to be found then: what has the
    /// value's literals is told by those.
    #[inline]
    fn is_folded_for_nothing(&mut self, look: &Look<'_, 'r>, node: &Node, present: u64) -> bool {
        let present = present | node.adds;
        if node.transformation != Transformation::Lowercase as u8
            || (present | TRIGGER_ALWAYS) & node.under != 0
        {
            return false;
        }
        if !self.variants[0].scanned {
            self.scan(look, 0);
        }
        !self.variants[0].has_literals
            && (0..self.glance.silent_words()).all(|word| {
                let mut silent = self.glance.silent(look.slot().number, word, present);
                while silent != 0 {
                    let number = self.glance.matcher(word * 64 + silent.trailing_zeros() as usize);
                    silent &= silent - 1;
                    let matcher = look.rules.matcher(usize::from(number));
                    let lengths = usize::from(matcher.min_len)..=matcher.longest();
                    if matcher.behind & node.below != 0 && lengths.contains(&look.value.len()) {
                        return false;
                    }
                }
                true
            })
    }

    /// Gives the nodes from one on that is the first to change the value, and all below it, their
    /// variants.
    #[inline(never)]
    fn descend(&mut self, look: &Look<'_, 'r>, first: usize, end: usize, count: &mut usize) {
        if self.nodes.is_empty() {
            self.nodes.resize(look.rules.count::<Node>(Section::Nodes), 0);
        }
        let nodes = look.nodes();
        let mut at = first;
        while at < end {
            // Only what is used of the record is read.
            let Some(node) = nodes.get(at) else { return };
            let node = || Node::read(node);
            let parent = match at {
                _ if at == first => 0,
                _ => self.nodes.get(usize::from(node().parent)).copied().unwrap_or(0),
            };
            let below = node().below & look.slot().pipelines;
            let above = &mut self.variants[usize::from(parent)];
            let seen = above.present | TRIGGER_ALWAYS;
            let wants = look.wants(at);
            if below == 0 || wants().must & !seen != 0 || above.len < usize::from(node().min_len) {
                // Nothing below can match.
                at = usize::from(node().next).max(at + 1);
                continue;
            }
            if seen & node().triggers == 0 {
                // Nothing changes from here on down.
                above.own |= below;
                at = usize::from(node().next).max(at + 1);
                continue;
            }
            let owner = match seen & node().trigger {
                0 => parent,
                _ => self.step(look, at, parent, count),
            };
            if owner == NONE16 {
                at = usize::from(node().next).max(at + 1);
                continue;
            }
            if let Some(place) = self.nodes.get_mut(at) {
                *place = owner;
            }
            let variant = &mut self.variants[usize::from(owner)];
            if wants().own_must & !variant.present == 0 && variant.len >= usize::from(node().own_min_len) {
                variant.own |= node().own & look.slot().pipelines;
            }
            at += 1;
        }
    }

    /// The variant that a node makes of its parent's; [`NONE16`] if nothing below it can match.
    #[inline(never)]
    fn step(&mut self, look: &Look<'_, 'r>, node_at: usize, parent: u16, count: &mut usize) -> u16 {
        let Some(node) = look.nodes().get(node_at) else { return parent };
        let node = || Node::read(node);
        let Some(transformation) = Transformation::from_u8(node().transformation) else { return parent };
        let above = &self.variants[usize::from(parent)];
        if !above.made {
            if is_barred(&node(), above.present) && above.keeps_bars() {
                return parent;
            }
            self.make(look, usize::from(parent));
        }
        let above = &self.variants[usize::from(parent)];
        let (present, len, like, above_holds) = (above.present, above.len, above.like, above.holds);
        if (present | TRIGGER_ALWAYS) & node().trigger == 0 || is_barred(&node(), present) {
            return parent;
        }
        let input = if parent == 0 { look.value } else { &above.bytes };
        let number = *count;
        let same = |known: &Variant| known.parent == parent && known.transformation == node().transformation;
        if let Some(at) = self.variants.get(1..number).unwrap_or(&[]).iter().position(same) {
            self.share_literals(at + 1, look.wants(node_at)().holds);
            return at as u16 + 1;
        }
        if transformation.is_idle(input) {
            return parent;
        }
        if node().text != 0 && transformation.spoils_text(input) {
            return NONE16;
        }
        let adds = match node().adds {
            u64::MAX if transformation.writes_blanks(input) => look.scanner.present(b" "),
            adds => adds,
        };
        if adds != u64::MAX {
            // What it can come to at most is known.
            let holds = look.wants(node_at)().holds;
            let like = if transformation.adds_no_literal(input, holds) { like } else { number as u16 };
            let variant = self.place(number);
            (variant.made, variant.parent, variant.transformation) = (false, parent, node().transformation);
            (variant.present, variant.len, variant.like) = (present | adds, len, like);
            variant.holds = if transformation.folds_case() { above_holds } else { holds & above_holds };
            variant.least = if transformation.keeps_length() { len } else { 0 };
        } else {
            if !transformation.apply(input, &mut self.output) {
                return parent;
            }
            if self.output == look.value {
                return 0;
            }
            let known = self.variants.get(1..number).unwrap_or(&[]);
            if let Some(at) = known.iter().position(|known| known.made && known.bytes == self.output) {
                self.share_literals(at + 1, look.wants(node_at)().holds);
                return at as u16 + 1;
            }
            let mut output = core::mem::take(&mut self.output);
            let variant = self.place(number);
            core::mem::swap(&mut variant.bytes, &mut output);
            (variant.made, variant.like, variant.holds) = (true, number as u16, holds::ALL);
            (variant.parent, variant.transformation) = (parent, node().transformation);
            (variant.present, variant.len) = (look.scanner.present(&variant.bytes), variant.bytes.len());
            variant.least = variant.len;
            self.output = output;
        }
        *count += 1;
        number as u16
    }

    /// Gives matchers whose literals hold `holds` a variant that is there for others.
    fn share_literals(&mut self, number: usize, holds: u8) {
        if let Some(variant) = self.variants.get_mut(number)
            && holds & !variant.holds != 0
        {
            (variant.like, variant.holds) = (number as u16, holds::ALL);
        }
    }

    fn place(&mut self, number: usize) -> &mut Variant {
        if number == self.variants.len() {
            self.variants.push(Variant::default());
        }
        let variant = &mut self.variants[number];
        (variant.own, variant.scanned) = (0, false);
        variant
    }

    /// Makes a variant that was put off. What it is made of is there: none is put off whose parent is.
    #[inline(never)]
    fn make(&mut self, look: &Look<'_, 'r>, number: usize) {
        let Variant { made, parent, transformation, .. } = self.variants[number];
        if made {
            return;
        }
        let input = if parent == 0 { look.value } else { &self.variants[usize::from(parent)].bytes };
        let changed = Transformation::from_u8(transformation)
            .is_some_and(|transformation| transformation.apply(input, &mut self.output));
        if !changed {
            self.output.clear();
            self.output.extend_from_slice(input);
        }
        let variant = &mut self.variants[number];
        core::mem::swap(&mut variant.bytes, &mut self.output);
        variant.made = true;
        (variant.present, variant.len) = (look.scanner.present(&variant.bytes), variant.bytes.len());
        variant.least = variant.len;
    }

    /// Files what was found, and wakes the rules that it concerns.
    #[inline(never)]
    fn file(&mut self, rules: &RuleSet<'r>, pipelines: u64, store: &mut Store<'r>, entry: u32, span: Span) {
        let mut last = (0, span);
        for &(matcher, variant) in &self.found {
            if self.candidates.len() == MAX_CANDIDATES {
                self.dropped += 1;
                return;
            }
            // Candidates of a variant stand together.
            if variant != last.0 {
                let bytes = self.variants.get(usize::from(variant)).map_or(&[][..], |variant| &variant.bytes);
                last = (variant, store.keep(bytes));
            }
            let pipelines = self.variants.get(usize::from(variant)).map_or(pipelines, |found| found.own);
            let number = self.candidates.len() as u32;
            self.candidates.push(Candidate {
                next: NONE,
                entry,
                variant: last.1,
                pipelines,
                state: State::Possible,
            });
            let Some(chain) = self.chains.get_mut(usize::from(matcher)) else { continue };
            let known = core::mem::replace(&mut chain.1, number + 1);
            if known == 0 {
                chain.0 = number + 1;
                let Matcher { uses, use_count, .. } = rules.matcher(usize::from(matcher));
                wake(&mut self.todo, rules, uses, use_count);
            } else if let Some(before) = self.candidates.get_mut(known as usize - 1) {
                before.next = number;
            }
        }
    }
}

fn wake(todo: &mut [u32], rules: &RuleSet<'_>, uses: u32, count: u16) {
    for at in uses as usize..uses as usize + usize::from(count) {
        let rule = usize::from(rules.record::<Use>(Section::Uses, at).rule);
        if let Some(word) = todo.get_mut(rule / 32) {
            *word |= 1 << (rule % 32);
        }
    }
}

impl Variant {
    /// Whether it surely has a byte of each byte set that stands in [`Node::bars`] and in `present`.
    fn keeps_bars(&self) -> bool {
        self.made
            || matches!(
                Transformation::from_u8(self.transformation),
                Some(
                    Transformation::Lowercase | Transformation::Uppercase | Transformation::RemoveWhitespace
                )
            )
    }
}

/// Whether a value of these byte sets is surely one that the node leaves as it is.
#[inline]
fn is_barred(node: &Node, present: u64) -> bool {
    node.bars & present != 0 && node.unless & present == 0
}
