//! [`TransitRevoker`]: takes the permission to sign from every process, and gives it back.
//!
//! The policies are replaced first, which stops every token within milliseconds. Then the accessors of the tokens are revoked: without that, the
//! restored policy would revive a token that somebody has copied. The revoker logs in by a role of its own, which may write these policies, list
//! and look up accessors, and revoke them (`docs/signing.md`).

use arrakis_config::{Secret, TransitSettings};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Failure};
use super::login::Login;
use super::{Answer, TransitOptions};
use crate::signing::SignError;

/// The permissions that were revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedPermissions {
    /// The policies that no longer permit to sign.
    pub policies: Vec<String>,
    /// How many tokens were revoked.
    pub accessors: usize,
}

/// Revokes and restores the permission to sign with a key.
#[derive(Debug)]
pub struct TransitRevoker {
    client: Client,
    login: Login,
    mount: String,
    key: String,
    policies: Vec<String>,
}

#[derive(Deserialize)]
struct Accessors {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct TokenPolicies {
    #[serde(default)]
    policies: Vec<String>,
}

impl TransitRevoker {
    /// A revoker for the key of these settings, which logs in by them. `policies` are the names of the policies by which services sign; nothing else
    /// may be in them. Sends no request.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn new(settings: &TransitSettings, policies: Vec<String>, options: &TransitOptions) -> Result<Self, SignError> {
        let client = Client::new(settings, options).map_err(|reason| SignError::Failed {
            key: settings.key.clone(),
            reason,
        })?;
        Ok(Self {
            client,
            login: Login::new(settings.login.clone()),
            mount: settings.mount.clone(),
            key: settings.key.clone(),
            policies,
        })
    }

    /// Revokes the permission of every policy, then every token with one of them. Safe to repeat.
    ///
    /// # Errors
    /// The service is unavailable or refuses; some permissions may be revoked then.
    pub async fn revoke(&self) -> Result<RevokedPermissions, SignError> {
        let token = self.token().await?;
        self.write_policies(&token, "\"deny\"", "\"deny\"").await?;
        let path = "auth/token/accessors?list=true";
        let listed = self.send::<Answer<Accessors>>(&token, Method::GET, path, None).await;
        let mut accessors = 0;
        for accessor in listed.map_err(|failure| self.error(failure))?.data.keys {
            if self.revoke_token(&token, &accessor).await? {
                accessors += 1;
            }
        }
        tracing::warn!(
            policies = self.policies.join(","),
            accessors,
            "the permission to sign was revoked"
        );
        Ok(RevokedPermissions {
            policies: self.policies.clone(),
            accessors,
        })
    }

    /// Writes the policies again: signatures and the list of public keys. Tokens are not restored: each process logs in again. Safe to repeat.
    ///
    /// # Errors
    /// The service is unavailable or refuses.
    pub async fn restore(&self) -> Result<(), SignError> {
        let token = self.token().await?;
        self.write_policies(&token, "\"update\"", "\"read\"").await?;
        tracing::warn!(
            policies = self.policies.join(","),
            "the permission to sign was restored"
        );
        Ok(())
    }

    async fn write_policies(&self, token: &Secret, sign: &str, keys: &str) -> Result<(), SignError> {
        let (mount, key) = (&self.mount, &self.key);
        let policy = format!(
            "path \"{mount}/sign/{key}\" {{ capabilities = [{sign}] }}\n\
             path \"{mount}/keys/{key}\" {{ capabilities = [{keys}] }}\n"
        );
        let body = json!({"policy": policy});
        for name in &self.policies {
            let path = format!("sys/policies/acl/{name}");
            let written = self.send::<Value>(token, Method::PUT, &path, Some(&body)).await;
            written.map_err(|failure| self.error(failure))?;
        }
        Ok(())
    }

    /// Revokes a token, if it has one of the policies. One that has expired since it was listed is passed over.
    async fn revoke_token(&self, token: &Secret, accessor: &str) -> Result<bool, SignError> {
        let body = json!({"accessor": accessor});
        let path = "auth/token/lookup-accessor";
        let found = self
            .send::<Answer<TokenPolicies>>(token, Method::POST, path, Some(&body))
            .await;
        let policies = match found {
            Ok(found) => found.data.policies,
            Err(Failure::Rejected(_)) => return Ok(false),
            Err(failure) => return Err(self.error(failure)),
        };
        if !policies.iter().any(|policy| self.policies.contains(policy)) {
            return Ok(false);
        }
        let path = "auth/token/revoke-accessor";
        match self.send::<Value>(token, Method::POST, path, Some(&body)).await {
            Ok(_) => Ok(true),
            Err(Failure::Rejected(_)) => Ok(false),
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// A token that the server accepts: one that was revoked meanwhile is replaced.
    async fn token(&self) -> Result<Secret, SignError> {
        let token = self.login.token(&self.client).await;
        let token = token.map_err(|failure| self.error(failure))?;
        let path = "auth/token/lookup-self";
        match self.send::<Value>(&token, Method::GET, path, None).await {
            Ok(_) => Ok(token),
            Err(Failure::Forbidden(_)) => {
                self.login.discard(&token).await;
                let token = self.login.token(&self.client).await;
                token.map_err(|failure| self.error(failure))
            }
            Err(failure) => Err(self.error(failure)),
        }
    }

    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        token: &Secret,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        self.client.send::<T>(method, path, Some(token), body).await
    }

    fn error(&self, failure: Failure) -> SignError {
        failure.into_error(&self.key)
    }
}
