//! `arrakis-worker import-profiles` and `arrakis-worker undo-profile-import`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arrakis_config::{Reader, Secret, variables};
use arrakis_db::{Checksum, GuildId, NewProfileImport, ProfileImportState};
use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::output::{print, print_json, printable, report};
use super::with_config;
use crate::profile_import::{self, ImportCounts, Problems, SourceFile, Target, Undone};

/// What both tasks read from the environment.
struct TaskConfig {
    admin_url: Secret,
    themes_dir: Option<PathBuf>,
}

fn read_config(reader: &mut Reader) -> Option<TaskConfig> {
    let admin_url = reader.secret_url(&variables::DATABASE_ADMIN_URL, &["postgres", "postgresql"]);
    let themes_dir = reader.optional(&variables::THEMES_DIR);
    Some(TaskConfig {
        admin_url: admin_url?,
        themes_dir: themes_dir?,
    })
}

/// The options of `import-profiles`.
#[derive(Debug, Args)]
pub(super) struct ImportProfiles {
    /// The SQLite file; docs/moving-in.md describes its tables
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Discord server of the community
    #[arg(long, value_name = "ID")]
    community: GuildId,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
    by: Option<String>,
    /// Check the file against the community, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print each problem, or the counts, as one JSON object a line
    #[arg(long)]
    json: bool,
}

impl ImportProfiles {
    pub(super) fn run(self) -> ExitCode {
        with_config(read_config, |config| self.import(config))
    }

    async fn import(self, config: TaskConfig) -> anyhow::Result<ExitCode> {
        let now = profile_import::now();
        let mut problems = Problems::default();
        let file = profile_import::read(&self.from, now, &mut problems)?;
        let content = file.content();
        let target = Target::find(&config.admin_url, config.themes_dir.as_deref(), self.community).await?;
        let continued = profile_import::resumable(&target, content).await?;
        // Rows that could not be read are not part of the content.
        if let Some((import, _)) = &continued
            && import.state == ProfileImportState::Completed
            && problems.count() == 0
        {
            report(format_args!(
                "this content is imported already, from {} by {}; nothing was written",
                printable(&import.file_name),
                printable(&import.started_by)
            ));
            return Ok(ExitCode::SUCCESS);
        }
        let nobody = BTreeSet::new();
        let (id, written) = match &continued {
            Some((import, written)) => (Some(import.id), written),
            None => (None, &nobody),
        };
        profile_import::check_file(&target, &file, &mut problems);
        profile_import::check_database(&target, &file, (id, written), now, &mut problems).await?;
        self.print_checked(&file, &problems)?;
        if problems.count() > 0 {
            return Ok(ExitCode::FAILURE);
        }
        let Some(by) = self.by.as_deref().filter(|_| !self.dry_run) else {
            report("nothing was written (--dry-run)");
            return Ok(ExitCode::SUCCESS);
        };
        let import = NewProfileImport {
            id: id.unwrap_or_else(Uuid::now_v7),
            content,
            file_name: &file_name(&self.from),
            members: u32::try_from(file.members.len()).unwrap_or(u32::MAX),
            started_by: by,
            started_at: now,
        };
        let resumed = id.map(|_| written);
        let (counts, checksum) = profile_import::run(&target, &file, (import, resumed), now).await?;
        target.close();
        self.print_imported(&counts, checksum)?;
        Ok(ExitCode::SUCCESS)
    }

    fn print_checked(&self, file: &SourceFile, problems: &Problems) -> anyhow::Result<()> {
        for problem in problems.kept() {
            if self.json {
                print_json(problem)?;
            } else {
                print(printable(&problem.to_string()))?;
            }
        }
        for table in &file.unread {
            report(format_args!("the table {} is not imported", printable(table)));
        }
        let (tiers, days, badges) = file.row_counts();
        report(format_args!(
            "{} members, {badges} badges, {tiers} tiers reached, {days} days of activity; {} problems",
            file.members.len(),
            problems.count()
        ));
        let more = problems.count() - problems.kept().len();
        if more > 0 {
            report(format_args!("{more} problems are not printed"));
        }
        if problems.count() > 0 {
            report("nothing was written");
        }
        Ok(())
    }

    fn print_imported(&self, counts: &ImportCounts, checksum: Checksum) -> anyhow::Result<()> {
        if self.json {
            return print_json(&json!({"counts": counts, "checksum": checksum.to_string()}));
        }
        report(format_args!(
            "imported {} of {} members ({} of them had a profile), {} wallets, {} badges; the checksum of all rows is {checksum}",
            counts.written, counts.members, counts.merged, counts.verified, counts.badges
        ));
        if counts.kept_removed > 0 {
            report(format_args!(
                "{} wallets stay removed: their members have removed them on the platform",
                counts.kept_removed
            ));
        }
        report("a reconcile compares members and roles with the server");
        Ok(())
    }
}

/// The name of a file, as the import stores it.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    name.chars().take(200).collect()
}

/// The options of `undo-profile-import`.
#[derive(Debug, Args)]
pub(super) struct UndoProfileImport {
    /// Discord server of the community
    #[arg(long, value_name = "ID")]
    community: GuildId,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Delete the profiles that the import created also where members have used the platform since
    #[arg(long)]
    discard_changes: bool,
}

impl UndoProfileImport {
    pub(super) fn run(self) -> ExitCode {
        with_config(read_config, |config| self.undo(config))
    }

    async fn undo(self, config: TaskConfig) -> anyhow::Result<ExitCode> {
        let target = Target::find(&config.admin_url, config.themes_dir.as_deref(), self.community).await?;
        let undone = profile_import::undo(&target, &self.by, self.discard_changes, profile_import::now()).await?;
        target.close();
        match undone {
            Undone::Done(import, restored) => {
                report(format_args!(
                    "the import of {} is undone; this run has restored {restored} of {} members",
                    printable(&import.file_name),
                    import.members
                ));
                Ok(ExitCode::SUCCESS)
            }
            Undone::Changed(import, members) => {
                for member in &members {
                    print(format_args!("{}  {}", member.user, printable(&member.name)))?;
                }
                report(format_args!(
                    "these members (at most 20 are named) have used commands, written messages, chosen alerts, or got badges, settings or a \
                     tier by /admin-migrate since the import of {}; nothing was written; --discard-changes deletes that",
                    printable(&import.file_name)
                ));
                Ok(ExitCode::FAILURE)
            }
        }
    }
}
