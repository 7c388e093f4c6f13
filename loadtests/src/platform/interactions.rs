//! Endpoints of interactions by HTTP (`arrakis-interactions`), and the one to which the emulator delivers.

use anyhow::{Context as _, ensure};

use super::{Platform, Replica, free_address, last};

impl Platform {
    /// Starts another endpoint with these variables in addition to the usual ones. Does not wait. The emulator delivers by the gateway until
    /// [`Platform::deliver_by_http`].
    ///
    /// # Errors
    /// When no port is free, or the emulator does not respond.
    pub async fn spawn_interactions(&mut self, extra: &[(String, String)]) -> anyhow::Result<&mut Replica> {
        let address = free_address()?;
        let endpoint = self.discord.interactions_endpoint().await?;
        let usual = [
            ("DISCORD_PUBLIC_KEY", endpoint.public_key),
            ("INTERACTIONS_ADDR", address.clone()),
            ("AMQP_URL", self.environment.services.vhost.url()),
        ];
        let replica = self.spawn("arrakis-interactions", &usual, extra)?;
        self.environment.interactions_addrs.push(address);
        Ok(last(&mut self.interactions, replica))
    }

    /// Makes the emulator deliver interactions to the endpoint with this index, once it has checked it as Discord does.
    ///
    /// # Errors
    /// When there is no such endpoint, or the emulator refuses it.
    pub async fn deliver_by_http(&self, nth: usize) -> anyhow::Result<()> {
        let address = self.environment.interactions_addrs.get(nth);
        let address = address.with_context(|| format!("there is no endpoint {nth}"))?;
        self.deliver_to(Some(&format!("http://{address}/interactions"))).await
    }

    /// Makes the emulator deliver interactions by the gateway, as it does from its start.
    ///
    /// # Errors
    /// When the emulator does not respond.
    pub async fn deliver_by_gateway(&self) -> anyhow::Result<()> {
        self.deliver_to(None).await
    }

    async fn deliver_to(&self, url: Option<&str>) -> anyhow::Result<()> {
        let set = self.discord.set_interactions_endpoint(url).await?;
        ensure!(set.url.as_deref() == url, "the emulator delivers to {:?}", set.url);
        Ok(())
    }
}
