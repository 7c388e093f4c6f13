//! Statements that nearly every transaction of a community begins and ends with, prepared in SQL.
//!
//! Several statements in one message are one round trip, but the protocol cannot prepare such a message: PostgreSQL would
//! plan each statement every time. So these are prepared by `PREPARE` when a connection first needs them, and executed by
//! name with literals. A literal must be safe: a number, a UUID, or the bytes of a text in hex. Results are in text format.
//! Why: `docs/decisions/0030`.

use time::OffsetDateTime;

use crate::{CommunityId, UserId};

/// SQL that prepares the statements.
pub(crate) const PREPARE: &str = concat!(
    // Sets the tenant that a guild belongs to.
    "prepare enter_guild (bigint) as
     select set_config('app.current_tenant', community_id::text, true) as tenant from guild_routes where guild_id = $1;",
    // The community of the transaction's tenant, with what every reply shows of its token. Times are microseconds since 1970.
    "prepare current_community as
     select c.community_id, c.guild_id, c.name, c.theme, c.rule_set, c.plan, c.token_profile_id,
            (extract(epoch from c.frozen_at) * 1000000)::bigint as frozen_us, c.frozen_reason,
            (extract(epoch from c.onboarded_at) * 1000000)::bigint as onboarded_us, c.welcome_channel_id, t.symbol,
            (extract(epoch from h.last_success_at) * 1000000)::bigint as last_success_us, c.tier_roles, c.controlled_by,
            (extract(epoch from c.theme_grace_until) * 1000000)::bigint as theme_grace_us,
            (select json_object_agg(g.gate_key, g.tier)::text from feature_gates g
              where g.community_id = c.community_id) as gates
       from communities c
       join token_profiles t using (token_profile_id)
       left join eligibility_health_status h using (token_profile_id)
      where c.community_id = nullif(current_setting('app.current_tenant', true), '')::uuid;",
    // Claims an event ($2) and counts the activity of a member ($3), if there is such a profile. False, and nothing
    // counted, when the event was claimed before.
    "prepare count_once (uuid, text, bigint, integer, integer, timestamptz) as
     with claimed as (
         insert into inbox (community_id, event_id) values ($1, $2) on conflict do nothing returning community_id),
     member as (
         update profiles p
            set commands = p.commands + $4, messages = p.messages + $5, last_active_at = greatest(p.last_active_at, $6)
           from claimed
          where p.community_id = $1 and p.user_id = $3
         returning p.community_id, p.user_id),
     counted as (
         insert into profile_activity as known (community_id, user_id, day, commands, messages)
         select community_id, user_id, ($6 at time zone 'UTC')::date, $4, $5 from member
         on conflict (community_id, user_id, day) do update
            set commands = known.commands + excluded.commands, messages = known.messages + excluded.messages)
     select exists (select from claimed) as counted;",
);

/// Reads the community of the transaction's tenant.
pub(crate) const CURRENT_COMMUNITY: &str = "execute current_community";

/// Sets the transaction's tenant to the community of a guild; no row when the guild has none.
pub(crate) fn enter_guild(guild: i64) -> String {
    format!("execute enter_guild({guild})")
}

/// Counts this many commands and messages once for an event; the returned row states whether they were counted.
pub(crate) fn count_once(
    community: CommunityId,
    event_id: &str,
    user: UserId,
    (commands, messages): (i32, i32),
    at: OffsetDateTime,
) -> String {
    let event = text_literal(event_id);
    let user = user.stored();
    let us = at.unix_timestamp_nanos() / 1000;
    let at = format!("to_timestamp(0) + {us} * interval '1 microsecond'");
    format!("execute count_once('{community}', {event}, {user}, {commands}, {messages}, {at})")
}

/// A SQL expression for this text, by its bytes in hex: no quote, backslash or server setting can end it early.
fn text_literal(text: &str) -> String {
    format!("convert_from(decode('{}', 'hex'), 'UTF8')", hex::encode(text))
}
