//! Members join, leave, and have roles changed by hand.

use std::io::Write;

use super::Transcript;
use super::context::DemoContext;

/// Newcomers with their holding and the roles that it gives.
const ARRIVALS: &[(&str, &str, &[&str])] = &[
    ("stilgar", "rank 3", &["Naib"]),
    ("chani", "rank 8", &["Fedaykin"]),
    ("liet", "rank 69, the last place", &["Fedaykin"]),
    ("harah", "rank 70, level with rank 69 but later", &["Usul"]),
    ("otheym", "exactly 69", &["Ichwan"]),
    ("jamis", "68.999999999999999999", &["Hajra"]),
    ("shishakli", "6.899999999999999999", &[]),
    ("ramallo", "no wallet", &[]),
];

/// Every newcomer on each side of a tier boundary joins and has exactly the role of their tier.
pub(super) async fn newcomers_get_their_tier<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("Eight travellers arrive at Sietch Tabr");
    for (name, holds, _) in ARRIVALS {
        transcript.act(format!("{name} joins ({holds})"));
        demo.discord.join(demo.tabr.guild, demo.newcomer(name)?, name).await?;
    }
    for (name, _, wanted) in ARRIVALS {
        let found = demo.roles_become(&demo.tabr, demo.newcomer(name)?, wanted).await?;
        let roles = if wanted.is_empty() {
            "no role".to_owned()
        } else {
            wanted.join(", ")
        };
        transcript.expect(format!("{name} has {roles}"), found == *wanted, format!("{found:?}"));
    }
    Ok(())
}

/// An admin assigns a role that the rules do not give. The worker removes it and assigns the right one.
pub(super) async fn role_changed_by_hand_is_corrected<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("Roles changed by hand");
    let jamis = demo.newcomer("jamis")?;
    transcript.act("an admin makes jamis a Naib by hand and takes Hajra away");
    demo.discord
        .set_roles(demo.tabr.guild, jamis, &[demo.tabr.role("Naib")?])
        .await?;
    let found = demo.roles_become(&demo.tabr, jamis, &["Hajra"]).await?;
    transcript.same("jamis is Hajra again", &found, &vec!["Hajra".to_owned()]);

    transcript.act("jamis leaves, and comes back");
    demo.discord.leave(demo.tabr.guild, jamis).await?;
    demo.discord.join(demo.tabr.guild, jamis, "jamis").await?;
    let found = demo.roles_become(&demo.tabr, jamis, &["Hajra"]).await?;
    transcript.same(
        "jamis is known and gets Hajra at once",
        &found,
        &vec!["Hajra".to_owned()],
    );
    Ok(())
}
