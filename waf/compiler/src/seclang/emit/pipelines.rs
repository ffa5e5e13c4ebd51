//! Transformation lists, and the tree of their common beginnings.

use std::collections::{BTreeSet, HashMap};

use picket_seclang::format::{MAX_PIPELINES, NONE16, Node, Pipeline, Record, TRIGGER_ALWAYS, Wants, holds};
use picket_seclang::transform::Transformation;

use super::super::error::{Error, fit};
use super::matchers::Matcher;
use super::needs::ByteSets;
use super::pool::Bytes;
use crate::regex::ByteSet;

/// Transformation lists in the order of their numbers; those that have bits come first.
#[derive(Default)]
pub(super) struct Pipelines {
    lists: Vec<Vec<Transformation>>,
    known: HashMap<Vec<Transformation>, usize>,
}

impl Pipelines {
    /// Numbers lists, equal ones alike.
    pub fn add(&mut self, list: &[Transformation]) -> usize {
        if let Some(&number) = self.known.get(list) {
            return number;
        }
        let number = self.lists.len();
        self.lists.push(list.to_vec());
        self.known.insert(list.to_vec(), number);
        number
    }

    /// Whether those of `lists` that are new have bits left.
    pub fn has_room(&self, lists: &[&[Transformation]]) -> bool {
        let new: BTreeSet<_> = lists.iter().filter(|list| !self.known.contains_key(**list)).collect();
        self.lists.len() + new.len() <= MAX_PIPELINES
    }

    /// The number of a list that was added.
    pub fn number(&self, list: &[Transformation]) -> usize {
        self.known.get(list).copied().unwrap_or(0)
    }

    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// The lists in the order of their numbers.
    pub fn lists(&self) -> impl Iterator<Item = &[Transformation]> {
        self.lists.iter().map(Vec::as_slice)
    }

    /// All transformations of the first `count` lists.
    pub fn transformations(&self, count: usize) -> BTreeSet<Transformation> {
        self.lists.iter().take(count).flatten().copied().collect()
    }

    /// Builds the tree over all lists. The first ones have bits, as many as there are `wants`: what
    /// the matchers behind them ask of a value.
    pub fn tree(&self, wants: &[Asked], sets: &ByteSets, data: &mut Bytes) -> Result<Tree, Error> {
        let scanned = wants.len();
        let mut nodes = vec![Node { min_len: u16::MAX, own_min_len: u16::MAX, ..Node::default() }];
        let mut children: HashMap<(usize, u8), usize> = HashMap::new();
        let mut pipelines = Vec::new();
        let mut paths = Vec::new();
        for (number, list) in self.lists.iter().enumerate() {
            let bit = if number < scanned { 1u64 << number } else { 0 };
            let mut at = 0;
            let mut path = vec![0];
            nodes[0].below |= bit;
            for &transformation in list {
                let next = nodes.len();
                let parent = fit("nodes", at, usize::from(u16::MAX))?;
                at = *children.entry((at, transformation as u8)).or_insert(next);
                if at == next {
                    let trigger = sets.trigger(transformation);
                    nodes.push(Node {
                        parent,
                        transformation: transformation as u8,
                        trigger,
                        min_len: u16::MAX,
                        own_min_len: u16::MAX,
                        text: 1,
                        ..Node::default()
                    });
                }
                nodes[at].below |= bit;
                path.push(at);
            }
            nodes[at].own |= bit;
            if let Some(wants) = wants.get(number) {
                for (end, &at) in path.iter().enumerate() {
                    let keeps = list.get(end..).unwrap_or(&[]).iter().all(|&after| keeps_text(after));
                    nodes[at].text &= u8::from(keeps && wants.text);
                }
                let node = &mut nodes[at];
                node.min_len = node.min_len.min(wants.min_len);
                node.own_min_len = node.own_min_len.min(wants.min_len);
            }
            paths.push(path);
            let bytes: Vec<u8> = list.iter().map(|&transformation| transformation as u8).collect();
            pipelines.push(Pipeline {
                node: fit("nodes", at, usize::from(u16::MAX))?,
                transformations: data.add(&bytes)?,
            });
        }
        // Parents stand before their children: from the end on, everything below a node is known.
        for number in (1..nodes.len()).rev() {
            let node = &mut nodes[number];
            let through = Through::of(Transformation::from_u8(node.transformation));
            node.min_len = through.least(node.min_len);
            node.adds = through.adds(sets);
            (node.bars, node.unless) = through.bars(sets);
            let (min_len, parent) = (node.min_len, usize::from(node.parent));
            nodes[parent].min_len = nodes[parent].min_len.min(min_len);
        }
        nodes[0].min_len = 0;
        let triggers = paths.iter().map(|path| Triggers::of(path.iter().map(|&at| &nodes[at]))).collect();
        let order = preorder(&nodes);
        for pipeline in &mut pipelines {
            pipeline.node = order.places[usize::from(pipeline.node)];
        }
        let mut tree = Tree { nodes: order.nodes, pipelines, triggers, must: Vec::new() };
        let all = wants.iter().enumerate().map(|(pipeline, wants)| (pipeline, wants.must, wants.holds));
        tree.must = tree.wants(all, sets).iter().map(|wants| wants.must).collect();
        Ok(tree)
    }
}

/// What a value must have for any of some matchers to be possible.
pub(super) struct Asked {
    /// Byte sets of which each has a byte in it.
    pub must: u64,
    min_len: u16,
    /// Whether each needs four bytes of ASCII in a row that no comment can turn into.
    text: bool,
    /// [`holds`] bits of their literals.
    pub holds: u8,
}

impl Asked {
    /// What all of `matchers` ask for behind a list of transformations.
    pub fn of<'m>(
        list: &[Transformation],
        matchers: impl Iterator<Item = &'m Matcher>,
        sets: &ByteSets,
    ) -> Self {
        let none = Asked { must: u64::MAX, min_len: u16::MAX, text: true, holds: 0 };
        matchers.fold(none, |wants, matcher| Asked {
            must: wants.must & sets.needs(&needs_behind(list, matcher)),
            min_len: wants.min_len.min(u16::try_from(matcher.min_len).unwrap_or(u16::MAX)),
            text: wants.text && needs_text(matcher),
            holds: matcher.literals.iter().flatten().fold(wants.holds, |bits, literal| bits | held(literal)),
        })
    }
}

/// The [`holds`] bits of a literal.
fn held(literal: &[u8]) -> u8 {
    let bit = |bit: u8, holds: bool| if holds { bit } else { 0 };
    let later = literal.get(1..).unwrap_or(&[]);
    bit(holds::BLANK, literal.contains(&b' '))
        | bit(holds::SLASH, later.contains(&b'/'))
        | bit(holds::PARENTHESIS, later.contains(&b'('))
}

/// Whether a value that matches has four bytes of ASCII in a row, none of them a blank.
fn needs_text(matcher: &Matcher) -> bool {
    let is_text = |part: &[u8]| part.iter().all(|byte| byte.is_ascii() && *byte != b' ');
    !matcher.is_silent() && matcher.literals.iter().flatten().all(|literal| literal.windows(4).any(is_text))
}

/// Whether four bytes of ASCII in a row without a blank come of at least as many in a row before the
/// transformation, but for white space beyond ASCII between them.
fn keeps_text(transformation: Transformation) -> bool {
    use Transformation as T;
    matches!(
        transformation,
        T::UrlDecode
            | T::UrlDecodeUni
            | T::JsDecode
            | T::RemoveWhitespace
            | T::ReplaceComments
            | T::Lowercase
            | T::RemoveNulls
    )
}

/// The byte sets that a matcher needs, less what the last transformation before it leaves none of;
/// what its literals need is among them.
pub(super) fn needs_behind(list: &[Transformation], matcher: &Matcher) -> Vec<ByteSet> {
    let gone: ByteSet = match list.last() {
        Some(Transformation::RemoveWhitespace) => b" \t\n\x0b\x0c\r\xa0\xc2".iter().copied().collect(),
        Some(Transformation::Lowercase | Transformation::CmdLine) => (b'A'..=b'Z').collect(),
        Some(Transformation::RemoveNulls) => [0].into_iter().collect(),
        _ => ByteSet::default(),
    };
    let less = |set: &ByteSet| (0..=255).filter(|&byte| set.contains(byte) && !gone.contains(byte)).collect();
    matcher.needs.iter().chain(&matcher.literal_need).map(less).collect()
}

/// What is known of a transformation's input when something is known of its output.
struct Through {
    /// Bytes that it may write though they are not in its input; `None`: any.
    writes: Option<&'static [u8]>,
    /// Whether it writes letters in lower, or upper, case that were in the other.
    folds: Option<fn(&u8) -> u8>,
    /// Bytes of output for so many of input, at most.
    grows: Option<(u32, u32)>,
    /// Bytes besides which a value without a NUL must have none to be changed at all.
    takes: Option<ByteSet>,
}

impl Through {
    fn of(transformation: Option<Transformation>) -> Self {
        use Transformation as T;
        let (writes, grows): (Option<&'static [u8]>, _) = match transformation {
            Some(T::RemoveNulls | T::RemoveWhitespace | T::Trim | T::TrimLeft | T::TrimRight) => {
                (Some(b""), Some((1, 1)))
            }
            Some(T::Lowercase | T::Uppercase) => (Some(b""), Some((1, 1))),
            Some(T::CompressWhitespace | T::CmdLine | T::ReplaceNulls) => (Some(b" "), Some((1, 1))),
            Some(T::ReplaceComments) => (Some(b" "), Some((1, 1))),
            Some(T::RemoveCommentsChar | T::NormalizePath) => (Some(b""), Some((1, 1))),
            Some(T::NormalizePathWin) => (Some(b"/"), Some((1, 1))),
            Some(
                T::HtmlEntityDecode
                | T::UrlDecode
                | T::UrlDecodeUni
                | T::JsDecode
                | T::CssDecode
                | T::EscapeSeqDecode,
            ) => (None, Some((1, 1))),
            Some(T::Base64Decode) => (None, Some((3, 4))),
            _ => (None, None),
        };
        let folds: Option<fn(&u8) -> u8> = match transformation {
            Some(T::Lowercase | T::CmdLine) => Some(u8::to_ascii_lowercase),
            Some(T::Uppercase) => Some(u8::to_ascii_uppercase),
            _ => None,
        };
        let takes = (transformation == Some(T::Base64Decode)).then(|| {
            // With white space, which may be gone by the time that it runs.
            let letters = (0..=255).filter(|byte: &u8| byte.is_ascii_alphanumeric());
            letters.chain(*b"+/=\0 \t\n\x0b\x0c\r\xa0\xc2").collect()
        });
        Through { writes, folds, grows, takes }
    }

    /// The sets that have no byte in its output if they have none in its input.
    fn kept(&self, sets: &ByteSets) -> u64 {
        let Some(writes) = self.writes else { return 0 };
        let keeps = |set: &ByteSet| {
            !writes.iter().any(|&byte| set.contains(byte))
                && self.folds.is_none_or(|fold| {
                    (0..=255).all(|byte: u8| set.contains(byte) || !set.contains(fold(&byte)))
                })
        };
        sets.sets.iter().enumerate().fold(0, |bits, (number, set)| bits | u64::from(keeps(set)) << number)
    }

    /// The sets that may have a byte in its output though they have none in its input.
    fn adds(&self, sets: &ByteSets) -> u64 {
        if self.writes.is_none() || self.grows != Some((1, 1)) {
            return u64::MAX;
        }
        !self.kept(sets) & u64::MAX.checked_shr(64 - sets.sets.len() as u32).unwrap_or(0)
    }

    /// The sets of which a byte keeps it from changing anything, and those that spoil this.
    fn bars(&self, sets: &ByteSets) -> (u64, u64) {
        let Some(ends) = sets.sets.iter().position(|set| *set == [0].into_iter().collect()) else {
            return (0, 0);
        };
        let Some(takes) = &self.takes else { return (0, 0) };
        let bars = |set: &ByteSet| !set.is_empty() && !set.meets(takes);
        let bits = sets.sets.iter().enumerate();
        (bits.fold(0, |bits, (number, set)| bits | u64::from(bars(set)) << number), 1 << ends)
    }

    /// The least length of its input if its output, or its input unchanged, has at least `len` bytes.
    fn least(&self, len: u16) -> u16 {
        match self.grows {
            // A last group that is not whole counts as one.
            Some((output, input)) => {
                u16::try_from(u32::from(len) * input / output).unwrap_or(u16::MAX).min(len)
            }
            None => 0,
        }
    }
}

/// The tables of [`picket_seclang::format::glance`]. `silent` are matchers with the byte sets that they
/// need; `looks` tells of a slot and a matcher whether it looks at the slot's values.
pub(super) fn glance(
    tree: &Tree,
    silent: &[(usize, u64)],
    slots: usize,
    looks: &dyn Fn(usize, usize) -> bool,
) -> Result<Vec<u8>, Error> {
    /// Byte sets of which each must be there, and of which none may.
    #[derive(Clone, Copy)]
    struct Question {
        all: u64,
        none: u64,
    }
    const NEVER: Question = Question { all: TRIGGER_ALWAYS, none: 0 };
    let mut questions: Vec<Question> =
        tree.triggers.iter().take(64).map(|triggers| Question { all: 0, none: triggers.sets }).collect();
    // `TRIGGER_ALWAYS` stands for a byte set that no value has a byte of: the other way round.
    for question in &mut questions {
        if question.none & TRIGGER_ALWAYS != 0 {
            *question = NEVER;
        }
    }
    questions.resize(64, NEVER);
    let mut above = vec![0u64; tree.nodes.len()];
    for (number, node) in tree.nodes.iter().enumerate() {
        let parent = usize::from(node.parent);
        let inherited = if number == 0 { 0 } else { above[parent] };
        above[number] = inherited | node.trigger;
        let first = number != 0 && inherited & TRIGGER_ALWAYS == 0 && node.trigger != 0 && node.below != 0;
        questions.push(if first {
            let own = node.trigger & !TRIGGER_ALWAYS;
            Question { all: tree.must[number] | own, none: inherited }
        } else {
            NEVER
        });
    }
    questions.resize(questions.len().next_multiple_of(64), NEVER);
    let node_words = questions.len() / 64 - 1;
    questions.extend(silent.iter().map(|&(_, needs)| Question { all: needs, none: 0 }));
    questions.resize(questions.len().next_multiple_of(64), NEVER);
    let silent_words = questions.len() / 64 - 1 - node_words;
    let mut bytes = Vec::new();
    for count in [node_words, silent_words] {
        bytes.extend(fit::<u16>("questions", count, usize::from(u16::MAX))?.to_le_bytes());
    }
    for word in questions.chunks(64) {
        for table in 0..8 {
            let part = |sets: u64| sets >> (8 * table) & 255;
            for there in 0..256u64 {
                let holds = |question: &Question| {
                    part(question.all) & !there == 0 && part(question.none) & there == 0
                };
                let bits = word.iter().enumerate();
                let row = bits.fold(0, |row, (bit, question)| row | u64::from(holds(question)) << bit);
                bytes.extend(row.to_le_bytes());
            }
        }
    }
    let mut numbers = vec![NONE16; 64 * silent_words];
    for (place, &(number, _)) in numbers.iter_mut().zip(silent) {
        *place = fit("matchers", number, usize::from(NONE16) - 1)?;
    }
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    for slot in 0..slots {
        for word in 0..silent_words {
            let matchers = silent.iter().skip(64 * word).take(64).enumerate();
            let bits =
                matchers.fold(0, |bits, (bit, &(number, _))| bits | u64::from(looks(slot, number)) << bit);
            bytes.extend(bits.to_le_bytes());
        }
    }
    Ok(bytes)
}

/// Nodes with everything below each right behind it.
struct Preorder {
    nodes: Vec<Node>,
    /// Where each node has come to stand.
    places: Vec<u16>,
}

/// Reorders nodes whose parents stand before them; there are fewer than 65,536.
fn preorder(nodes: &[Node]) -> Preorder {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (number, node) in nodes.iter().enumerate().skip(1) {
        children[usize::from(node.parent)].push(number);
    }
    let mut order = Preorder { nodes: Vec::new(), places: vec![0; nodes.len()] };
    let mut open = vec![0];
    while let Some(number) = open.pop() {
        order.places[number] = order.nodes.len() as u16;
        let node = nodes[number];
        let parent = order.places[usize::from(node.parent)];
        order.nodes.push(Node { parent, triggers: node.trigger, next: 0, ..node });
        open.extend(children[number].iter().rev());
    }
    for number in (0..order.nodes.len()).rev() {
        let node = &mut order.nodes[number];
        // Those below it have been visited and have moved its end as far as theirs.
        node.next = node.next.max(number as u16 + 1);
        let (triggers, next, parent) = (node.triggers, node.next, usize::from(node.parent));
        if number != 0 {
            // What only unscanned pipelines have is on nobody's way.
            let triggers = if node.below == 0 { 0 } else { triggers };
            let parent = &mut order.nodes[parent];
            parent.triggers |= triggers;
            parent.under |= triggers;
            parent.next = parent.next.max(next);
        }
    }
    order
}

/// The tree.
pub(super) struct Tree {
    pub nodes: Vec<Node>,
    pub pipelines: Vec<Pipeline>,
    pub triggers: Vec<Triggers>,
    /// For each node the byte sets of which each is in a value that anything below can match.
    must: Vec<u64>,
}

impl Tree {
    /// What a value must have at each node, by what it must have behind pipelines.
    pub fn wants(&self, behind: impl Iterator<Item = (usize, u64, u8)>, sets: &ByteSets) -> Vec<Wants> {
        let mut wants = vec![Wants { must: u64::MAX, own_must: u64::MAX, holds: 0 }; self.nodes.len()];
        for (pipeline, must, holds) in behind {
            let Some(end) = self.pipelines.get(pipeline) else { continue };
            let end = &mut wants[usize::from(end.node)];
            (end.must, end.own_must) = (end.must & must, end.own_must & must);
            end.holds |= holds;
        }
        // Parents stand before their children.
        for (number, node) in self.nodes.iter().enumerate().skip(1).rev() {
            wants[number].must &= Through::of(Transformation::from_u8(node.transformation)).kept(sets);
            let Wants { must, holds, .. } = wants[number];
            let parent = &mut wants[usize::from(node.parent)];
            parent.must &= must;
            parent.holds |= holds;
        }
        wants
    }
}

/// What makes a pipeline change a value.
pub(super) struct Triggers {
    /// The triggers of its transformations together.
    pub sets: u64,
    /// The least length of a value for which it is of use to run one that changes any.
    pub always_from: Option<u16>,
}

impl Triggers {
    fn of<'n>(nodes: impl Iterator<Item = &'n Node>) -> Self {
        let mut triggers = Triggers { sets: 0, always_from: None };
        // What is longer, or has other bytes, than its own input had comes of a trigger before it.
        for node in nodes {
            triggers.sets |= node.trigger;
            if node.trigger & TRIGGER_ALWAYS != 0 && triggers.always_from.is_none() {
                triggers.always_from = Some(node.min_len);
            }
        }
        triggers
    }
}

/// Records one behind the other.
pub(super) fn records<R: Record>(records: &[R]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.len() * R::LEN);
    records.iter().for_each(|record| record.write(&mut bytes));
    bytes
}
