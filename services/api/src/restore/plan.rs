//! The plan of a restore: the configuration after it, and what of it differs from the present one.
//!
//! A pure function of [`RestoreInputs`]. What the community has since, and the checkpoint does not concern, stays: bindings of roles that the
//! checkpoint has no id for, and a manifest where the checkpoint has none.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_contracts::servers::{FieldChange, IdKind, MappedId, RestoreChanges, UnmappedId};
use arrakis_db::{GateSetting, PostKind};
use arrakis_domain::{Permission, RoleBindings, RoleId, RoleKey, RuleSetId, Theme, TierRoles, TierRule};
use serde_json::Value;

use super::RestoreInputs;

/// The configuration after a restore, and what it changes.
#[derive(Debug)]
pub(crate) struct RestorePlan {
    /// What the caller is shown.
    pub(crate) shown: RestoreChanges,
    /// Why the restore is refused.
    pub(crate) obstacles: Vec<String>,
    pub(super) rule_set: RuleSetId,
    pub(super) tier_roles: Option<TierRoles>,
    pub(super) gates: Vec<GateSetting>,
    pub(super) bindings: RoleBindings,
    /// Bound roles that no rule gives after the restore: members lose them.
    pub(super) retired: RoleBindings,
    pub(super) welcome_channel: Option<u64>,
    pub(super) posts: Vec<PostPlan>,
    pub(super) manifest: Option<Value>,
    /// Whether a synthesis creates and binds roles before the tier sync.
    pub(super) needs_synthesis: bool,
}

/// A post after a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PostPlan {
    pub(super) kind: PostKind,
    pub(super) enabled: bool,
    /// Its channel; `None`: the bot finds it by the theme's name.
    pub(super) channel: Option<u64>,
}

impl RestoreInputs<'_> {
    /// Plans the restore.
    pub(crate) fn plan(&self) -> RestorePlan {
        let mut planner = Planner {
            inputs: self,
            shown: RestoreChanges::default(),
            obstacles: Vec::new(),
        };
        planner.check_theme();
        planner.note_token_profile();
        let rule_set = planner.rule_set();
        let tier_roles = planner.tier_roles();
        let bindings = planner.bindings();
        let retired = planner.retired(&bindings);
        let gates = planner.gates();
        let welcome_channel = planner.welcome_channel();
        let posts = planner.posts();
        let manifest = planner.manifest();
        planner.note_freeze();
        let needs_synthesis = manifest.is_some() && planner.lacks_roles(&bindings);
        RestorePlan {
            shown: planner.shown,
            obstacles: planner.obstacles,
            rule_set,
            tier_roles,
            gates,
            bindings,
            retired,
            welcome_channel,
            posts,
            manifest,
            needs_synthesis,
        }
    }
}

struct Planner<'a> {
    inputs: &'a RestoreInputs<'a>,
    shown: RestoreChanges,
    obstacles: Vec<String>,
}

impl Planner<'_> {
    fn change(&mut self, field: impl Into<String>, before: Option<String>, after: Option<String>) {
        if before != after {
            self.shown.changes.push(FieldChange {
                field: field.into(),
                before,
                after,
            });
        }
    }

    fn note(&mut self, note: String) {
        self.shown.notes.push(note);
    }

    /// The present id for an id of the checkpoint, which is noted where it differs or does not exist.
    fn map(&mut self, kind: IdKind, field: &str, id: u64, name: Option<&str>) -> Option<u64> {
        let server = self.inputs.server;
        let found = match kind {
            IdKind::Role => server.role(id, name),
            IdKind::Channel => server.channel(id, name),
        };
        match found {
            Ok(present) if present == id => {}
            Ok(present) => self.shown.mapped.push(MappedId {
                kind,
                field: field.to_owned(),
                name: name.unwrap_or_default().to_owned(),
                before: id.to_string(),
                after: present.to_string(),
            }),
            Err(ref reason) => self.shown.unmapped.push(UnmappedId {
                kind,
                field: field.to_owned(),
                name: name.map(str::to_owned),
                id: id.to_string(),
                reason: reason.clone(),
            }),
        }
        found.ok()
    }

    /// The theme, its version and its tier rules.
    fn check_theme(&mut self) {
        let inputs = self.inputs;
        let (present, wanted) = (&inputs.present, inputs.wanted);
        let (before, after) = (present.theme.to_string(), wanted.theme.to_string());
        self.change("theme", Some(before), Some(after));
        let Some(theme) = &inputs.wanted_theme else {
            self.obstacles.push(format!(
                "the theme {} of the checkpoint does not exist any more",
                wanted.theme
            ));
            return;
        };
        if present.theme != wanted.theme && !inputs.record.plan.includes(theme) {
            self.obstacles.push(format!(
                "the theme {} is of the plan {}, and the plan of the community is {}",
                theme.id, theme.plan, inputs.record.plan
            ));
        }
        if wanted
            .theme_version
            .as_ref()
            .is_some_and(|version| *version != theme.version)
        {
            let version = wanted.theme_version.as_deref().unwrap_or_default();
            self.note(format!(
                "the theme {} has the version {} now, and had {version}: a theme is not part of a checkpoint",
                theme.id, theme.version
            ));
        }
        self.note_tier_rules(theme);
    }

    /// Tier rules are part of the theme: those that differ are named.
    fn note_tier_rules(&mut self, theme: &Theme) {
        let wanted = self.inputs.wanted;
        let Some(ladder) = theme.ladder(Some(&wanted.rule_set)) else {
            return;
        };
        let mut notes = Vec::new();
        for tier in &wanted.tiers {
            let rule = ladder.rule(&tier.tier);
            let ranks = rule.and_then(TierRule::ranks).map(|ranks| ranks.to_string());
            let minimum = rule.and_then(TierRule::minimum).map(|minimum| minimum.to_string());
            if (ranks.as_ref(), minimum.as_ref()) != (tier.ranks.as_ref(), tier.minimum.as_ref()) {
                let described = |ranks: Option<&String>, minimum: Option<&String>| match (ranks, minimum) {
                    (None, None) => "no rule".to_owned(),
                    (Some(ranks), None) => format!("ranks {ranks}"),
                    (None, Some(minimum)) => format!("at least {minimum}"),
                    (Some(ranks), Some(minimum)) => format!("ranks {ranks} and at least {minimum}"),
                };
                notes.push(format!(
                    "the tier {} has {} now, and had {}: tier rules are part of the theme and are not restored",
                    tier.tier,
                    described(ranks.as_ref(), minimum.as_ref()),
                    described(tier.ranks.as_ref(), tier.minimum.as_ref())
                ));
            }
        }
        self.shown.notes.extend(notes);
    }

    fn rule_set(&mut self) -> RuleSetId {
        let inputs = self.inputs;
        let mut rule_set = inputs.wanted.rule_set.clone();
        if let Some(theme) = &inputs.wanted_theme
            && !theme.rule_sets.contains_key(&rule_set)
        {
            self.note(format!(
                "the theme {} does not have the rule set {rule_set} any more; its default, {}, takes its place",
                theme.id, theme.default_rules
            ));
            rule_set = theme.default_rules.clone();
        }
        let before = inputs.present.rule_set.to_string();
        self.change("rule_set", Some(before), Some(rule_set.to_string()));
        rule_set
    }

    fn tier_roles(&mut self) -> Option<TierRoles> {
        let inputs = self.inputs;
        let wanted = inputs.wanted.tier_roles.as_ref();
        let policy = wanted.and_then(|text| text.parse::<TierRoles>().ok());
        if let (Some(text), None) = (wanted, policy) {
            self.note(format!(
                "the role policy {text} does not exist any more; the theme's applies"
            ));
        }
        let after = policy.map(|policy| policy.as_str().to_owned());
        self.change("tier_roles", inputs.present.tier_roles.clone(), after);
        policy
    }

    fn note_token_profile(&mut self) {
        let inputs = self.inputs;
        let wanted = &inputs.wanted.token_profile;
        let before = inputs.present.token_profile.id.to_string();
        self.change("token_profile", Some(before), Some(wanted.id.to_string()));
        match &inputs.stored_token {
            None => self.note(format!(
                "the token profile {} does not exist any more and is created again; its ranking follows with the next sync",
                wanted.id
            )),
            Some(stored) if stored != wanted => self.note(format!(
                "the token profile {} was changed since: it belongs to all communities and is not restored",
                wanted.id
            )),
            Some(_) => {}
        }
    }

    /// The bindings of the checkpoint by their present ids; where there is none, the present binding stays.
    fn bindings(&mut self) -> RoleBindings {
        let inputs = self.inputs;
        let mut bindings = RoleBindings::new();
        let mut taken: BTreeMap<u64, RoleKey> = BTreeMap::new();
        // Roles that exist come first: a name that one of them got since does not give it to another key.
        let roles = inputs.wanted.roles.iter();
        let (same, others): (Vec<_>, Vec<_>) = roles.partition(|role| inputs.server.has_role(role.id));
        for role in same.into_iter().chain(others) {
            let field = format!("roles.{}", role.key);
            let Some(id) = self.map(IdKind::Role, &field, role.id, role.name.as_deref()) else {
                continue;
            };
            if let Some(reason) = self.excess(&role.key, role.id, id) {
                self.unmap(&field, role.id, role.name.as_deref(), reason);
                continue;
            }
            if let Some(other) = taken.get(&id) {
                let reason = format!("the role is bound to {other} already");
                self.unmap(&field, role.id, role.name.as_deref(), reason);
                continue;
            }
            taken.insert(id, role.key.clone());
            bindings.insert(role.key.clone(), RoleId(id));
        }
        for role in &inputs.present.roles {
            let is_of_theme = inputs
                .wanted_theme
                .as_ref()
                .is_some_and(|theme| theme.role(&role.key).is_some());
            let is_free = !bindings.contains_key(&role.key) && !taken.contains_key(&role.id);
            if is_of_theme && is_free && inputs.server.has_role(role.id) {
                taken.insert(role.id, role.key.clone());
                bindings.insert(role.key.clone(), RoleId(role.id));
            }
        }
        self.show_bindings(&bindings);
        bindings
    }

    /// Why the role that was found by its name must not be given to members by a rule: whoever may name a role could otherwise choose which
    /// permissions they get.
    fn excess(&self, key: &RoleKey, before: u64, found: u64) -> Option<String> {
        let inputs = self.inputs;
        let of_theme = inputs.wanted_theme.as_ref()?.role(key)?;
        let of_theme = of_theme.given_to.is_automatic().then_some(of_theme.permissions)?;
        if before == found || of_theme.contains(Permission::Administrator) {
            return None;
        }
        let excess = inputs.server.powers(found).without(of_theme);
        let names: Vec<&str> = excess.iter().map(Permission::name).collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("the role {found} of this name has permissions that the theme does not give its members: {names}")
        })
    }

    fn unmap(&mut self, field: &str, id: u64, name: Option<&str>, reason: String) {
        self.shown.mapped.retain(|mapped| mapped.field != field);
        self.shown.unmapped.push(UnmappedId {
            kind: IdKind::Role,
            field: field.to_owned(),
            name: name.map(str::to_owned),
            id: id.to_string(),
            reason,
        });
    }

    fn show_bindings(&mut self, bindings: &RoleBindings) {
        let inputs = self.inputs;
        let present: BTreeMap<&RoleKey, u64> = inputs.present.roles.iter().map(|role| (&role.key, role.id)).collect();
        let keys: BTreeSet<&RoleKey> = present.keys().copied().chain(bindings.keys()).collect();
        for key in keys {
            let before = present.get(key).map(|id| self.described_role(*id));
            let after = bindings.get(key).map(|role| self.described_role(role.0));
            self.change(format!("roles.{key}"), before, after);
        }
    }

    fn described_role(&self, id: u64) -> String {
        match self.inputs.server.role_name(id) {
            Some(name) => format!("{name} ({id})"),
            None => format!("{id}, which does not exist"),
        }
    }

    /// The bound roles that members have by rules of the present theme, and that no rule of the theme of the checkpoint gives with these
    /// bindings: the theme does not have them, or another role of the server is bound in their place.
    fn retired(&self, bindings: &RoleBindings) -> RoleBindings {
        let inputs = self.inputs;
        let (Some(from), Some(to)) = (&inputs.theme, &inputs.wanted_theme) else {
            return RoleBindings::new();
        };
        let is_automatic =
            |theme: &Theme, key: &RoleKey| theme.role(key).is_some_and(|role| role.given_to.is_automatic());
        let is_given = |id: u64| bindings.iter().any(|(key, role)| role.0 == id && is_automatic(to, key));
        let roles = inputs.present.roles.iter();
        roles
            .filter(|role| is_automatic(from, &role.key) && !is_given(role.id) && inputs.server.has_role(role.id))
            .map(|role| (role.key.clone(), RoleId(role.id)))
            .collect()
    }

    fn gates(&mut self) -> Vec<GateSetting> {
        let inputs = self.inputs;
        let tiers = |gates: &[GateSetting]| -> BTreeMap<String, String> {
            gates
                .iter()
                .map(|gate| (gate.key.to_string(), gate.tier.to_string()))
                .collect()
        };
        let (present, wanted) = (tiers(&inputs.present.gates), tiers(&inputs.wanted.gates));
        let keys: BTreeSet<&String> = present.keys().chain(wanted.keys()).collect();
        for key in keys {
            self.change(
                format!("gates.{key}"),
                present.get(key).cloned(),
                wanted.get(key).cloned(),
            );
        }
        inputs.wanted.gates.clone()
    }

    fn welcome_channel(&mut self) -> Option<u64> {
        let inputs = self.inputs;
        let present = inputs.present.welcome_channel.as_ref().map(|channel| channel.id);
        let after = match &inputs.wanted.welcome_channel {
            None => None,
            Some(channel) => {
                let mapped = self.map(IdKind::Channel, "welcome_channel", channel.id, channel.name.as_deref());
                mapped.or_else(|| present.filter(|id| inputs.server.has_channel(*id)))
            }
        };
        let text = |id: Option<u64>| id.map(|id| id.to_string());
        self.change("welcome_channel", text(present), text(after));
        after
    }

    fn posts(&mut self) -> Vec<PostPlan> {
        let inputs = self.inputs;
        let mut posts = Vec::new();
        for wanted in &inputs.wanted.posts {
            // A post of a later build is left out.
            let Ok(kind) = wanted.post.parse::<PostKind>() else {
                continue;
            };
            let field = format!("posts.{}", wanted.post);
            let channel = wanted.channel.as_ref();
            let channel =
                channel.and_then(|channel| self.map(IdKind::Channel, &field, channel.id, channel.name.as_deref()));
            let present = inputs.present.posts.iter().find(|post| post.post == wanted.post);
            let on = |enabled: bool| if enabled { "on" } else { "off" }.to_owned();
            self.change(field, present.map(|post| on(post.enabled)), Some(on(wanted.enabled)));
            posts.push(PostPlan {
                kind,
                enabled: wanted.enabled,
                channel,
            });
        }
        posts
    }

    /// The manifest with the present ids of its existing roles. One that cannot be mapped is left out: the role is created as the theme has
    /// it.
    fn manifest(&mut self) -> Option<Value> {
        let inputs = self.inputs;
        let present = inputs.present.manifest.as_ref();
        let Some(mut manifest) = inputs.wanted.manifest.clone() else {
            if present.is_some() {
                self.note("the server is managed since the checkpoint was stored; it stays so".to_owned());
            }
            return present.cloned();
        };
        let mut roles = serde_json::Map::new();
        for role in &inputs.wanted.manifest_roles {
            let field = format!("manifest.roles.{}", role.key);
            let Some(id) = self.map(IdKind::Role, &field, role.id, role.name.as_deref()) else {
                continue;
            };
            match self.excess(&role.key, role.id, id) {
                Some(reason) => self.unmap(&field, role.id, role.name.as_deref(), reason),
                None => {
                    roles.insert(role.key.to_string(), id.into());
                }
            }
        }
        if manifest.get("roles").is_some() {
            manifest["roles"] = roles.into();
        }
        let after = Some(manifest.to_string());
        self.change("manifest", present.map(Value::to_string), after);
        Some(manifest)
    }

    fn note_freeze(&mut self) {
        let record = self.inputs.record;
        if let Some(frozen) = &record.frozen
            && !record.is_frozen_by_teardown()
        {
            self.note(format!(
                "the community stays frozen ({}): the members' roles follow when the freeze ends",
                frozen.reason
            ));
        }
    }

    /// Whether the theme of the checkpoint has roles for members that no role of the server stands for, or is another one.
    fn lacks_roles(&self, bindings: &RoleBindings) -> bool {
        let inputs = self.inputs;
        let Some(theme) = &inputs.wanted_theme else {
            return false;
        };
        let mut automatic = theme.roles.iter().filter(|role| role.given_to.is_automatic());
        inputs.present.theme != inputs.wanted.theme || automatic.any(|role| !bindings.contains_key(&role.key))
    }
}
