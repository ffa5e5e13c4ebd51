//! Which matchers look at which values, behind which pipelines.

use std::collections::{BTreeMap, BTreeSet};

use picket_seclang::Variable;
use picket_seclang::format::{NONE16, Slot, Use, VariableInfo, scans};

use super::super::error::{Error, fit};
use super::super::syntax::{Selector, Target, TargetMode};
use super::pipelines::Triggers;
use super::pool::{BitSets, Bytes};

/// What concerns a value: pipelines with the matchers behind each, and the rules that wait for any value.
#[derive(Clone, Default)]
pub(super) struct Watchers {
    pub behind: BTreeMap<usize, BTreeSet<usize>>,
    pub waiting: BTreeSet<usize>,
}

/// Watchers by variable: of all keys, and of single ones.
#[derive(Default)]
pub(super) struct Slots {
    general: BTreeMap<Variable, Watchers>,
    keyed: BTreeMap<Variable, BTreeMap<Vec<u8>, Watchers>>,
    named: BTreeSet<Variable>,
}

/// The variables that hold what a target names.
pub(super) fn stored(variable: Variable) -> &'static [Variable] {
    const ALL: &[Variable] = Variable::ALL;
    match variable {
        Variable::Args => &[Variable::ArgsGet, Variable::ArgsPost],
        Variable::ArgsNames => &[Variable::ArgsGetNames, Variable::ArgsPostNames],
        other => ALL.get(other as usize..=other as usize).unwrap_or(&[]),
    }
}

/// Whether values of a stored variable are parts of a response.
fn is_of_response(variable: Variable) -> bool {
    matches!(
        variable,
        Variable::ResponseStatus
            | Variable::ResponseProtocol
            | Variable::ResponseHeaders
            | Variable::ResponseHeadersNames
            | Variable::ResponseContentType
            | Variable::ResponseBody
            | Variable::StatusLine
    )
}

impl Slots {
    /// Notes that some rule names the variable.
    pub fn name(&mut self, variable: Variable) {
        self.named.insert(variable);
        self.named.extend(stored(variable));
        if variable == Variable::FullRequest {
            // It is put together from them.
            self.named.insert(Variable::RequestHeaders);
        }
    }

    /// Notes that a matcher looks at a target's values behind pipelines.
    pub fn watch(&mut self, target: &Target, pipelines: &[usize], matcher: usize) {
        self.of(target, |watchers| {
            for &pipeline in pipelines {
                watchers.behind.entry(pipeline).or_default().insert(matcher);
            }
        });
    }

    /// Notes that a rule waits for a value of a target.
    pub fn wake(&mut self, target: &Target, rule: usize) {
        self.of(target, |watchers| {
            watchers.waiting.insert(rule);
        });
    }

    fn of(&mut self, target: &Target, mut note: impl FnMut(&mut Watchers)) {
        if target.mode == TargetMode::Exclude {
            return;
        }
        for &variable in stored(target.variable) {
            note(match &target.selector {
                Selector::Key(key) => {
                    self.keyed.entry(variable).or_default().entry(key.to_ascii_lowercase()).or_default()
                }
                _ => self.general.entry(variable).or_default(),
            });
        }
    }

    /// The matchers behind each of the first `count` pipelines, whatever they look at.
    pub fn behind(&self, count: usize) -> Vec<BTreeSet<usize>> {
        let mut behind = vec![BTreeSet::new(); count];
        let keyed = self.keyed.values().flat_map(BTreeMap::values);
        let all = self.general.values().chain(keyed).flat_map(|watchers| &watchers.behind);
        for (&pipeline, matchers) in all {
            if let Some(behind) = behind.get_mut(pipeline) {
                behind.extend(matchers);
            }
        }
        behind
    }

    /// The matchers that look at values of requests, or of responses.
    pub fn matchers(&self, of_responses: bool) -> BTreeSet<usize> {
        let keyed =
            self.keyed.iter().flat_map(|(variable, slots)| slots.values().map(move |of| (variable, of)));
        let all = self.general.iter().chain(keyed);
        let of = all.filter(|(variable, _)| is_of_response(**variable) == of_responses);
        of.flat_map(|(_, watchers)| watchers.behind.values().flatten().copied()).collect()
    }

    /// The records of variables and slots.
    pub fn emit(
        self,
        triggers: &[Triggers],
        has_literals: &dyn Fn(usize) -> bool,
        wants: &mut dyn FnMut(&Watchers) -> Result<u32, Error>,
        strings: &mut Bytes,
        sets: &mut BitSets,
        uses: &mut Vec<Use>,
    ) -> Result<(Vec<VariableInfo>, Vec<Slot>), Error> {
        let mut infos = vec![VariableInfo { slot: NONE16, keyed: NONE16, keyed_count: 0, used: 0 }; 256];
        let mut slots = Vec::new();
        for variable in Variable::ALL {
            let info = &mut infos[*variable as usize];
            info.used = u8::from(self.named.contains(variable));
            let scans = |any: &BTreeSet<usize>| match any.iter().any(|&matcher| has_literals(matcher)) {
                false => scans::NOTHING,
                true if is_of_response(*variable) => scans::RESPONSE,
                true => scans::REQUEST,
            };
            let none = Watchers::default();
            let general = self.general.get(variable).unwrap_or(&none);
            if !general.behind.is_empty() || !general.waiting.is_empty() {
                info.slot = fit("slots", slots.len(), usize::from(NONE16) - 1)?;
                let record = slot(&[], general, triggers, &scans, strings, sets, uses)?;
                slots.push(Slot { number: info.slot, wants: wants(general)?, ..record });
            }
            if let Some(keyed) = self.keyed.get(variable) {
                info.keyed = fit("slots", slots.len(), usize::from(NONE16) - 1)?;
                info.keyed_count = fit("slots of a variable", keyed.len(), usize::from(u16::MAX))?;
                let mut keyed: Vec<_> = keyed.iter().collect();
                keyed.sort_by_key(|(key, _)| (key.len(), *key));
                for (key, watchers) in keyed {
                    let mut all = general.clone();
                    for (pipeline, matchers) in &watchers.behind {
                        all.behind.entry(*pipeline).or_default().extend(matchers);
                    }
                    all.waiting.extend(&watchers.waiting);
                    let number = fit("slots", slots.len(), usize::from(NONE16) - 1)?;
                    let record = slot(key, &all, triggers, &scans, strings, sets, uses)?;
                    slots.push(Slot { number, wants: wants(&all)?, ..record });
                }
            }
        }
        fit::<u16>("slots", slots.len(), usize::from(NONE16) - 1)?;
        Ok((infos, slots))
    }
}

fn slot(
    key: &[u8],
    watchers: &Watchers,
    triggers: &[Triggers],
    scans: &dyn Fn(&BTreeSet<usize>) -> u8,
    strings: &mut Bytes,
    sets: &mut BitSets,
    uses: &mut Vec<Use>,
) -> Result<Slot, Error> {
    let behind = &watchers.behind;
    let of = || behind.keys().filter_map(|&pipeline| triggers.get(pipeline));
    let any: BTreeSet<usize> = behind.values().flatten().copied().collect();
    let waiting = fit("uses", uses.len(), u32::MAX as usize)?;
    for &rule in &watchers.waiting {
        uses.push(Use { rule: fit("rules", rule, usize::from(u16::MAX))? });
    }
    Ok(Slot {
        key: strings.add(key)?,
        pipelines: behind.keys().fold(0, |bits, &pipeline| bits | 1 << pipeline),
        sets: sets.add([any.iter().copied()])?,
        triggers: of().fold(0, |bits, triggers| bits | triggers.sets),
        min_len: of().filter_map(|triggers| triggers.always_from).min().unwrap_or(0),
        scans: scans(&any),
        waiting,
        waiting_count: fit("rules that wait for a value", watchers.waiting.len(), usize::from(u16::MAX))?,
        ..Slot::default()
    })
}
