//! Raw rules to a configuration: chains, inheritance, updates, removals, markers.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::action::{Actions, Decision};
use super::ast::{
    Configuration, Diagnostic, Disruption, Item, Level, Link, Phase, Place, Rule, Target, TargetMode,
};
use super::control::holds;
use super::parser::{DefaultActions, Raw, RawItem, RawLink};
use super::pattern::TextMatcher;

/// A removal or an update. They mean all rules, wherever they stand, as in ModSecurity 3.
#[derive(Debug)]
pub(super) struct Update {
    pub place: Place,
    pub which: Which,
    pub kind: UpdateKind,
}

/// Which rules are meant.
#[derive(Debug)]
pub(super) enum Which {
    Ids(Vec<RangeInclusive<u32>>),
    Tag(TextMatcher),
    Message(TextMatcher),
}

/// What happens to them.
#[derive(Debug)]
pub(super) enum UpdateKind {
    Remove,
    Targets {
        added: Vec<Target>,
        replaced: Vec<Target>,
    },
    /// Of the link of this number.
    Actions(usize, Box<Actions>),
}

/// A chain before inheritance.
struct Chain {
    id: u32,
    phase: Phase,
    /// How many items stand before it.
    at: usize,
    /// At least one.
    links: Vec<RawLink>,
    removed: bool,
}

impl Chain {
    fn head(&self) -> Option<&RawLink> {
        self.links.first()
    }

    fn has_tag(&self, matcher: &TextMatcher) -> bool {
        let mut tags = self.head().into_iter().flat_map(|head| &head.actions.tags);
        tags.any(|tag| tag.as_literal().is_some_and(|tag| matcher.is_match(tag)))
    }

    fn has_message(&self, matcher: &TextMatcher) -> bool {
        let message = self.links.iter().find_map(|link| link.actions.message.as_ref());
        message.and_then(|message| message.as_literal()).is_some_and(|message| matcher.is_match(message))
    }
}

enum Step {
    Chain(Box<Chain>),
    Marker(super::ast::Marker),
}

struct Resolver {
    diagnostics: Vec<Diagnostic>,
    /// Ids of rules that were left out: updates of them are no mistakes.
    left_out: HashSet<u32>,
}

/// Resolves everything.
pub(super) fn resolve(raw: Raw) -> Configuration {
    let mut resolver = Resolver { diagnostics: raw.diagnostics, left_out: HashSet::new() };
    let mut steps = resolver.chains(raw.items);
    for update in &raw.updates {
        resolver.update(&mut steps, update);
    }
    let defaults = Defaults::new(raw.defaults);
    let mut items = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Marker(marker) => items.push(Item::Marker(marker)),
            Step::Chain(chain) if chain.removed => {}
            Step::Chain(chain) => items.extend(resolver.rule(*chain, &defaults).map(Item::Rule)),
        }
    }
    resolver.check_markers(&items);
    Configuration { directives: raw.directives, items, diagnostics: resolver.diagnostics, files: raw.files }
}

impl Resolver {
    fn say(&mut self, level: Level, place: &Place, text: impl Into<String>) {
        let (place, text) = (place.clone(), text.into());
        self.diagnostics.push(Diagnostic { level, place, text, rule_left_out: None });
    }

    fn leave_out(&mut self, place: &Place, id: Option<u32>, text: impl Into<String>) {
        self.left_out.extend(id);
        self.diagnostics.push(Diagnostic {
            level: Level::Error,
            place: place.clone(),
            text: text.into(),
            rule_left_out: id,
        });
    }

    /// Puts links together. What is not understood is left out with all of its chain.
    fn chains(&mut self, items: Vec<RawItem>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut ids: HashMap<u32, Place> = HashMap::new();
        let mut open: Vec<RawLink> = Vec::new();
        let mut start = 0;
        for (at, item) in items.into_iter().enumerate() {
            match item {
                RawItem::Marker(marker) => {
                    self.unfinished(&mut open);
                    steps.push(Step::Marker(marker));
                }
                RawItem::Link(link) => {
                    if open.is_empty() {
                        start = at;
                    }
                    let goes_on = link.actions.chain;
                    open.push(*link);
                    if !goes_on {
                        let links = core::mem::take(&mut open);
                        let chain = self.chain(links, start, &mut ids);
                        steps.extend(chain.map(|chain| Step::Chain(Box::new(chain))));
                    }
                }
            }
        }
        self.unfinished(&mut open);
        steps
    }

    fn unfinished(&mut self, open: &mut Vec<RawLink>) {
        let links = core::mem::take(open);
        if let (Some(head), Some(last)) = (links.first(), links.last()) {
            self.leave_out(&last.place, head.actions.id, "chain, but no rule follows");
        }
    }

    fn chain(&mut self, mut links: Vec<RawLink>, at: usize, ids: &mut HashMap<u32, Place>) -> Option<Chain> {
        let (head, rest) = links.split_first_mut()?;
        let id = head.actions.id;
        let place = head.place.clone();
        for link in rest.iter_mut() {
            if link.actions.disruption.is_some() {
                let text = "only the first rule of a chain may have a disruptive action";
                self.say(Level::Error, &link.place, text);
                link.broken = true;
            }
            if link.actions.id.is_some() || link.actions.phase.is_some() {
                let text = "a chained rule has the id and phase of the chain's first rule, not its own";
                self.say(Level::Warning, &link.place, text);
            }
            // What runs when the whole chain has matched is the rule's.
            head.actions.skip = head.actions.skip.or(link.actions.skip.take());
            if head.actions.skip_after.is_none() {
                head.actions.skip_after = link.actions.skip_after.take();
            }
            head.actions.status = head.actions.status.or(link.actions.status.take());
        }
        if let Some(link) = links.iter().find(|link| link.broken) {
            // Whether it is left out, or everything refused, is for whoever reads this to say.
            let text = match links.len() {
                1 => "the rule is faulty".into(),
                count => format!("the chain of {count} rules is faulty"),
            };
            let at = link.place.clone();
            match id {
                Some(_) => self.leave_out(&at, id, text),
                None => self.say(Level::Error, &at, text),
            }
            return None;
        }
        let Some(id) = id else {
            self.leave_out(&place, None, "a rule needs an id");
            return None;
        };
        if let Some(first) = ids.get(&id) {
            let text = format!("the id {id} is taken by the rule at {first}");
            self.say(Level::Error, &place, text);
            if let Some(diagnostic) = self.diagnostics.last_mut() {
                diagnostic.rule_left_out = Some(id);
            }
            return None;
        }
        ids.insert(id, place);
        let phase = links.first().and_then(|head| head.actions.phase).unwrap_or(Phase::RequestBody);
        Some(Chain { id, phase, at, links, removed: false })
    }

    fn update(&mut self, steps: &mut [Step], update: &Update) {
        let mut found = false;
        let mut problem = None;
        // Looked up per update: updates are few, and rules may have been removed.
        for step in steps.iter_mut() {
            let Step::Chain(chain) = step else { continue };
            let meant = match &update.which {
                Which::Ids(ids) => holds(ids, chain.id),
                Which::Tag(matcher) => chain.has_tag(matcher),
                Which::Message(matcher) => chain.has_message(matcher),
            };
            if meant {
                found = true;
                problem = problem.or(apply(chain, &update.kind));
            }
        }
        if let Some((level, text)) = problem {
            self.say(level, &update.place, text);
        }
        let left_out = match &update.which {
            Which::Ids(ids) => self.left_out.iter().any(|id| holds(ids, *id)),
            _ => false,
        };
        if !found && !left_out {
            self.say(Level::Note, &update.place, "there is no such rule to remove or update");
        }
    }

    fn rule(&mut self, chain: Chain, defaults: &Defaults) -> Option<Rule> {
        let Chain { id, phase, at, links, .. } = chain;
        let default = defaults.of(phase, at);
        let empty = Actions::default();
        let inherited = default.unwrap_or(&empty);
        let head = links.first()?;
        let disruption = match &head.actions.disruption {
            Some(Decision::Is(disruption)) => disruption.clone(),
            None | Some(Decision::Block) => match &inherited.disruption {
                Some(Decision::Is(disruption)) => disruption.clone(),
                None | Some(Decision::Block) => Disruption::Pass,
            },
        };
        let blocks_by_default = !matches!(head.actions.disruption, Some(Decision::Is(_)));
        let log = head.actions.log.or(inherited.log).unwrap_or(true);
        let audit_log = head.actions.audit_log.or(inherited.audit_log).unwrap_or(true);
        let status = head.actions.status.or(inherited.status);
        let skip = head.actions.skip.unwrap_or(0);
        let skip_after = head.actions.skip_after.clone();
        let links = links.into_iter().enumerate().map(|(number, raw)| {
            let mut link = link(raw, inherited, log, audit_log);
            if number == 0 {
                link.tags.splice(0..0, inherited.tags.iter().cloned());
                link.actions.splice(0..0, inherited.effects.iter().cloned());
            }
            link
        });
        let links = links.collect();
        Some(Rule {
            id,
            phase,
            disruption,
            blocks_by_default,
            status,
            skip,
            skip_after,
            log,
            audit_log,
            links,
        })
    }

    /// `skipAfter` needs its marker behind it.
    fn check_markers(&mut self, items: &[Item]) {
        let mut last: HashMap<&[u8], usize> = HashMap::new();
        for (at, item) in items.iter().enumerate() {
            if let Item::Marker(marker) = item {
                last.insert(&marker.name, at);
            }
        }
        for (at, item) in items.iter().enumerate() {
            let Item::Rule(rule) = item else { continue };
            let Some(name) = &rule.skip_after else { continue };
            if last.get(name.as_slice()).is_none_or(|marker| *marker < at) {
                let text = format!(
                    "skipAfter:{}: no such marker follows, so the rest of the phase is passed over",
                    String::from_utf8_lossy(name)
                );
                self.say(Level::Warning, &rule.head().place, text);
            }
        }
    }
}

fn link(raw: RawLink, inherited: &Actions, log: bool, audit_log: bool) -> Link {
    let actions = raw.actions;
    // `t:none` anywhere in the rule keeps the inherited ones away.
    let own_only = actions.transformations.iter().any(Option::is_none);
    let inherited = inherited.transformations.iter().filter(|_| !own_only);
    let mut transformations: Vec<String> = Vec::new();
    for transformation in inherited.chain(&actions.transformations) {
        match transformation {
            Some(name) => transformations.push((*name).into()),
            None => transformations.clear(),
        }
    }
    Link {
        place: raw.place,
        source: raw.source,
        targets: raw.targets,
        operator: raw.operator,
        transformations,
        multi_match: actions.multi_match,
        capture: actions.capture,
        message: actions.message,
        log_data: actions.log_data,
        severity: actions.severity,
        tags: actions.tags,
        version: actions.version,
        revision: actions.revision,
        maturity: actions.maturity,
        accuracy: actions.accuracy,
        log: actions.log.unwrap_or(log),
        audit_log: actions.audit_log.unwrap_or(audit_log),
        actions: actions.effects,
    }
}

/// Updates a chain; what cannot be done is returned.
fn apply(chain: &mut Chain, kind: &UpdateKind) -> Option<(Level, String)> {
    match kind {
        UpdateKind::Remove => {
            chain.removed = true;
            None
        }
        UpdateKind::Targets { added, replaced } => {
            let head = chain.links.first_mut()?;
            if head.operator.is_none() {
                return Some((Level::Warning, format!("rule {} is a SecAction without targets", chain.id)));
            }
            let before = head.targets.len();
            head.targets.retain(|target| !replaced.contains(target));
            if !replaced.is_empty() && head.targets.len() == before {
                return Some((Level::Warning, format!("rule {} has no such target to replace", chain.id)));
            }
            for target in added {
                if !head.targets.contains(target) {
                    head.targets.push(target.clone());
                }
            }
            let inspects = head.targets.iter().any(|target| target.mode != TargetMode::Exclude);
            (!inspects).then(|| (Level::Warning, format!("rule {} has no target left", chain.id)))
        }
        UpdateKind::Actions(offset, actions) => {
            let (id, length) = (chain.id, chain.links.len());
            let Some(link) = chain.links.get_mut(*offset) else {
                return Some((
                    Level::Warning,
                    format!("rule {id} has {length} rules, none of number {offset}"),
                ));
            };
            if *offset > 0 && actions.disruption.is_some() {
                return Some((
                    Level::Warning,
                    "only a chain's first rule may have a disruptive action".into(),
                ));
            }
            let kept = actions.id.is_some() || actions.phase.is_some() || actions.chain;
            merge(&mut link.actions, actions);
            kept.then(|| (Level::Warning, "id, phase and chain of a rule cannot be updated".into()))
        }
    }
}

/// Overwrites what can be said once, appends what can be said often.
fn merge(actions: &mut Actions, update: &Actions) {
    fn over<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
        if new.is_some() {
            old.clone_from(new);
        }
    }
    over(&mut actions.disruption, &update.disruption);
    over(&mut actions.status, &update.status);
    over(&mut actions.skip, &update.skip);
    over(&mut actions.skip_after, &update.skip_after);
    over(&mut actions.log, &update.log);
    over(&mut actions.audit_log, &update.audit_log);
    over(&mut actions.message, &update.message);
    over(&mut actions.log_data, &update.log_data);
    over(&mut actions.severity, &update.severity);
    over(&mut actions.version, &update.version);
    over(&mut actions.revision, &update.revision);
    over(&mut actions.maturity, &update.maturity);
    over(&mut actions.accuracy, &update.accuracy);
    actions.capture |= update.capture;
    actions.multi_match |= update.multi_match;
    actions.transformations.extend_from_slice(&update.transformations);
    actions.tags.extend_from_slice(&update.tags);
    actions.effects.extend_from_slice(&update.effects);
}

/// Whether a list may be a `SecDefaultAction`: an error, or warnings.
pub(super) fn check_default(actions: &Actions) -> Result<Vec<String>, String> {
    let unfit = [
        ("id", actions.id.is_some()),
        ("chain", actions.chain),
        ("msg", actions.message.is_some()),
        ("severity", actions.severity.is_some()),
        ("skip", actions.skip.is_some() || actions.skip_after.is_some()),
        ("block", actions.disruption == Some(Decision::Block)),
        ("t:none", actions.transformations.iter().any(Option::is_none)),
    ];
    if let Some((name, _)) = unfit.iter().find(|(_, there)| *there) {
        return Err(format!("{name} cannot be a default"));
    }
    let mut warnings = Vec::new();
    if actions.disruption.is_none() {
        warnings.push("SecDefaultAction names no disruptive action; pass is taken".into());
    }
    if actions.phase.is_none() {
        warnings.push("SecDefaultAction names no phase; 2 is taken".into());
    }
    if actions.capture || actions.multi_match || actions.log_data.is_some() {
        warnings.push("capture, multiMatch and logdata are not inherited".into());
    }
    Ok(warnings)
}

/// Default actions by phase, in file order.
struct Defaults(BTreeMap<u8, Vec<DefaultActions>>);

impl Defaults {
    fn new(defaults: Vec<DefaultActions>) -> Self {
        let mut by_phase: BTreeMap<u8, Vec<DefaultActions>> = BTreeMap::new();
        for default in defaults {
            let phase = default.actions.phase.unwrap_or(Phase::RequestBody);
            by_phase.entry(phase.number()).or_default().push(default);
        }
        Defaults(by_phase)
    }

    /// The last one before the rule, or else the first behind it.
    fn of(&self, phase: Phase, at: usize) -> Option<&Actions> {
        let all = self.0.get(&phase.number())?;
        let before = all.partition_point(|default| default.before <= at);
        all.get(before.saturating_sub(1)).map(|default| &default.actions)
    }
}
