//! The third act: the owner of Polar Outpost sets the server up by the wizard; a member of Sietch Tabr is given a badge and shares it; a role
//! that was deleted by hand is repaired. The alert, which needs a chain, arrives in the second act.
//!
//! Roles and channels are counted in the emulator and compared with literals of the theme `basic`, never with a service.

mod badges;
mod repair;
mod wizard;

use std::io::Write;

use serde_json::Value;

use super::Transcript;
use super::context::DemoContext;

/// Plays the act.
///
/// # Errors
/// When a reply does not arrive; a wrong reply is counted in the transcript.
pub(super) async fn play<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    wizard::sets_a_server_up(demo, transcript).await?;
    badges::are_given_and_shared(demo, transcript).await?;
    repair::of_a_deleted_role(demo, transcript).await
}

/// The owner of Polar Outpost.
fn owner(demo: &DemoContext<'_>) -> u64 {
    demo.plan.servers[2].members[0].user
}

/// The names of a server's roles or channels (`of`), as the emulator has them.
async fn names(demo: &DemoContext<'_>, guild: u64, of: &str) -> anyhow::Result<Vec<String>> {
    let view = demo.discord.guild(guild).await?;
    let all = view[of].as_array().into_iter().flatten();
    Ok(all.filter_map(|one| one["name"].as_str()).map(str::to_owned).collect())
}

/// The id of the role with this name; `None` without one.
async fn role_id(demo: &DemoContext<'_>, guild: u64, name: &str) -> anyhow::Result<Option<String>> {
    let view = demo.discord.guild(guild).await?;
    let mut all = view["roles"].as_array().into_iter().flatten();
    let found = all.find(|role| role["name"].as_str() == Some(name));
    Ok(found.and_then(|role| role["id"].as_str()).map(str::to_owned))
}

/// How many of these names equal `name`.
fn count(names: &[String], name: &str) -> usize {
    names.iter().filter(|found| *found == name).count()
}

/// The title of a message's first embed.
fn title(message: &Value) -> &str {
    message["embeds"][0]["title"].as_str().unwrap_or_default()
}
