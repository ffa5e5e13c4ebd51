//! Whose frames must be counted.
//!
//! The stack grows without bound only through functions that can come to call themselves. Of all others,
//! a chain of calls has each at most once, so that the calls of a whole stack between counted functions
//! add up to a path through a graph without cycles, which is bounded here: a function from which such a
//! path would be too long is counted as well.

use alloc::vec;
use alloc::vec::Vec;

use crate::module::Module;
use crate::names::{UNCOUNTED_BYTES, UNCOUNTED_FRAMES};
use crate::scan::Facts;

/// Frames that are not counted, on the longest way down from a function.
#[derive(Clone, Copy, Default)]
struct Uncounted {
    frames: u32,
    bytes: u32,
}

impl Uncounted {
    fn max(self, other: Self) -> Self {
        Uncounted { frames: self.frames.max(other.frames), bytes: self.bytes.max(other.bytes) }
    }
}

/// Calls as a graph: functions with a body, and behind them one node for each type, which a call through
/// a table leads to and which leads to every function of that type whose address is taken.
struct Graph<'m> {
    facts: &'m Facts,
    functions: usize,
    /// Functions whose address is taken, in the order of their types.
    taken: Vec<u32>,
    /// Where in `taken` those of each type begin; one more for the end.
    taken_of: Vec<usize>,
}

impl<'m> Graph<'m> {
    fn new(module: &Module<'_>, facts: &'m Facts) -> Self {
        let functions = facts.functions.len();
        let mut of_type = Vec::new();
        for defined in 0..functions {
            let index = module.imported_functions as usize + defined;
            if facts.address_taken.get(index) == Some(&true)
                && let Some(&ty) = module.functions.get(index)
            {
                of_type.push((module.canonical_type(ty), defined as u32));
            }
        }
        of_type.sort_unstable();
        let types = module.types.len();
        let mut taken_of = vec![0; types + 1];
        for &(ty, _) in &of_type {
            if let Some(count) = taken_of.get_mut(ty as usize + 1) {
                *count += 1;
            }
        }
        for ty in 0..types {
            taken_of[ty + 1] += taken_of[ty];
        }
        Graph { facts, functions, taken: of_type.into_iter().map(|(_, defined)| defined).collect(), taken_of }
    }

    fn nodes(&self) -> usize {
        self.functions + self.taken_of.len() - 1
    }

    /// The `nth` node that `node` leads to.
    fn successor(&self, node: usize, nth: usize) -> Option<usize> {
        match self.facts.functions.get(node) {
            Some(function) => {
                let calls = &self.facts.calls[function.calls.clone()];
                if let Some(&called) = calls.get(nth) {
                    return Some(called as usize);
                }
                let types = &self.facts.indirect[function.indirect.clone()];
                types.get(nth - calls.len()).map(|&ty| self.functions + ty as usize)
            }
            None => {
                let ty = node - self.functions;
                let taken = &self.taken[self.taken_of[ty]..self.taken_of[ty + 1]];
                taken.get(nth).map(|&defined| defined as usize)
            }
        }
    }
}

/// A node that is being visited.
struct Visit {
    node: usize,
    next: usize,
}

/// Whether the frame of each function with a body is counted.
///
/// Tarjan's algorithm for strongly connected components, without recursion: it finishes a component
/// after all that it leads to.
pub(crate) fn counted(module: &Module<'_>, facts: &Facts) -> Vec<bool> {
    const UNSEEN: u32 = u32::MAX;
    let graph = Graph::new(module, facts);
    let nodes = graph.nodes();
    let mut counted = vec![false; graph.functions];
    let mut order = vec![UNSEEN; nodes];
    let mut low = vec![0_u32; nodes];
    let mut open = vec![false; nodes];
    let mut below = vec![Uncounted::default(); nodes];
    let mut stack: Vec<usize> = Vec::new();
    let mut visits: Vec<Visit> = Vec::new();
    let mut seen = 0;
    for root in 0..graph.functions {
        if order[root] != UNSEEN {
            continue;
        }
        visits.push(Visit { node: root, next: 0 });
        while let Some(visit) = visits.last_mut() {
            let node = visit.node;
            if visit.next == 0 && order[node] == UNSEEN {
                order[node] = seen;
                low[node] = seen;
                seen += 1;
                stack.push(node);
                open[node] = true;
            }
            if let Some(successor) = graph.successor(node, visit.next) {
                visit.next += 1;
                if order[successor] == UNSEEN {
                    visits.push(Visit { node: successor, next: 0 });
                } else if open[successor] {
                    low[node] = low[node].min(order[successor]);
                } else {
                    below[node] = below[node].max(below[successor]);
                }
                continue;
            }
            visits.pop();
            if low[node] == order[node] {
                let from = stack.iter().rposition(|&member| member == node).unwrap_or(0);
                finish(&graph, &stack[from..], &mut counted, &mut below);
                for member in stack.drain(from..) {
                    open[member] = false;
                }
            }
            if let Some(caller) = visits.last() {
                low[caller.node] = low[caller.node].min(low[node]);
                below[caller.node] = below[caller.node].max(below[node]);
            }
        }
    }
    counted
}

/// Decides about a component: all that it leads to is decided.
fn finish(graph: &Graph<'_>, members: &[usize], counted: &mut [bool], below: &mut [Uncounted]) {
    let mut deepest = Uncounted::default();
    for &member in members {
        deepest = deepest.max(below[member]);
    }
    let recursive = match members {
        [one] => (0..).map_while(|nth| graph.successor(*one, nth)).any(|successor| successor == *one),
        _ => true,
    };
    if recursive {
        for &member in members {
            if let Some(counted) = counted.get_mut(member) {
                *counted = true;
            }
        }
    } else if let [one] = members
        && let Some(function) = graph.facts.functions.get(*one)
    {
        let with =
            Uncounted { frames: deepest.frames + 1, bytes: deepest.bytes.saturating_add(function.frame) };
        if with.frames > UNCOUNTED_FRAMES || with.bytes > UNCOUNTED_BYTES {
            counted[*one] = true;
        } else {
            deepest = with;
        }
    }
    for &member in members {
        below[member] = deepest;
    }
}
