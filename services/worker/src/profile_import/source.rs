//! Reads the SQLite file: its tables, strictly. `docs/moving-in.md` describes them.
//!
//! The file is opened for reading only and read in one transaction, so that another program may still write it. What it contains is not
//! trusted: its views cannot call functions with effects, what they compute is bounded in instructions and memory, and a damaged file is refused.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use arrakis_db::{ActivityRow, BadgeRow, Checksum, MemberRows, ProfileRow, SharedBadge, TierReachedRow, UserId};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::fields::Fields;
use super::problems::Problems;
use super::tables::{ACTIVITY, BADGES, PROFILES, TIERS_REACHED, Table};

/// Most rows of a table. A view may return rows without an end.
const MAX_ROWS: u64 = 5_000_000;
/// Most bytes of a value or a row, in place of SQLite's 10^9: a view may compute values of any size.
const MAX_VALUE: i32 = 16 << 20;
/// Instructions of SQLite between two calls of the handler that counts them.
const STEP: i32 = 1_000_000;
/// What SQLite may use for a file.
const LIMITS: Limits = Limits {
    steps: 10_000,
    heap: 1 << 30,
};
/// Most characters of a name.
const MAX_NAME: usize = 100;
/// Most characters of a reason.
const MAX_REASON: usize = 500;
/// Largest count of a member. The platform adds to it, and to that of a profile which exists, in 64 bits.
const MAX_COUNT: i64 = 1_000_000_000_000;
/// Largest count of a member on one day. The platform adds to it in 32 bits.
const MAX_COUNT_OF_DAY: i32 = 1_000_000_000;

/// What SQLite may use for a file. A view may compute without an end and return no row, or sort more than a disk holds.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Instructions, in units of [`STEP`]. 5,000,000 rows of each table need less than a tenth.
    steps: u64,
    /// Bytes of memory, which sorts use in place of temporary files.
    heap: i64,
}

/// A member of the file.
#[derive(Debug)]
pub(crate) struct SourceMember {
    /// The member's rows. The wallet is that of the file.
    pub(crate) rows: MemberRows,
    /// When the wallet was verified.
    pub(crate) verified_at: Option<OffsetDateTime>,
    /// Shared badges with the badges that they come from.
    pub(crate) shares: Vec<SharedBadge>,
    /// Number of the row in `profiles`.
    pub(crate) row: u64,
    /// Numbers of the rows in `badges`.
    pub(crate) badge_rows: BTreeMap<Uuid, u64>,
}

/// What is to be imported.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// The members, in the order of their ids.
    pub(crate) members: Vec<SourceMember>,
    /// Tables and views that are not imported.
    pub(crate) unread: Vec<String>,
}

impl SourceMember {
    /// The member's id.
    pub(crate) fn user(&self) -> UserId {
        self.rows.profile.user_id
    }
}

impl SourceFile {
    /// Checksum of all that is imported, whatever the order of the file's rows.
    pub(crate) fn content(&self) -> Checksum {
        Checksum::of_all(self.members.iter().map(|member| {
            let mut text = member.rows.canonical();
            let verified = member.verified_at.map(OffsetDateTime::unix_timestamp_nanos);
            // Writing to a string has no error.
            let _ = write!(text, "{verified:?}");
            for share in &member.shares {
                let _ = write!(text, " {} from {}", share.badge_id, share.shared_from);
            }
            Checksum::of_text(&text)
        }))
    }

    /// Numbers of tiers, days and badges.
    pub(crate) fn row_counts(&self) -> (usize, usize, usize) {
        self.members.iter().fold((0, 0, 0), |(tiers, days, badges), member| {
            (
                tiers + member.rows.tiers.len(),
                days + member.rows.days.len(),
                badges + member.rows.badges.len(),
            )
        })
    }
}

/// Reads a file. Rows that cannot be read are problems, and not among the members.
///
/// # Errors
/// When the file cannot be opened, is damaged, is no SQLite database, or its views compute too much.
pub(crate) fn read(path: &Path, now: OffsetDateTime, problems: &mut Problems) -> anyhow::Result<SourceFile> {
    read_within(path, now, problems, LIMITS)
}

fn read_within(
    path: &Path,
    now: OffsetDateTime,
    problems: &mut Problems,
    limits: Limits,
) -> anyhow::Result<SourceFile> {
    let file = path.display();
    if !path.is_file() {
        bail!("there is no file {file}");
    }
    let connection = open(path, limits)
        .map_err(|error| explained(error, limits))
        .with_context(|| format!("{file} cannot be read as a SQLite database"))?;
    let tables = tables(&connection).with_context(|| format!("{file} cannot be read as a SQLite database"))?;
    let mut reader = Reader {
        connection: &connection,
        tables: &tables,
        now,
        problems,
        members: BTreeMap::new(),
    };
    let read = reader.read_all().map_err(|error| explained(error, limits));
    read.with_context(|| format!("reading {file}"))?;
    let mut members: Vec<SourceMember> = reader.members.into_values().collect();
    for member in &mut members {
        member.rows.tiers.sort_by(|one, other| one.tier.cmp(&other.tier));
        member.rows.days.sort_by(|one, other| one.day.cmp(&other.day));
        member.rows.badges.sort_by_key(|badge| badge.badge_id);
        member.shares.sort_by_key(|share| share.badge_id);
    }
    let read = [PROFILES.name, BADGES.name, TIERS_REACHED.name, ACTIVITY.name];
    let unread = tables.into_iter().filter(|name| !read.contains(&name.as_str()));
    Ok(SourceFile {
        members,
        unread: unread.collect(),
    })
}

/// The error with the limit that was reached, in place of SQLite's "interrupted" and "out of memory".
fn explained(error: anyhow::Error, limits: Limits) -> anyhow::Error {
    let code = error
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code);
    match code {
        Some(ErrorCode::OperationInterrupted) => anyhow!(
            "reading it takes more than {} million instructions of SQLite: a view computes too much, or without an end",
            limits.steps
        ),
        Some(ErrorCode::OutOfMemory) => anyhow!(
            "reading it takes more than {} MiB of memory: a view computes or sorts too much",
            limits.heap >> 20
        ),
        _ => error,
    }
}

fn open(path: &Path, limits: Limits) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // The check of a table computes its expressions, too.
    let mut steps = 0;
    let count = move || {
        steps += 1;
        steps > limits.steps
    };
    connection.progress_handler(STEP, Some(count))?;
    connection.execute_batch("pragma temp_store = memory")?;
    // One snapshot for all tables.
    connection.execute_batch("begin")?;
    let damage: String = connection.query_row("pragma integrity_check(1)", [], |row| row.get(0))?;
    if damage != "ok" {
        bail!("the file is damaged: {damage}");
    }
    // After the check, which reads the tables that are not imported, too.
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE)?;
    let limit = format!("pragma hard_heap_limit = {}", limits.heap);
    connection.query_row(&limit, [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// The names of tables and views, in order.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "select name from sqlite_schema
          where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\' order by name",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

struct Reader<'a> {
    connection: &'a Connection,
    tables: &'a [String],
    now: OffsetDateTime,
    problems: &'a mut Problems,
    members: BTreeMap<UserId, SourceMember>,
}

impl Reader<'_> {
    fn read_all(&mut self) -> anyhow::Result<()> {
        self.read_table(&PROFILES, |members, fields| {
            let Some((user, member)) = profile(fields) else {
                return;
            };
            match members.entry(user) {
                Entry::Vacant(place) => {
                    place.insert(member);
                }
                Entry::Occupied(_) => fields.refuse("the member has a row before this one"),
            }
        })?;
        self.read_table(&BADGES, |members, fields| {
            let row = fields.number();
            if let Some((user, badge, shared_from)) = badge(fields)
                && let Some(member) = owner(members, fields, user)
            {
                if let Some(shared_from) = shared_from {
                    member.shares.push(SharedBadge {
                        badge_id: badge.badge_id,
                        shared_from,
                    });
                }
                member.badge_rows.insert(badge.badge_id, row);
                member.rows.badges.push(badge);
            }
        })?;
        let mut tiers = HashSet::new();
        self.read_table(&TIERS_REACHED, |members, fields| {
            if let Some((user, reached)) = tier_reached(fields)
                && let Some(member) = owner(members, fields, user)
            {
                if tiers.insert((user, reached.tier.clone())) {
                    member.rows.tiers.push(reached);
                } else {
                    fields.refuse(format!(
                        "the member has reached {} in a row before this one",
                        reached.tier
                    ));
                }
            }
        })?;
        drop(tiers);
        let mut days = HashSet::new();
        self.read_table(&ACTIVITY, |members, fields| {
            if let Some((user, day, activity)) = activity(fields)
                && let Some(member) = owner(members, fields, user)
            {
                if days.insert((user, day)) {
                    member.rows.days.push(activity);
                } else {
                    fields.refuse(format!("the member has the day {day} in a row before this one"));
                }
            }
        })
    }

    /// Calls `take` for each row of a table, if the file has it.
    fn read_table(
        &mut self,
        table: &Table,
        mut take: impl FnMut(&mut BTreeMap<UserId, SourceMember>, &mut Fields<'_>),
    ) -> anyhow::Result<()> {
        if !self.tables.iter().any(|name| name == table.name) {
            if table.required {
                self.problems.add(table.name, None, None, "the file has no such table");
            }
            return Ok(());
        }
        let connection = self.connection;
        let mut statement = connection.prepare(&format!("select * from {}", table.name))?;
        let Some(places) = table.places(&statement.column_names(), self.problems) else {
            return Ok(());
        };
        let mut rows = statement.query([])?;
        let mut number = 0;
        while let Some(row) = rows.next()? {
            number += 1;
            if number > MAX_ROWS {
                bail!("the table {} has more than {MAX_ROWS} rows", table.name);
            }
            let mut fields = Fields::new(table.name, (number, row), &places, self.now, self.problems);
            take(&mut self.members, &mut fields);
        }
        Ok(())
    }
}

/// The member whose row it is; a problem when the member has no profile.
fn owner<'m>(
    members: &'m mut BTreeMap<UserId, SourceMember>,
    fields: &mut Fields<'_>,
    user: UserId,
) -> Option<&'m mut SourceMember> {
    let member = members.get_mut(&user);
    if member.is_none() {
        fields.refuse("the member has no row in profiles that can be imported");
    }
    member
}

fn profile(fields: &mut Fields<'_>) -> Option<(UserId, SourceMember)> {
    let user_id = fields.member();
    let display_name = fields.text("display_name", MAX_NAME);
    let joined_at = fields.time("joined_at");
    let created_at = fields.time_or_none("created_at").or(joined_at);
    let updated_at = fields.time_or_none("updated_at").or(created_at);
    let tier = fields.parsed_or_none("tier");
    let wallet = fields.wallet_or_none("wallet");
    let verified_at = fields.time_or_none("verified_at");
    let rows = ProfileRow {
        user_id: user_id?,
        display_name: display_name?,
        wallet,
        joined_at: joined_at?,
        left_at: fields.time_or_none("left_at"),
        tier_since: fields.time_or_none("tier_since"),
        highest_tier: fields.parsed_or_none("highest_tier").or_else(|| tier.clone()),
        tier,
        protected: fields.flag("protected"),
        hidden: fields.flag("hidden"),
        waitlisted_at: fields.time_or_none("waitlisted_at"),
        commands: fields.count("commands", MAX_COUNT),
        messages: fields.count("messages", MAX_COUNT),
        last_active_at: fields.time_or_none("last_active_at"),
        created_at: created_at?,
        updated_at: updated_at?,
    };
    check_profile(fields, &rows, verified_at);
    let row = fields.number();
    (!fields.refused()).then(|| {
        let member = SourceMember {
            verified_at,
            shares: Vec::new(),
            row,
            badge_rows: BTreeMap::new(),
            rows: MemberRows {
                profile: rows,
                tiers: Vec::new(),
                days: Vec::new(),
                badges: Vec::new(),
            },
        };
        (member.user(), member)
    })
}

fn check_profile(fields: &mut Fields<'_>, profile: &ProfileRow, verified_at: Option<OffsetDateTime>) {
    if profile.tier.is_some() != profile.tier_since.is_some() {
        fields.refuse("tier and tier_since are set together");
    }
    if profile.wallet.is_some() != verified_at.is_some() {
        fields.refuse("wallet and verified_at are set together");
    }
    if profile.left_at.is_some_and(|left_at| left_at < profile.joined_at) {
        fields.refuse("left_at is before joined_at");
    }
}

fn badge(fields: &mut Fields<'_>) -> Option<(UserId, BadgeRow, Option<Uuid>)> {
    let user = fields.member();
    let badge_id = fields.parsed("badge_id");
    let badge = fields.parsed("badge");
    let source = fields.text("source", 10);
    let awarded_at = fields.time("awarded_at");
    let shared_from = fields.parsed_or_none("shared_from");
    let row = BadgeRow {
        badge_id: badge_id?,
        badge: badge?,
        source: source?,
        awarded_by: fields.user_or_none("awarded_by"),
        awarded_at: awarded_at?,
        reason: fields.text_or_none("reason", MAX_REASON),
        revoked_at: fields.time_or_none("revoked_at"),
        revoked_by: fields.user_or_none("revoked_by"),
        revoke_reason: fields.text_or_none("revoke_reason", MAX_REASON),
    };
    let user = user?;
    if let Some(reason) = wrong_source(&row, user, shared_from.is_some()) {
        fields.refuse(reason);
    }
    (!fields.refused()).then_some((user, row, shared_from))
}

/// What does not fit the source of a badge.
fn wrong_source(badge: &BadgeRow, user: UserId, is_shared: bool) -> Option<&'static str> {
    let has_giver = badge.awarded_by.is_some();
    match badge.source.as_str() {
        "rule" if has_giver => return Some("a badge with the source rule has no awarded_by"),
        "admin" | "share" if !has_giver => return Some("a badge with the source admin or share has an awarded_by"),
        "share" if badge.awarded_by == Some(user) => return Some("a member cannot share a badge with oneself"),
        "rule" | "admin" | "share" => {}
        _ => return Some("the source is none of rule, admin and share"),
    }
    if is_shared && badge.source != "share" {
        return Some("only a badge with the source share has a shared_from");
    }
    if badge.revoked_at.is_none() && (badge.revoked_by.is_some() || badge.revoke_reason.is_some()) {
        return Some("revoked_by and revoke_reason need a revoked_at");
    }
    None
}

fn tier_reached(fields: &mut Fields<'_>) -> Option<(UserId, TierReachedRow)> {
    let user = fields.member();
    let tier = fields.parsed("tier");
    let reached_at = fields.time("reached_at");
    Some((
        user?,
        TierReachedRow {
            tier: tier?,
            reached_at: reached_at?,
        },
    ))
}

fn activity(fields: &mut Fields<'_>) -> Option<(UserId, Date, ActivityRow)> {
    let user = fields.member();
    let day = fields.day("day")?;
    let row = ActivityRow {
        day: day.to_string(),
        commands: fields.count("commands", MAX_COUNT_OF_DAY),
        messages: fields.count("messages", MAX_COUNT_OF_DAY),
    };
    let user = user?;
    (!fields.refused()).then_some((user, day, row))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// The error for a file whose `profiles` is this view, with small limits.
    fn refused(view: &str) -> String {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("members.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("create view profiles as {view}"))
            .unwrap();
        drop(connection);
        let limits = Limits {
            steps: 5,
            heap: 64 << 20,
        };
        let read = read_within(&path, OffsetDateTime::UNIX_EPOCH, &mut Problems::default(), limits);
        format!("{:#}", read.unwrap_err())
    }

    #[test]
    fn view_that_computes_without_an_end_and_returns_no_row_is_refused() {
        let error = refused(
            "with recursive n (x) as (select 1 union all select x + 1 from n)
             select x as user_id, 'Chani' as display_name, '2026-01-01T00:00:00Z' as joined_at from n where x < 0",
        );
        assert!(error.contains("more than 5 million instructions"), "{error}");
    }

    #[test]
    fn view_that_sorts_more_than_the_memory_holds_is_refused() {
        let error = refused(
            "with recursive n (x, y) as (select 1, zeroblob(4000000) union all select x + 1, y from n where x < 100)
             select x as user_id, 'Chani' as display_name, '2026-01-01T00:00:00Z' as joined_at
               from n order by hex(y) || x",
        );
        assert!(error.contains("more than 64 MiB of memory"), "{error}");
    }
}
