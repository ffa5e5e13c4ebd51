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
        Ok(Tree { nodes, pipelines, triggers })
    }
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
