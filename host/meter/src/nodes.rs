//! What is outstanding at places that are joined.

use alloc::vec::Vec;

/// Places and what is outstanding at each. Where two of them are joined the difference is fixed, and so
/// they form trees: union-find, with a difference at each link.
#[derive(Default)]
pub(crate) struct Nodes {
    parent: Vec<u32>,
    /// What is outstanding more than at the parent; of a root, what is outstanding.
    delta: Vec<i64>,
    /// Of a root: how high its tree is at most, and later how heavy that is which it was fixed for.
    rank: Vec<u8>,
}

impl Nodes {
    /// Forgets all nodes.
    pub(crate) fn clear(&mut self) {
        self.parent.clear();
        self.delta.clear();
        self.rank.clear();
    }

    /// A node that nothing is joined with.
    pub(crate) fn push(&mut self) -> u32 {
        let node = self.parent.len() as u32;
        self.parent.push(node);
        self.delta.push(0);
        self.rank.push(0);
        node
    }

    /// The root, and what is outstanding more than there.
    fn find(&mut self, node: u32) -> (u32, i64) {
        let (mut node, mut delta) = (node, 0_i64);
        loop {
            let parent = self.parent[node as usize];
            if parent == node {
                return (node, delta);
            }
            let above = self.parent[parent as usize];
            if above != parent {
                let more = self.delta[parent as usize];
                let own = &mut self.delta[node as usize];
                *own = own.wrapping_add(more);
                self.parent[node as usize] = above;
            }
            delta = delta.wrapping_add(self.delta[node as usize]);
            node = self.parent[node as usize];
        }
    }

    /// Makes `more` outstanding at `b` than at `a`, if nothing joins them.
    pub(crate) fn join(&mut self, a: u32, b: u32, more: i64) {
        let ((a, at_a), (b, at_b)) = (self.find(a), self.find(b));
        if a == b {
            return;
        }
        let b_over_a = at_a.wrapping_add(more).wrapping_sub(at_b);
        let (child, parent, delta) = if self.rank[a as usize] > self.rank[b as usize] {
            (b, a, b_over_a)
        } else {
            (a, b, b_over_a.wrapping_neg())
        };
        if self.rank[a as usize] == self.rank[b as usize] {
            self.rank[parent as usize] += 1;
        }
        self.parent[child as usize] = parent;
        self.delta[child as usize] = delta;
    }

    /// What is outstanding at a node, once its tree is fixed.
    pub(crate) fn outstanding(&mut self, node: u32) -> i64 {
        let (root, delta) = self.find(node);
        delta.wrapping_add(self.delta[root as usize])
    }

    /// All that is to be joined is: begins to fix what is outstanding at the roots.
    pub(crate) fn begin_to_fix(&mut self) {
        self.rank.fill(0);
    }

    /// Makes `outstanding` outstanding at the node, unless its tree is fixed by what is as heavy.
    pub(crate) fn fix(&mut self, node: u32, outstanding: i64, weight: u8) {
        let (root, delta) = self.find(node);
        if weight > self.rank[root as usize] {
            self.rank[root as usize] = weight;
            self.delta[root as usize] = outstanding.wrapping_sub(delta);
        }
    }
}
