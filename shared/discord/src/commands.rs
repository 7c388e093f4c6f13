//! The application's commands. <https://discord.com/developers/docs/interactions/application-commands>

use serde_json::Value;
use twilight_http::request::TryIntoRequest;
use twilight_model::application::command::Command;

use crate::calls::Calls;
use crate::endpoint;
use crate::error::Error;
use crate::request::Request;

impl Calls {
    /// Reads the global commands, as JSON: a field that Discord adds must not prevent the comparison of the others.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn global_commands(&self) -> Result<Vec<Value>, Error> {
        let interactions = self.builder().interaction(self.discord.application());
        let built = interactions.global_commands().try_into_request();
        let request = Request::built(endpoint::COMMANDS, built)?;
        self.fetch(request).await
    }

    /// Replaces all global commands by `commands`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the invalid field.
    pub async fn set_global_commands(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        let interactions = self.builder().interaction(self.discord.application());
        let built = interactions.set_global_commands(commands).try_into_request();
        let mut request = Request::built(endpoint::SET_COMMANDS, built)?;
        request.body = without_versions(&request.body)?.into();
        self.fetch(request).await
    }
}

/// Removes the version, which Discord assigns and which twilight's type requires.
fn without_versions(body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut commands: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(body).map_err(Error::unsendable)?;
    for command in &mut commands {
        command.remove("version");
    }
    serde_json::to_vec(&commands).map_err(Error::unsendable)
}
