//! Generates the reference of a theme as Markdown, for its README.

use arrakis_domain::{
    Access, Audience, Channel, ChannelKind, Permission, Role, RoleKey, RoleRule, Theme, Value, VariableType,
};

/// A description of a theme as Markdown: version, counts, use with gaib, and tables of variables, flags, roles, channels and
/// permissions.
#[must_use]
pub fn reference(theme: &Theme) -> String {
    let mut out = String::new();
    let (variables, roles) = (theme.variable_count(), theme.roles.len());
    let (categories, channels) = (theme.categories.len(), theme.channel_count());
    line(
        &mut out,
        &format!(
            "Version {}, for the {} plan and above: {variables} variables, {roles} roles, {categories} categories, {channels} channels.",
            theme.version, theme.plan
        ),
    );
    usage(theme, &mut out);
    settings_table(theme, &mut out);
    roles_table(theme, &mut out);
    channels_table(theme, &mut out);
    matrix(theme, &mut out);
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A Markdown table; separators and line breaks within cells are escaped.
fn table(out: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let row = |cells: &[String]| {
        format!(
            "| {} |",
            cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | ")
        )
    };
    let head: Vec<String> = head.iter().map(|text| (*text).to_owned()).collect();
    line(out, "");
    line(out, &row(&head));
    line(out, &format!("|{}", "---|".repeat(head.len())));
    for cells in rows {
        line(out, &row(&cells));
    }
}

/// How a server is made from the theme, with two examples that change it.
fn usage(theme: &Theme, out: &mut String) {
    let id = &theme.id;
    line(out, "\n## Use it\n");
    line(
        out,
        &format!(
            "`gaib server init --theme {id} --guild ID` writes all roles, categories and channels to `discord-server.yaml`; with `--link`, a \
             short file that refers to the theme. `gaib server apply` creates them. With other values:"
        ),
    );
    let variable = theme.variables.iter();
    let variable = variable.filter(|(_, variable)| variable.default.kind() == VariableType::Text);
    let variable = variable
        .map(|(name, _)| format!(" --var {name}=\"Another name\""))
        .next();
    let flag = theme.flags.iter().next();
    let flag = flag.map(|(name, flag)| format!(" --flag {name}={}", !flag.default));
    line(
        out,
        &format!(
            "\n```sh\ngaib server init --theme {id} --guild ID{}{}\n```\n",
            variable.unwrap_or_default(),
            flag.unwrap_or_default()
        ),
    );
    if let (Some(category), Some(role)) = (theme.categories.last(), theme.roles.iter().find(|role| role.hoist)) {
        line(
            out,
            "A file that refers to the theme, without a category of it and with another colour:\n",
        );
        let (category, role) = (&category.key, &role.key);
        line(
            out,
            &format!(
                "```yaml\ntheme:\n  name: {id}\n  without: [category.{category}]\nroles:\n  {role}: {{ color: \"#1ABC9C\" }}\n```\n"
            ),
        );
    }
    line(
        out,
        "Members get tiers by wallets that they verify: `/verify` needs the platform (worker, api, PostgreSQL) with `VERIFY_BASE_URL` set.",
    );
}

fn settings_table(theme: &Theme, out: &mut String) {
    line(out, "\n## Variables");
    let variables = theme.variables.iter().map(|(name, variable)| {
        vec![
            format!("`{name}`"),
            variable.default.kind().as_str().to_owned(),
            default_text(&variable.default),
            variable.description.clone(),
        ]
    });
    let flags = theme.flags.iter().map(|(name, flag)| {
        let default = if flag.default { "on" } else { "off" };
        vec![
            format!("`{name}`"),
            "flag".to_owned(),
            default.to_owned(),
            flag.description.clone(),
        ]
    });
    table(out, &["name", "type", "default", "what"], variables.chain(flags));
}

fn default_text(value: &Value) -> String {
    match value {
        Value::List(items) => items.join(", "),
        other => crate::as_text(other).unwrap_or_default(),
    }
}

fn roles_table(theme: &Theme, out: &mut String) {
    line(out, "\n## Roles");
    let rows = theme.roles.iter().map(|role| {
        let permissions: Vec<&str> = role.permissions.iter().map(Permission::name).collect();
        let shown = if role.hoist { "yes" } else { "no" };
        vec![
            role.name.clone(),
            format!("`{}`", role.key),
            role.color.to_string(),
            shown.to_owned(),
            role.position.to_string(),
            if permissions.is_empty() {
                "–".to_owned()
            } else {
                permissions.join(", ")
            },
            given_to(theme, &role.given_to),
        ]
    });
    table(
        out,
        &[
            "role",
            "logical name",
            "colour",
            "shown apart",
            "position",
            "permissions",
            "given to",
        ],
        rows,
    );
}

fn given_to(theme: &Theme, rule: &RoleRule) -> String {
    let tier = |id| theme.tier(id).map_or_else(|| format!("{id}"), |tier| tier.name.clone());
    let badge = |id| {
        theme
            .badge(id)
            .map_or_else(|| format!("{id}"), |badge| badge.name.clone())
    };
    match rule {
        RoleRule::Bot => "the bot".to_owned(),
        RoleRule::ByHand => "manually".to_owned(),
        RoleRule::Tier(id) => format!("tier {}", tier(id)),
        RoleRule::FormerHolder(id) => format!("who was {}", tier(id)),
        RoleRule::Waitlist => "the waitlist".to_owned(),
        RoleRule::Badge(id) => format!("badge {}", badge(id)),
        RoleRule::Badges { at_least } => format!("{at_least} badges"),
        RoleRule::Tenure { days } => format!("members of {days} days"),
    }
}

fn channels_table(theme: &Theme, out: &mut String) {
    line(out, "\n## Channels");
    let rows = theme.categories.iter().flat_map(|category| {
        category.channels.iter().enumerate().map(|(index, channel)| {
            let above = if index == 0 {
                category.name.clone()
            } else {
                String::new()
            };
            vec![above, channel.name.clone(), kind(&channel.kind), channel.topic.clone()]
        })
    });
    table(out, &["category", "channel", "kind", "what for"], rows);
}

fn kind(kind: &ChannelKind) -> String {
    match kind {
        ChannelKind::Text { slow_mode_seconds: 0 } => "text".to_owned(),
        ChannelKind::Text { slow_mode_seconds } => format!("text, slow mode {slow_mode_seconds} s"),
        ChannelKind::Announcement => "announcement".to_owned(),
        ChannelKind::Voice { bitrate, user_limit: 0 } => format!("voice, {} kbit/s", bitrate / 1000),
        ChannelKind::Voice { bitrate, user_limit } => format!("voice, {} kbit/s, {user_limit} members", bitrate / 1000),
        ChannelKind::Stage { bitrate } => format!("stage, {} kbit/s", bitrate / 1000),
        ChannelKind::Forum { tags } => format!("forum, tags {}", tags.join(", ")),
    }
}

/// The permission matrix: a row for each channel, a column for everyone and for each role.
fn matrix(theme: &Theme, out: &mut String) {
    line(out, "\n## Permission matrix\n");
    line(
        out,
        "R: view the channel and read messages. W: also send messages. Voice channels: S: view; L: also connect; T: also speak. Roles with ADMINISTRATOR have every permission in every channel.",
    );
    let mut head = vec!["channel", "everyone"];
    head.extend(theme.roles.iter().map(|role| role.name.as_str()));
    let channels = theme.categories.iter().flat_map(|category| &category.channels);
    let rows = channels.map(|channel| {
        let mut row = vec![channel.name.clone(), mark(channel, None)];
        row.extend(theme.roles.iter().map(|role| role_mark(channel, role)));
        row
    });
    table(out, &head, rows);
}

fn role_mark(channel: &Channel, role: &Role) -> String {
    match role.permissions.contains(Permission::Administrator) {
        true => highest_mark(&channel.access).to_owned(),
        false => mark(channel, Some(&role.key)),
    }
}

fn highest_mark(access: &Access) -> &'static str {
    match access {
        Access::Text { .. } => "W",
        Access::Voice { .. } => "T",
    }
}

fn mark(channel: &Channel, role: Option<&RoleKey>) -> String {
    let may = |audience: &Audience| role.map_or(audience.everyone, |role| audience.includes(role));
    let levels = match &channel.access {
        Access::Text { read, write } => vec![("W", write), ("R", read)],
        Access::Voice { see, join, speak } => vec![("T", speak), ("L", join), ("S", see)],
    };
    levels
        .into_iter()
        .find(|(_, audience)| may(audience))
        .map_or("·", |(mark, _)| mark)
        .to_owned()
}
