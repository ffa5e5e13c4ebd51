//! Transformation lists, and the tree of their common beginnings.

use std::collections::{BTreeSet, HashMap};

use picket_seclang::format::{MAX_PIPELINES, Node, Pipeline, Record};
use picket_seclang::transform::Transformation;

use super::super::error::{Error, fit};
use super::needs::ByteSets;
use super::pool::Bytes;

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

    /// All transformations of the first `count` lists.
    pub fn transformations(&self, count: usize) -> BTreeSet<Transformation> {
        self.lists.iter().take(count).flatten().copied().collect()
    }

    /// Builds the tree over all lists; the first `scanned` have bits.
    pub fn tree(&self, scanned: usize, sets: &ByteSets, data: &mut Bytes) -> Result<Tree, Error> {
        let mut nodes = vec![Node::default()];
        let mut children: HashMap<(usize, u8), usize> = HashMap::new();
        let mut pipelines = Vec::new();
        let mut triggers = Vec::new();
        for (number, list) in self.lists.iter().enumerate() {
            let bit = if number < scanned { 1u64 << number } else { 0 };
            let mut at = 0;
            let mut path = 0;
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
                        ..Node::default()
                    });
                }
                nodes[at].below |= bit;
                path |= nodes[at].trigger;
            }
            nodes[at].own |= bit;
            triggers.push(path);
            let bytes: Vec<u8> = list.iter().map(|&transformation| transformation as u8).collect();
            pipelines.push(Pipeline {
                node: fit("nodes", at, usize::from(u16::MAX))?,
                transformations: data.add(&bytes)?,
            });
        }
        let order = preorder(&nodes);
        for pipeline in &mut pipelines {
            pipeline.node = order.places[usize::from(pipeline.node)];
        }
        Ok(Tree { nodes: order.nodes, pipelines, triggers })
    }
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
            let parent = &mut order.nodes[parent];
            parent.triggers |= triggers;
            parent.next = parent.next.max(next);
        }
    }
    order
}

/// The tree.
pub(super) struct Tree {
    pub nodes: Vec<Node>,
    pub pipelines: Vec<Pipeline>,
    /// For each pipeline, the triggers of its transformations together.
    pub triggers: Vec<u64>,
}

/// Records one behind the other.
pub(super) fn records<R: Record>(records: &[R]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.len() * R::LEN);
    records.iter().for_each(|record| record.write(&mut bytes));
    bytes
}
