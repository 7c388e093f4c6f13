//! [`TransitRevoker`]: takes the permission to sign from every process, and gives it back.
//!
//! The policies are replaced first, which stops every token within milliseconds. Then the accessors of the tokens are revoked: without that, the
//! restored policy would revive a token that somebody has copied. The revoker logs in by a role of its own, which may write these policies, list
//! and look up accessors, and revoke them (`docs/signing.md`).

use std::collections::BTreeMap;

use arrakis_config::{Secret, SigningRevocation, TransitLogin};
use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Failure};
use super::login::Login;
use super::{Answer, TransitOptions};
use crate::kill_switch::{RevokeSigning, RevokeSigningError, RevokedSigning};
use crate::signing::SignError;

/// Where a token finds out about itself.
const LOOKUP: &str = "auth/token/lookup-self";
/// Where the accessors of all tokens are listed.
const ACCESSORS: &str = "auth/token/accessors?list=true";
/// Where the token of an accessor is revoked.
const REVOKE: &str = "auth/token/revoke-accessor";

/// Revokes and restores the permission to sign with a key.
#[derive(Debug)]
pub struct TransitRevoker {
    client: Client,
    login: Login,
    role: TransitLogin,
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

#[derive(Deserialize)]
struct OwnToken {
    accessor: String,
}

impl TransitRevoker {
    /// A revoker with these settings. The policies have nothing but the permission to sign. Sends no request.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn new(settings: &SigningRevocation, options: &TransitOptions) -> Result<Self, SignError> {
        let SigningRevocation { transit, policies } = settings;
        let client = Client::new(transit, options).map_err(|reason| SignError::Failed {
            key: transit.key.clone(),
            reason,
        })?;
        Ok(Self {
            client,
            login: Login::new(transit.login.clone()),
            role: transit.login.clone(),
            mount: transit.mount.clone(),
            key: transit.key.clone(),
            policies: policies.clone(),
        })
    }

    /// Revokes the permission of every policy, then every token with one of them.
    async fn revoke_policies_and_tokens(&self) -> Result<RevokedSigning, SignError> {
        let token = self.token().await?;
        self.write_policies(&token, "\"deny\"", "\"deny\"").await?;
        let mut accessors = 0;
        for accessor in self.accessors(&token).await? {
            if self.revoke_token(&token, &accessor).await? {
                accessors += 1;
            }
        }
        tracing::warn!(
            policies = self.policies.join(","),
            accessors,
            "the permission to sign was revoked"
        );
        Ok(RevokedSigning {
            policies: self.policies.clone(),
            accessors,
        })
    }

    /// Writes the policies again: signatures and the list of public keys.
    async fn restore_policies(&self) -> Result<(), SignError> {
        let token = self.token().await?;
        self.write_policies(&token, "\"update\"", "\"read\"").await?;
        tracing::warn!(
            policies = self.policies.join(","),
            "the permission to sign was restored"
        );
        Ok(())
    }

    /// Checks that this role may do what an emergency needs, and revokes a token that exists for this check only: a second one of the same role.
    async fn revoke_own_token(&self) -> Result<RevokedSigning, SignError> {
        let token = self.token().await?;
        self.require_writable_policies(&token).await?;
        self.accessors(&token).await?;
        let second = Login::new(self.role.clone());
        let second = second
            .token(&self.client)
            .await
            .map_err(|failure| self.error(failure))?;
        let found = self.send::<Answer<OwnToken>>(&second, Method::GET, LOOKUP, None).await;
        let accessor = found.map_err(|failure| self.error(failure))?.data.accessor;
        let body = json!({"accessor": accessor});
        let revoked = self.send::<Value>(&token, Method::POST, REVOKE, Some(&body)).await;
        revoked.map_err(|failure| self.error(failure))?;
        match self.send::<Value>(&second, Method::GET, LOOKUP, None).await {
            Err(Failure::Forbidden(_)) => Ok(RevokedSigning {
                policies: Vec::new(),
                accessors: 1,
            }),
            Ok(_) => Err(SignError::Failed {
                key: self.key.clone(),
                reason: "the server accepts a token whose accessor was revoked".to_owned(),
            }),
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// Refuses to go on where this role may not write a policy.
    async fn require_writable_policies(&self, token: &Secret) -> Result<(), SignError> {
        let paths: Vec<String> = self.policies.iter().map(|name| policy_path(name)).collect();
        let (path, body) = ("sys/capabilities-self", json!({"paths": paths}));
        let answered = self
            .send::<Answer<BTreeMap<String, Vec<String>>>>(token, Method::POST, path, Some(&body))
            .await;
        let capabilities = answered.map_err(|failure| self.error(failure))?.data;
        let is_writable = |path: &str| {
            let found = capabilities.get(path).into_iter().flatten();
            found
                .map(String::as_str)
                .any(|capability| matches!(capability, "update" | "root"))
        };
        match paths.iter().find(|path| !is_writable(path.as_str())) {
            None => Ok(()),
            Some(path) => Err(SignError::Refused {
                key: self.key.clone(),
                reason: format!("the role that revokes has no right to update {path}"),
            }),
        }
    }

    async fn accessors(&self, token: &Secret) -> Result<Vec<String>, SignError> {
        let listed = self
            .send::<Answer<Accessors>>(token, Method::GET, ACCESSORS, None)
            .await;
        Ok(listed.map_err(|failure| self.error(failure))?.data.keys)
    }

    async fn write_policies(&self, token: &Secret, sign: &str, keys: &str) -> Result<(), SignError> {
        let (mount, key) = (&self.mount, &self.key);
        let policy = format!(
            "path \"{mount}/sign/{key}\" {{ capabilities = [{sign}] }}\n\
             path \"{mount}/keys/{key}\" {{ capabilities = [{keys}] }}\n"
        );
        let body = json!({"policy": policy});
        for name in &self.policies {
            let path = policy_path(name);
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
        match self.send::<Value>(token, Method::POST, REVOKE, Some(&body)).await {
            Ok(_) => Ok(true),
            Err(Failure::Rejected(_)) => Ok(false),
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// A token that the server accepts: one that was revoked meanwhile is replaced.
    async fn token(&self) -> Result<Secret, SignError> {
        let token = self.login.token(&self.client).await;
        let token = token.map_err(|failure| self.error(failure))?;
        match self.send::<Value>(&token, Method::GET, LOOKUP, None).await {
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

#[async_trait]
impl RevokeSigning for TransitRevoker {
    async fn revoke_all(&self) -> Result<RevokedSigning, RevokeSigningError> {
        self.revoke_policies_and_tokens()
            .await
            .map_err(RevokeSigningError::from)
    }

    async fn restore(&self) -> Result<(), RevokeSigningError> {
        self.restore_policies().await.map_err(RevokeSigningError::from)
    }

    async fn drill(&self) -> Result<Option<RevokedSigning>, RevokeSigningError> {
        let revoked = self.revoke_own_token().await;
        revoked.map(Some).map_err(RevokeSigningError::from)
    }
}

impl From<SignError> for RevokeSigningError {
    fn from(error: SignError) -> Self {
        let text = error.to_string();
        match error {
            SignError::Unavailable { .. } => Self::Unavailable(text),
            _ => Self::Refused(text),
        }
    }
}

fn policy_path(name: &str) -> String {
    format!("sys/policies/acl/{name}")
}
