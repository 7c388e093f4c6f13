//! Commands and autocomplete, validated against the registered command as Discord's client does.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{InteractionContext, InteractionRequest, describe::describe, resolve::Resolved};
use crate::{
    control::{
        names,
        response::{ControlError, bad, forbidden, missing},
    },
    model::{Attachment, Command, CommandOption, Id, InteractionKind, Permissions},
    rest::permissions,
    world::{self, NewInteraction},
};

/// Option types: 1 is a subcommand, 2 a group, all others take a value.
const GROUP: u8 = 2;

/// Files by the name of their option.
pub(super) type Files = BTreeMap<String, Attachment>;

/// Stores files: option values of the form `{"filename", "content_type"?, "data_base64"}`.
pub(super) fn uploads(state: &mut world::State, request: &InteractionRequest) -> Result<Files, ControlError> {
    let mut found = Vec::new();
    collect_files(request.options.as_ref(), &mut found);
    let mut files = Files::new();
    for (option, file) in found {
        let data = file["data_base64"].as_str().unwrap_or_default();
        let bytes = STANDARD
            .decode(data)
            .map_err(|error| bad(format!("{option}: {error}"), "data_base64 is standard base64"))?;
        let id = state.next_id();
        let filename = file["filename"].as_str().unwrap_or("file").to_owned();
        let url = format!(
            "https://cdn.discordapp.com/ephemeral-attachments/{}/{id}/{filename}",
            state.application.id
        );
        let attachment = Attachment {
            id,
            filename,
            description: None,
            content_type: file["content_type"].as_str().map(str::to_owned),
            size: bytes.len(),
            proxy_url: url.clone(),
            url,
            width: None,
            height: None,
            ephemeral: true,
        };
        state.blobs.insert(id.to_string(), Bytes::from(bytes));
        files.insert(option, attachment);
    }
    Ok(files)
}

fn collect_files(options: Option<&Value>, found: &mut Vec<(String, Value)>) {
    match options {
        Some(Value::Object(map)) => {
            let files = map.iter().filter(|(_, value)| value.get("data_base64").is_some());
            found.extend(files.map(|(name, value)| (name.clone(), value.clone())));
        }
        Some(Value::Array(list)) => {
            for option in list {
                if option["value"].get("data_base64").is_some() {
                    found.push((
                        option["name"].as_str().unwrap_or_default().to_owned(),
                        option["value"].clone(),
                    ));
                }
                collect_files(option.get("options"), found);
            }
        }
        _ => {}
    }
}

/// Builds the interaction of a command, or of autocomplete for one of its options.
pub(super) fn run(
    context: &InteractionContext<'_>,
    request: &InteractionRequest,
    typing: bool,
    files: &Files,
) -> Result<NewInteraction, ControlError> {
    let guild = context.channel.guild_id;
    let (command, path) = find(context, request)?;
    may_use(context, command)?;
    let mut data = json!({"id": command.id, "name": command.name, "type": command.kind});
    if let Some(guild) = command.guild_id {
        data["guild_id"] = json!(guild);
    }
    let mut resolved = Resolved::new(context.state, guild);
    if command.kind == 1 {
        let given = nest(request.options.clone().unwrap_or_default(), &path, &command.options)?;
        let mut validate = OptionReader {
            context,
            typing,
            focused: request.focused.as_deref(),
            files,
            resolved: &mut resolved,
            saw_focus: false,
        };
        let options = validate.options(&command.options, &given)?;
        if typing && !validate.saw_focus {
            return Err(bad("no option has focus", "name it: \"focused\": \"option\""));
        }
        if !options.is_empty() {
            data["options"] = options.into();
        }
    } else {
        target(context, command, request, &mut resolved, &mut data)?;
    }
    resolved.into_data(&mut data);
    Ok(NewInteraction {
        kind: if typing {
            InteractionKind::Autocomplete
        } else {
            InteractionKind::Command
        },
        channel_id: context.channel.id,
        user_id: context.user,
        data,
        command: Some(command.name.clone()),
        message_id: None,
    })
}

/// Finds the command by name or id, a server's own before a global one, and the subcommands named after it.
fn find<'a>(
    context: &InteractionContext<'a>,
    request: &InteractionRequest,
) -> Result<(&'a Command, Vec<String>), ControlError> {
    let guild = context.channel.guild_id;
    let name = request
        .name
        .as_deref()
        .unwrap_or_default()
        .trim()
        .trim_start_matches('/');
    let mut words = name.split(' ').map(str::to_owned);
    let first = words.next().unwrap_or_default();
    let here = |command: &&Command| command.guild_id.is_none() || command.guild_id == guild;
    let commands = context.state.commands.values().filter(here);
    let named = |command: &&Command| match request.command_id {
        Some(id) => command.id == id,
        None => command.name == first || command.name == name,
    };
    let found = commands
        .clone()
        .filter(named)
        .max_by_key(|command| command.guild_id.is_some());
    let Some(command) = found else {
        let known: Vec<&str> = commands.map(|command| command.name.as_str()).collect();
        let what_to_do = if known.is_empty() {
            "the bot has registered no commands yet: PUT /applications/{id}/commands".to_owned()
        } else {
            format!("registered here: {}", known.join(", "))
        };
        return Err(missing(format!("there is no command {name:?} here"), what_to_do));
    };
    let path = if command.name == name {
        Vec::new()
    } else {
        words.collect()
    };
    Ok((command, path))
}

fn may_use(context: &InteractionContext<'_>, command: &Command) -> Result<(), ControlError> {
    if context.force {
        return Ok(());
    }
    let guild = context
        .channel
        .guild_id
        .and_then(|guild| context.state.guilds.get(&guild));
    let Some(guild) = guild else {
        let in_dms = command
            .contexts
            .as_ref()
            .map_or(command.dm_permission, |contexts| contexts.contains(&1));
        let refusal = || {
            forbidden(
                format!("/{} cannot be used in direct messages", command.name),
                "use it in a server",
            )
        };
        return if in_dms { Ok(()) } else { Err(refusal()) };
    };
    if command.contexts.as_ref().is_some_and(|contexts| !contexts.contains(&0)) {
        return Err(forbidden(
            format!("/{} cannot be used in servers", command.name),
            "use it in a direct message",
        ));
    }
    let Some(needed) = command.default_member_permissions else {
        return Ok(());
    };
    let may = permissions::in_channel(guild, context.channel, context.user, context.state.now());
    // An empty set of permissions means administrators only.
    let allowed = may.contains(Permissions::ADMINISTRATOR) || (!needed.is_empty() && may.contains(needed));
    if allowed {
        return Ok(());
    }
    let names = if needed.is_empty() {
        "ADMINISTRATOR".to_owned()
    } else {
        needed.names().join(", ")
    };
    Err(forbidden(
        format!("/{} is for members with {names}", command.name),
        "act as a member who has it, or send \"force\": true",
    ))
}

/// Target of a user or message command.
fn target(
    context: &InteractionContext<'_>,
    command: &Command,
    request: &InteractionRequest,
    resolved: &mut Resolved<'_>,
    data: &mut Value,
) -> Result<(), ControlError> {
    let target = request.target_id.ok_or_else(|| {
        bad(
            format!("{} needs a target_id", command.name),
            "the id of a user or message",
        )
    })?;
    let known = if command.kind == 2 {
        resolved.user(target)
    } else {
        resolved.message(context.channel.id, target)
    };
    if !known {
        context.refuse(
            format!("there is no target {target}"),
            "name a user or a message of this channel",
        )?;
    }
    data["target_id"] = json!(target);
    Ok(())
}

/// Converts `{"name": value}` and a path of subcommands into Discord's nested form.
fn nest(options: Value, path: &[String], known: &[CommandOption]) -> Result<Vec<Value>, ControlError> {
    let mut nested: Vec<Value> = match options {
        Value::Null => Vec::new(),
        Value::Array(list) => list,
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect(),
        _ => {
            return Err(bad(
                "options is neither an object nor a list",
                "write {\"name\": value}",
            ));
        }
    };
    let mut kinds = Vec::new();
    let mut level = known;
    for name in path {
        let option = level.iter().find(|option| option.name == *name && option.kind <= GROUP);
        let option = option.ok_or_else(|| {
            let names: Vec<&str> = level.iter().map(|option| option.name.as_str()).collect();
            missing(
                format!("there is no subcommand {name:?}"),
                format!("there are: {}", names.join(", ")),
            )
        })?;
        kinds.push(option.kind);
        level = &option.options;
    }
    for (name, kind) in path.iter().zip(kinds).rev() {
        nested = vec![json!({"name": name, "type": kind, "options": nested})];
    }
    Ok(nested)
}

struct OptionReader<'a, 'b> {
    context: &'a InteractionContext<'b>,
    typing: bool,
    focused: Option<&'a str>,
    files: &'a Files,
    resolved: &'a mut Resolved<'b>,
    saw_focus: bool,
}

impl OptionReader<'_, '_> {
    /// The options of one level in the form that the bot receives.
    fn options(&mut self, known: &[CommandOption], given: &[Value]) -> Result<Vec<Value>, ControlError> {
        let mut out = Vec::with_capacity(given.len());
        for option in given {
            let name = option["name"].as_str().unwrap_or_default();
            match known.iter().find(|known| known.name == name) {
                Some(known) if known.kind <= GROUP => {
                    let inner = option["options"].as_array().cloned().unwrap_or_default();
                    let options = self.options(&known.options, &inner)?;
                    out.push(json!({"name": name, "type": known.kind, "options": options}));
                }
                Some(known) => out.push(self.option(known, option)?),
                None => {
                    let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
                    self.context.refuse(
                        format!("there is no option {name:?}"),
                        format!("there are: {}", names.join(", ")),
                    )?;
                    out.push(option.clone());
                }
            }
        }
        self.complete(known, &out)?;
        Ok(out)
    }

    fn complete(&self, known: &[CommandOption], given: &[Value]) -> Result<(), ControlError> {
        let has = |name: &str| given.iter().any(|option| option["name"] == name);
        if known.iter().any(|option| option.kind <= GROUP) && given.is_empty() {
            let names: Vec<&str> = known.iter().map(|option| option.name.as_str()).collect();
            return self.context.refuse(
                "a subcommand is needed",
                format!("put it after the name: {}", names.join(", ")),
            );
        }
        if self.typing {
            return Ok(());
        }
        match known
            .iter()
            .find(|option| option.kind > GROUP && option.required && !has(&option.name))
        {
            Some(lacking) => self.context.refuse(
                format!("option {:?} is required", lacking.name),
                lacking.description.clone(),
            ),
            None => Ok(()),
        }
    }

    fn option(&mut self, known: &CommandOption, given: &Value) -> Result<Value, ControlError> {
        let value = given.get("value").cloned().unwrap_or_default();
        let focused = given["focused"].as_bool().unwrap_or(false) || self.focused == Some(known.name.as_str());
        if self.typing && focused {
            if !known.autocomplete {
                self.context.refuse(
                    format!("option {:?} has no autocomplete", known.name),
                    "the bot must register it with autocomplete",
                )?;
            }
            self.saw_focus = true;
            // The focused option of an autocomplete request is always a string.
            let typed = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Ok(json!({"name": known.name, "type": known.kind, "value": typed, "focused": true}));
        }
        let value = self.value(known, value)?;
        Ok(json!({"name": known.name, "type": known.kind, "value": value}))
    }

    /// Validates a value against the option's type and limits.
    fn value(&mut self, known: &CommandOption, value: Value) -> Result<Value, ControlError> {
        let fits = match known.kind {
            3 => value.as_str().is_some_and(|text| length_fits(known, text)),
            4 => value.as_i64().is_some_and(|number| number.unsigned_abs() <= 1 << 53) && range_fits(known, &value),
            5 => value.is_boolean(),
            10 => value.is_number() && range_fits(known, &value),
            6..=9 => return self.mention(known, &value),
            11 => return self.file(known, value),
            _ => true,
        };
        let chosen = known.choices.is_empty() || known.choices.iter().any(|choice| choice.value == value);
        if !fits || !chosen {
            self.context
                .refuse(format!("{value} does not fit option {:?}", known.name), describe(known))?;
        }
        Ok(value)
    }

    /// Resolves a user, channel, role or mentionable by id or name.
    fn mention(&mut self, known: &CommandOption, value: &Value) -> Result<Value, ControlError> {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let guild = self
            .context
            .channel
            .guild_id
            .and_then(|guild| self.context.state.guilds.get(&guild));
        let number = || {
            text.parse::<Id>()
                .map_err(|_| bad(format!("{text:?} is not an id"), "use an id"))
        };
        let near = || match guild {
            Some(guild) => names::user_near(self.context.state, guild, &text),
            None => names::user(self.context.state, &text),
        };
        let id = match (known.kind, guild) {
            (7, Some(guild)) => names::channel(guild, &text).map(|channel| channel.id),
            (8, Some(guild)) => names::role(guild, &text).map(|role| role.id),
            (9, Some(guild)) => names::role(guild, &text).map(|role| role.id).or_else(|_| near()),
            _ => near(),
        };
        let id = if self.context.force {
            id.or_else(|_| number())?
        } else {
            id?
        };
        match known.kind {
            6 => _ = self.resolved.user(id),
            7 => {
                let kind = self.resolved.channel(id, self.context.user);
                let fits =
                    known.channel_types.is_empty() || kind.is_some_and(|kind| known.channel_types.contains(&kind));
                if !fits {
                    let what_to_do = format!("channels of types {:?}", known.channel_types);
                    self.context.refuse(
                        format!("{text} is not a channel that option {:?} takes", known.name),
                        what_to_do,
                    )?;
                }
            }
            8 => _ = self.resolved.role(id),
            _ => {
                if !self.resolved.role(id) {
                    self.resolved.user(id);
                }
            }
        }
        Ok(json!(id))
    }

    fn file(&mut self, known: &CommandOption, value: Value) -> Result<Value, ControlError> {
        let Some(file) = self.files.get(&known.name) else {
            self.context.refuse(
                format!("option {:?} takes a file", known.name),
                "{\"filename\": …, \"data_base64\": …}",
            )?;
            return Ok(value);
        };
        self.resolved.attachment(file.id, json!(file));
        Ok(json!(file.id))
    }
}

fn length_fits(known: &CommandOption, text: &str) -> bool {
    let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    length >= known.min_length.unwrap_or(0) && length <= known.max_length.unwrap_or(6_000)
}

fn range_fits(known: &CommandOption, value: &Value) -> bool {
    let Some(value) = value.as_f64() else { return false };
    let bound = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    bound(&known.min_value).is_none_or(|least| value >= least)
        && bound(&known.max_value).is_none_or(|most| value <= most)
}
