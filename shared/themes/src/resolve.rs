//! Resolves a template to a theme: substitutes variables, checks values, resolves references.
//!
//! One module for each file of a theme. Each reports problems to its [`Reader`] and continues, so that an author sees all
//! of them at once. The result is a theme only without problems.

mod badges;
mod channels;
mod known;
mod reader;
mod roles;
mod server;
mod tiers;
mod variables;

use std::collections::BTreeMap;

use arrakis_domain::{Plan, Theme, ThemeWords, TierRoles, Variable};

use crate::document::{Manifest, PlanName, Text, TierRolesName};
use crate::problem::{Problem, Problems};
use crate::settings::Settings;
use crate::template::ThemeTemplate;
use known::Known;
use reader::Reader;

impl ThemeTemplate {
    /// Substitutes variables, applies flags, and checks the whole theme.
    ///
    /// # Errors
    ///
    /// All problems, in order of files: invalid values, unresolved variables and references, and inconsistencies between
    /// files.
    pub fn resolve(&self, settings: &Settings) -> Result<Theme, Problems> {
        theme(self, settings)
    }
}

fn theme(template: &ThemeTemplate, settings: &Settings) -> Result<Theme, Problems> {
    let manifest = &template.manifest;
    let known = Known::of(template);
    let (variables, mut problems) = variables::variables(template, settings);
    let (flags, wrong) = variables::flags(template, settings);
    problems.extend(wrong);

    let mut files = Files {
        template,
        variables: &variables,
        problems,
    };
    let head = files.read("theme.yaml", |reader| read_head(manifest, reader));
    let tiers = files.read("tiers.yaml", |reader| tiers::read(&template.tiers, reader));
    let mut badges = files.read("badges.yaml", |reader| badges::read(&template.badges, &known, reader));
    let art = badges::add_art(&mut badges, &known, &template.folder);
    files.problems.extend(art);
    let roles = files.read("roles.yaml", |reader| {
        roles::read(&template.roles, &known, &flags, reader)
    });
    let channels = files.read("channels.yaml", |reader| {
        channels::read(&template.channels, &known, &roles, &flags, reader)
    });
    let settings = files.read("server.yaml", |reader| server::read(&template.server, reader));
    let problems = files.problems;

    let (Some(tiers), true) = (tiers, problems.is_empty()) else {
        return Err(not_empty(problems, template));
    };
    Ok(Theme {
        id: template.id.clone(),
        name: head.name,
        version: head.version,
        plan: head.plan,
        description: head.description,
        tags: head.tags,
        accent: head.accent,
        words: head.words,
        variables,
        flags,
        tiers: tiers.tiers,
        rule_sets: tiers.rule_sets,
        default_rules: tiers.default_rules,
        badges,
        roles,
        tier_roles: match manifest.tier_roles {
            TierRolesName::Exclusive => TierRoles::Exclusive,
            TierRolesName::Cumulative => TierRoles::Cumulative,
        },
        categories: channels.categories,
        posts: channels.posts,
        settings,
    })
}

/// Reads the files one after the other and collects their problems.
struct Files<'a> {
    template: &'a ThemeTemplate,
    variables: &'a BTreeMap<String, Variable>,
    problems: Vec<Problem>,
}

impl Files<'_> {
    fn read<T>(&mut self, file: &str, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let mut reader = Reader::new(&self.template.folder, file, self.variables);
        let value = read(&mut reader);
        self.problems.append(&mut reader.problems);
        value
    }
}

/// Adds a general problem when there is none: a theme is never refused without a message.
fn not_empty(mut problems: Vec<Problem>, template: &ThemeTemplate) -> Problems {
    if problems.is_empty() {
        problems.push(Problem::about(&template.folder.label, "the theme is inconsistent"));
    }
    Problems(problems)
}

/// Words of a theme that does not have its own.
const VERIFY: &str = "Verify your wallet";
const WELCOME: &str = "Welcome";

fn optional(word: &Option<Text>, default: &str, reader: &mut Reader<'_>) -> String {
    word.as_ref()
        .map_or_else(|| default.to_owned(), |word| reader.name(word))
}

/// Contents of `theme.yaml` without variables and flags.
struct Head {
    name: String,
    version: String,
    plan: Plan,
    description: String,
    tags: Vec<String>,
    accent: arrakis_domain::Color,
    words: ThemeWords,
}

fn read_head(manifest: &Manifest, reader: &mut Reader<'_>) -> Head {
    let version = reader.name(&manifest.version);
    let numbers: Vec<&str> = version.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if numbers.len() != 3 || !numbers.iter().all(is_number) {
        let reason = format!("`{version}` is not a version; write three numbers, like `1.0.0`");
        reader.refuse(manifest.version.referenced, reason);
    }
    let words = &manifest.words;
    Head {
        name: reader.name(&manifest.name),
        version,
        plan: match manifest.plan.value {
            PlanName::Free => Plan::Free,
            PlanName::Premium => Plan::Premium,
        },
        description: reader.name(&manifest.description),
        tags: manifest.tags.iter().map(|tag| reader.name(tag)).collect(),
        accent: reader.color(&manifest.accent),
        words: ThemeWords {
            member: reader.name(&words.member),
            members: reader.name(&words.members),
            council: reader.name(&words.council),
            waitlist: reader.name(&words.waitlist),
            stats: reader.name(&words.stats),
            position: reader.name(&words.position),
            threshold: reader.name(&words.threshold),
            leaderboard: reader.name(&words.leaderboard),
            help: reader.name(&words.help),
            verify: optional(&words.verify, VERIFY, reader),
            welcome: optional(&words.welcome, WELCOME, reader),
            footer: reader.name(&words.footer),
        },
    }
}
