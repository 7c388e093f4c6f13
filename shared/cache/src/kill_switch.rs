//! `kill-switch`: the switches that the discord-proxies read, and the revocation of all sessions.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use arrakis_security::kill_switch::{KillSwitch, KillSwitchState, MAX_AHEAD, REDIS_KEY};
use deadpool_redis::redis::{Cmd, Script};

use crate::keys::Key;
use crate::{Cache, CacheUnavailable, Ttl};

/// Keys that one `SCAN` examines: a few milliseconds of the server.
const SCAN_COUNT: u32 = 1_000;
/// Time to live of the switches. Workers write them again while a switch is on.
const TTL: Ttl = Ttl::seconds(30 * 24 * 3600);

/// What the hash has; of a key of another type, its type as the value of an empty field. A command that Redis refuses would count as a failure of
/// Redis.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kind = redis.call('TYPE', KEYS[1])['ok']
         if kind == 'none' then
           return {}
         elseif kind ~= 'hash' then
           return {'', kind}
         end
         return redis.call('HGETALL', KEYS[1])",
    )
});

/// Removes fields that have these values still, and a key of another type. `ARGV` has field and value of each. Returns how many were removed.
static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kind = redis.call('TYPE', KEYS[1])['ok']
         if kind == 'none' then
           return 0
         elseif kind ~= 'hash' then
           return redis.call('DEL', KEYS[1])
         end
         local removed = 0
         for at = 1, #ARGV, 2 do
           if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
             removed = removed + redis.call('HDEL', KEYS[1], ARGV[at])
           end
         end
         return removed",
    )
});

/// Stores entries that replace the stored ones, by the rule of [`KillSwitch::replaces`]. A stored entry that cannot be read, or whose version no
/// change makes, was removed before; one that was written since is replaced where the script finds that it cannot be read. `ARGV[1]` is the time to live, `ARGV[2]` the highest version of an entry that is on, which an end may exceed by a day;
/// then follow scope, version and JSON of each entry. Returns how many were stored.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local stored = 0
         local highest = tonumber(ARGV[2])
         for at = 3, #ARGV, 3 do
           local known = redis.call('HGET', KEYS[1], ARGV[at])
           local is_readable, entry = pcall(cjson.decode, known or '')
           local is_text = function(value) return value == nil or type(value) == 'string' end
           local version, is_on = 0, false
           if is_readable and type(entry) == 'table' and entry.scope == ARGV[at] and type(entry.is_on) == 'boolean'
              and type(entry.version) == 'number' and entry.version % 1 == 0
              and entry.version <= highest + (entry.is_on and 0 or 86400000)
              and is_text(entry.by) and is_text(entry.reason) then
             version, is_on = entry.version, entry.is_on
           end
           local received = tonumber(ARGV[at + 1])
           local turns_on = cjson.decode(ARGV[at + 2]).is_on and not is_on
           if received > version or (received == version and turns_on) then
             redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
             stored = stored + 1
           end
         end
         redis.call('PEXPIRE', KEYS[1], ARGV[1])
         return stored",
    )
});

/// The highest version that [`KillSwitch::is_plausible`] accepts of an entry that is on.
fn highest_version() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + MAX_AHEAD).as_millis()).unwrap_or(u64::MAX)
}

impl Cache {
    /// Stores the switches for the discord-proxies; an entry that Redis has and that is newer stays. Returns how many were stored. What cannot be
    /// read is removed, as by [`Cache::remove_unreadable_kill_switches`].
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn put_kill_switches<'a>(
        &self,
        switches: impl Iterator<Item = &'a KillSwitch> + Send,
    ) -> Result<u64, CacheUnavailable> {
        self.remove_unreadable_kill_switches().await?;
        let mut put = PUT.key(REDIS_KEY);
        put.arg(TTL.milliseconds()).arg(highest_version());
        for switch in switches {
            let json = serde_json::to_string(switch).map_err(|error| CacheUnavailable {
                operation: "kill_switch.put",
                reason: error.to_string(),
            })?;
            put.arg(switch.scope.to_string()).arg(switch.version).arg(json);
        }
        self.script("kill_switch.put", &put).await
    }

    /// The switches that Redis has. An entry that cannot be read, or whose version no change makes, is left out.
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn kill_switches(&self) -> Result<KillSwitchState, CacheUnavailable> {
        let stored = self.stored_kill_switches().await?;
        let switches = stored
            .iter()
            .filter_map(|(scope, json)| KillSwitch::of_field(scope, json));
        Ok(KillSwitchState::from(switches.collect::<Vec<KillSwitch>>()))
    }

    /// The scopes whose entries [`Cache::kill_switches`] leaves out.
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn unreadable_kill_switches(&self) -> Result<Vec<String>, CacheUnavailable> {
        let unreadable = self.unreadable_fields().await?;
        let mut scopes: Vec<String> = unreadable
            .keys()
            .map(|field| String::from_utf8_lossy(field).into_owned())
            .collect();
        scopes.sort_unstable();
        Ok(scopes)
    }

    /// Removes the entries that [`Cache::kill_switches`] leaves out, and a key of another type. While one is there, Redis confirms the state at no
    /// discord-proxy. Such an entry has no effect, so its removal ends nothing. Returns how many were removed.
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn remove_unreadable_kill_switches(&self) -> Result<u64, CacheUnavailable> {
        let unreadable = self.unreadable_fields().await?;
        if unreadable.is_empty() {
            return Ok(0);
        }
        let mut remove = REMOVE.key(REDIS_KEY);
        for (field, value) in &unreadable {
            remove.arg(field.as_slice()).arg(value.as_slice());
        }
        let removed: u64 = self.script("kill_switch.remove", &remove).await?;
        tracing::warn!(
            removed,
            "entries of the kill switch in Redis could not be read and were removed"
        );
        Ok(removed)
    }

    async fn unreadable_fields(&self) -> Result<HashMap<Vec<u8>, Vec<u8>>, CacheUnavailable> {
        let mut stored = self.stored_kill_switches().await?;
        stored.retain(|field, json| KillSwitch::of_field(field, json).is_none());
        Ok(stored)
    }

    /// Fields and values as bytes: a text that is not UTF-8 must not hide the others.
    async fn stored_kill_switches(&self) -> Result<HashMap<Vec<u8>, Vec<u8>>, CacheUnavailable> {
        let read = READ.key(REDIS_KEY);
        self.script("kill_switch.get", &read).await
    }

    /// Ends every session of every member. Returns how many keys were deleted. A session that begins during the scan may stay.
    ///
    /// # Errors
    /// When Redis is unavailable; some sessions may have ended.
    pub async fn revoke_all_sessions(&self) -> Result<u64, CacheUnavailable> {
        self.delete_matching("sess:*").await
    }

    /// Ends every session of one tenant, as [`Cache::revoke_all_sessions`].
    ///
    /// # Errors
    /// When Redis is unavailable; some sessions may have ended.
    pub async fn revoke_sessions_of(&self, tenant: impl Display + Send + Sync) -> Result<u64, CacheUnavailable> {
        // An escaped key has no colon within a part; a tenant is a UUID, which has no character of a pattern.
        let prefix = Key::new("sess", &[&tenant]);
        self.delete_matching(&format!("{}:*", prefix.as_str())).await
    }

    async fn delete_matching(&self, pattern: &str) -> Result<u64, CacheUnavailable> {
        let (mut cursor, mut deleted) = (0_u64, 0);
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN").arg(cursor).arg("MATCH").arg(pattern);
            scan.arg("COUNT").arg(SCAN_COUNT);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.command("session.scan", &scan).await?;
            if !keys.is_empty() {
                let mut unlink = Cmd::new();
                unlink.arg("UNLINK").arg(keys);
                deleted += self.command::<u64>("session.revoke", &unlink).await?;
            }
            if next == 0 {
                return Ok(deleted);
            }
            cursor = next;
        }
    }
}
