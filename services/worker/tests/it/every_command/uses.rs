//! The table: what each command's definition must state, how the command is used, and what one use leaves.

use std::time::Duration;

use arrakis_worker::commands::ResponseMode;
use serde_json::{Value, json};
use twilight_model::guild::Permissions;

/// Who may use a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Member,
    ManageServer,
    Administrator,
}

impl Access {
    /// The permissions that the definition requires.
    pub(super) fn required(self) -> Option<Permissions> {
        match self {
            Self::Member => None,
            Self::ManageServer => Some(Permissions::MANAGE_GUILD),
            Self::Administrator => Some(Permissions::ADMINISTRATOR),
        }
    }

    /// Permissions that suffice, as Discord sends them.
    pub(super) fn sufficient(self) -> &'static str {
        match self {
            // Send Messages.
            Self::Member => "2048",
            // Manage Server.
            Self::ManageServer => "32",
            Self::Administrator => "8",
        }
    }

    /// Permissions that do not suffice: those of the level below. `None` for a command of members.
    pub(super) fn insufficient(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::ManageServer => Some(Self::Member.sufficient()),
            Self::Administrator => Some(Self::ManageServer.sufficient()),
        }
    }
}

/// The first response to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstResponse {
    /// A defer; only the member sees the reply.
    Private,
    /// A defer; the channel sees the reply.
    Public,
    /// The reply itself, for the member alone.
    Immediate,
    Modal,
}

impl FirstResponse {
    /// As the definition states it.
    pub(super) fn mode(self) -> ResponseMode {
        match self {
            Self::Private => ResponseMode::Deferred { ephemeral: true },
            Self::Public => ResponseMode::Deferred { ephemeral: false },
            Self::Immediate => ResponseMode::Immediate,
            Self::Modal => ResponseMode::Modal,
        }
    }

    /// Discord's number of the callback type.
    pub(super) fn callback_type(self) -> u64 {
        match self {
            Self::Private | Self::Public => 5,
            Self::Immediate => 4,
            Self::Modal => 9,
        }
    }

    /// The call that brings the reply.
    pub(super) fn reply_route(self) -> &'static str {
        match self {
            Self::Private | Self::Public => EDIT_ORIGINAL,
            Self::Immediate | Self::Modal => "POST /interactions/{interaction}/{token}/callback",
        }
    }
}

/// The call that edits the original response.
pub(super) const EDIT_ORIGINAL: &str = "PATCH /webhooks/{application}/{token}/messages/@original";

/// What one use leaves in Postgres.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effect {
    /// Action of an audit entry.
    pub(super) audited: Option<&'static str>,
    /// Beginning of a job's id, which ends with the interaction's id.
    pub(super) job: Option<&'static str>,
    /// Number of wallets that are removed from identities.
    pub(super) removed_wallets: usize,
}

/// A component or modal that is used after the command, on its reply.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// `{stilgar}`, `{chani}` and `{jamis}` stand for their ids, `{wallet}` for Liet's wallet, `{use}` for the id of the command's interaction.
    pub(super) custom_id: &'static str,
    pub(super) input: Input,
    /// A part of the reply.
    pub(super) reply: &'static str,
    pub(super) effect: Effect,
}

/// How a step is used.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Button,
    /// Values of a menu.
    Menu(&'static [&'static str]),
    Modal {
        opened_by: Opener,
        fields: Value,
    },
}

/// What opens the modal of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// The use of the command before the step.
    Use,
    /// Another use of the command, without options.
    SecondUse,
    /// A button of the reply.
    Button(&'static str),
}

impl Input {
    /// What is to be done before the step to open its modal.
    pub(super) fn opener(&self) -> Option<Opener> {
        match self {
            Self::Modal { opened_by, .. } => Some(*opened_by).filter(|opener| *opener != Opener::Use),
            Self::Button | Self::Menu(_) => None,
        }
    }

    /// The name of the type in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Button | Self::Menu(_) => "component",
            Self::Modal { .. } => "modal",
        }
    }
}

impl Step {
    fn button(custom_id: &'static str, reply: &'static str) -> Self {
        Self {
            custom_id,
            input: Input::Button,
            reply,
            effect: Effect::default(),
        }
    }

    fn input(self, input: Input) -> Self {
        Self { input, ..self }
    }

    fn audited(mut self, action: &'static str) -> Self {
        self.effect.audited = Some(action);
        self
    }

    fn job(mut self, beginning: &'static str) -> Self {
        self.effect.job = Some(beginning);
        self
    }

    fn removes_a_wallet(mut self) -> Self {
        self.effect.removed_wallets = 1;
        self
    }
}

/// A command: a row of the table.
#[derive(Debug, Clone)]
pub(super) struct CommandUse {
    pub(super) name: &'static str,
    /// The name with the subcommand that is used.
    pub(super) run: &'static str,
    pub(super) access: Access,
    pub(super) mfa: bool,
    pub(super) cooldown: Duration,
    pub(super) response: FirstResponse,
    pub(super) user: &'static str,
    pub(super) options: Value,
    /// A part of the reply.
    pub(super) reply: &'static str,
    /// Whether the use is counted in the member's profile.
    pub(super) counted: bool,
    pub(super) effect: Effect,
    pub(super) steps: Vec<Step>,
}

impl CommandUse {
    /// A command of members with the defaults of a definition, used by Chani.
    fn member(name: &'static str, reply: &'static str) -> Self {
        Self {
            name,
            run: name,
            access: Access::Member,
            mfa: false,
            cooldown: Duration::from_secs(3),
            response: FirstResponse::Private,
            user: "chani",
            options: json!({}),
            reply,
            counted: true,
            effect: Effect::default(),
            steps: Vec::new(),
        }
    }

    /// The same for a command of admins.
    fn admin(name: &'static str, reply: &'static str) -> Self {
        Self {
            access: Access::ManageServer,
            ..Self::member(name, reply)
        }
    }

    fn run(self, run: &'static str) -> Self {
        Self { run, ..self }
    }

    fn by(self, user: &'static str) -> Self {
        Self { user, ..self }
    }

    fn options(self, options: Value) -> Self {
        Self { options, ..self }
    }

    fn cooldown(self, seconds: u64) -> Self {
        Self {
            cooldown: Duration::from_secs(seconds),
            ..self
        }
    }

    fn response(self, response: FirstResponse) -> Self {
        Self { response, ..self }
    }

    fn mfa(self) -> Self {
        Self { mfa: true, ..self }
    }

    /// The use is refused, or the command does not depend on the community.
    fn not_counted(self) -> Self {
        Self { counted: false, ..self }
    }

    fn audited(mut self, action: &'static str) -> Self {
        self.effect.audited = Some(action);
        self
    }

    fn job(mut self, beginning: &'static str) -> Self {
        self.effect.job = Some(beginning);
        self
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// All rows, in the order in which they are used on one platform.
pub(super) fn uses() -> Vec<CommandUse> {
    vec![
        CommandUse::member("position", "Rank 1"),
        CommandUse::member("profile", "chani"),
        CommandUse::member("badges", "of 12 badges"),
        CommandUse::member("leaderboard", "chani")
            .response(FirstResponse::Public)
            .then(Step::button("leaderboard:page:1:next", "Page 1 of 1")),
        CommandUse::member("directory", "in the directory.")
            .then(Step::button("directory:page:all:2:next", "Page 1 of 1"))
            .then(Step::button("directory:hide:all:1", "You hide:"))
            .then(Step::button("directory:show:all:1", "You are listed")),
        CommandUse::member("naib", "of 7 seats")
            .then(Step::button("naib:take", "Seat 1 is yours.").job("tier-sync:naib:")),
        CommandUse::member("threshold", "Rank 69 holds"),
        CommandUse::member("check-eligibility", "Rank 1").cooldown(10),
        CommandUse::member("stats", "Sietch Tabr").response(FirstResponse::Public),
        CommandUse::member("verify", "Open the wallet page")
            .run("verify start")
            .cooldown(5),
        CommandUse::member("verify", "cannot be undone")
            .run("verify unlink")
            .by("liet")
            .cooldown(5)
            .then(Step::button("verify:unlink:{wallet}", "is not linked to you any more.").removes_a_wallet()),
        CommandUse::member("register-waitlist", "You are on the Taqwa list since")
            .by("stilgar")
            .audited("waitlist.join")
            .job("tier-sync:waitlist:")
            .then(
                Step::button("register-waitlist:leave", "You are not on the Taqwa list any more.")
                    .audited("waitlist.leave")
                    .job("tier-sync:waitlist:"),
            ),
        CommandUse::member("alerts", "Your alerts")
            .then(Step::button("alerts:kinds", "Your alerts").input(Input::Menu(&["rank"]))),
        CommandUse::member("water-share", "with stilgar?")
            .options(json!({"member": "stilgar"}))
            .then(
                Step::button("water-share:give:{stilgar}", "stilgar now holds")
                    .audited("badge.share")
                    .job("tier-sync:badge:"),
            ),
        CommandUse::member("mfa", "Scan the code").run("mfa enrol").mfa(),
        CommandUse::admin("admin-stats", "Health of the community")
            .cooldown(5)
            .then(Step::button("admin-stats:post:digest:off", "Weekly digest: off.").audited("community.post"))
            .then(Step::button("admin-stats:post:digest:on", "Weekly digest: on.").audited("community.post")),
        CommandUse::admin("admin-badge", "jamis now holds")
            .options(json!({"action": "give", "member": "jamis", "badge": "contributor", "reason": "for the maps"}))
            .audited("badge.give")
            .job("tier-sync:badge:"),
        CommandUse::admin("admin-water-share", "Lineage of Water Sharer").then(
            Step::button("admin-water-share:revoke:{chani}", "Branch of Water Sharer")
                .input(Input::Modal {
                    opened_by: Opener::Button("admin-water-share:ask:{chani}"),
                    fields: json!({"reason": "sold it"}),
                })
                .audited("badge.revoke_branch")
                .job("tier-sync:branch:"),
        ),
        CommandUse::admin("admin-gates", "is now open from")
            .options(json!({"what": "leaderboard", "tier": "ichwan"}))
            .audited("gate.set"),
        CommandUse::admin("admin-roles", "Change the role policy?")
            .options(json!({"policy": "cumulative"}))
            .then(
                Step::button("admin-roles:apply:cumulative", "**cumulative**")
                    .audited("community.tier_roles")
                    .job("tier-sync:policy:"),
            ),
        // By another admin: the cooldown is of one member.
        CommandUse::admin("admin-roles", "Remove all tier roles of jamis?")
            .by("harah")
            .options(json!({"member": "jamis"}))
            .then(
                Step::button("admin-roles:remove:{jamis}", "All tier roles of jamis are removed")
                    .audited("roles.remove_of_tiers")
                    .job("tier-sync:removal:"),
            )
            .then(
                Step::button("admin-roles:return:{jamis}", "Rules apply to jamis again")
                    .audited("roles.return_to_rules")
                    .job("tier-sync:return:"),
            ),
        CommandUse::admin("admin-migrate", "Migrate these members?")
            .mfa()
            .options(json!({"role": "Holder", "tier": "ichwan"}))
            .then(Step::button("admin-migrate:apply:{use}", "Members migrated").audited("tiers.import"))
            .then(Step::button("admin-migrate:undo:{use}", "taken back").audited("tiers.import_undo")),
        CommandUse::admin("reconcile", "Reconcile")
            .options(json!({"action": "compare"}))
            .job("reconcile:command:"),
        // By another admin: the cooldown is of one member.
        CommandUse::admin("reconcile", "With the rules **ranked**")
            .by("harah")
            .options(json!({"action": "rules", "rule-set": "ranked"}))
            .then(Step::button("reconcile:apply:ranked:0", "are being put into force").audited("rules.announce")),
        CommandUse::admin("onboard", "Set this server up").not_counted(),
        // Harah has no session.
        CommandUse::admin("resume", "You have no setup in progress here.")
            .by("harah")
            .not_counted(),
        CommandUse::member("help", "/position")
            .response(FirstResponse::Immediate)
            .not_counted(),
        // The last one: it freezes the community, until Chani, who gets the control, ends that.
        CommandUse {
            access: Access::Administrator,
            ..CommandUse::admin("admin-takeover", "admin-takeover:begin:")
        }
        .mfa()
        .response(FirstResponse::Modal)
        .options(json!({"admin": "chani"}))
        .then(
            Step::button("admin-takeover:begin:{chani}", "alone controls it")
                .input(Input::Modal {
                    opened_by: Opener::Use,
                    fields: json!({"name": "Sietch Tabr", "reason": "a stolen account"}),
                })
                .audited("community.takeover"),
        )
        .then(
            Step::button("admin-takeover:end", "The freeze has ended")
                .input(Input::Modal {
                    opened_by: Opener::SecondUse,
                    fields: json!({"name": "Sietch Tabr"}),
                })
                .audited("community.takeover_end")
                .job("reconcile:takeover:"),
        ),
    ]
}
