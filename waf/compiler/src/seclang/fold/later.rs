//! Phases 2 to 5: what is constant there.

use super::decide::{Outcome, decide, is_pure};
use super::env::{Env, Value};
use super::{Exits, Fate, Folder, Writes};

impl Folder<'_> {
    /// Judges the rules of the later phases by the constants until nothing changes.
    pub(super) fn later_phases(&mut self, exits: &Exits) {
        loop {
            let constants = self.constants(exits);
            for at in self.phases[2]..self.steps.len() {
                let phase = self.steps[at].phase();
                self.before[at].clone_from(&constants[phase]);
            }
            let mut changed = false;
            for at in self.phases[2]..self.steps.len() {
                if self.fates[at] == Fate::Left {
                    changed |= self.judge(at);
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// What is known in each phase, by its number.
    fn constants(&self, exits: &Exits) -> Vec<Env> {
        let mut written = Writes::default();
        for at in self.left(self.phases[2]..self.steps.len()) {
            let writes = Writes::of(&self.steps[at].rule);
            written.names.extend(writes.names);
            written.prefixes.extend(writes.prefixes);
        }
        (0..6)
            .map(|phase| {
                let ways = [
                    (phase >= 2).then_some(&exits.phase),
                    (phase >= 3).then_some(&exits.request),
                    (phase >= 5).then_some(&exits.all),
                ];
                let mut known: Option<Env> = None;
                for env in ways.into_iter().flatten().flatten() {
                    super::join(&mut known, env);
                }
                let mut known = known.unwrap_or_default();
                for prefix in &written.prefixes {
                    known.forget_prefix(prefix.clone());
                }
                for name in &written.names {
                    known.set(name.clone(), Value::Unknown);
                }
                known
            })
            .collect()
    }

    /// Judges one rule; tells whether anything was found that was not known before.
    fn judge(&mut self, at: usize) -> bool {
        let end = self.phases[self.steps[at].phase() + 1];
        let begin = self.phases[self.steps[at].phase()];
        // Controls of all later phases, for they may come in any order.
        let everywhere = 0..self.steps.len();
        let open = self.is_tampered(at, everywhere.clone());
        let decision = decide(&self.steps[at].rule, &self.before[at], open, self.keeps_matches);
        match decision.outcome {
            Outcome::Open => return false,
            Outcome::Fails => {
                self.fates[at] = Fate::Dead;
                return true;
            }
            Outcome::Matches => {}
        }
        if !is_pure(&self.steps[at].rule) || self.keeps_matches {
            return false;
        }
        let known = std::mem::replace(&mut self.always[at], true);
        let sets_nothing =
            decision.sets.is_empty() && self.steps[at].rule.links.iter().all(|link| link.actions.is_empty());
        if !sets_nothing {
            return !known;
        }
        if let Some(landing) = self.landing(at, end) {
            let removers = self.removers(at, everywhere.clone());
            let over: Vec<usize> = self.left(at + 1..landing).collect();
            let entered = self
                .left(begin..at)
                .any(|from| self.landing(from, end).is_some_and(|entry| at < entry && entry < landing));
            let closed =
                over.iter().all(|&over| removers.is_subset(&self.removers(over, everywhere.clone())));
            if !over.is_empty() && (entered || !closed) {
                return !known;
            }
            for over in over {
                self.fates[over] = Fate::Dead;
            }
        }
        self.fates[at] = Fate::Done;
        true
    }
}
