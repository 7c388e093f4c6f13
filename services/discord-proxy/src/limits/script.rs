//! A Lua script that Redis runs whole or not at all: asked for by its digest, sent whole when Redis does not know it (any more).

use arrakis_runtime::fail_point;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind};

/// A script and its digest.
#[derive(Debug)]
pub(crate) struct Script {
    source: &'static str,
    digest: String,
}

impl Script {
    pub(crate) fn new(source: &'static str) -> Self {
        let digest = redis::Script::new(source).get_hash().to_owned();
        Self { source, digest }
    }

    /// Runs it with one key. `SCRIPT FLUSH`, a restart or a fail-over makes Redis forget scripts; then it is sent again.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        arguments: &[String],
    ) -> RedisResult<T> {
        let known = self.ask("EVALSHA", &self.digest, connection, key, arguments).await;
        match known {
            Err(error)
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
                    && !fail_point::skips("proxy.guard.script") =>
            {
                self.ask("EVAL", self.source, connection, key, arguments).await
            }
            answer => answer,
        }
    }

    async fn ask<T: FromRedisValue>(
        &self,
        command: &str,
        script: &str,
        connection: &mut MultiplexedConnection,
        key: &str,
        arguments: &[String],
    ) -> RedisResult<T> {
        let mut command = redis::cmd(command);
        command.arg(script).arg(1).arg(key).arg(arguments);
        command.query_async(connection).await
    }
}
