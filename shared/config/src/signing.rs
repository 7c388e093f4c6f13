//! How the platform signs, from `SIGNER`, `VAULT_ADDR` and the variables beside them, checked.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::api_base::is_loopback;
use crate::reader::Reader;
use crate::variables::{
    BACKUP_SIGNING_KEY, SIGNER, VAULT_ADDR, VAULT_AUTH, VAULT_AUTH_MOUNT, VAULT_CACERT, VAULT_NAMESPACE,
    VAULT_REVOKER_ROLE, VAULT_REVOKER_ROLE_ID, VAULT_REVOKER_SECRET_ID_FILE, VAULT_ROLE, VAULT_ROLE_ID,
    VAULT_SECRET_ID_FILE, VAULT_SIGNING_POLICIES, VAULT_TOKEN_FILE, VAULT_TRANSIT_KEY, VAULT_TRANSIT_MOUNT, Variable,
};

/// Longest name of a key or a mount in bytes.
const MAX_NAME: usize = 100;

/// How the platform signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSettings {
    /// Where the key is.
    pub signer: SignerLocation,
    /// Public keys whose signatures are accepted too, each as 64 hexadecimal digits.
    pub trusted_keys: Vec<String>,
}

/// Where the key that signs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerLocation {
    /// In a file of this machine, for development.
    File(PathBuf),
    /// In Transit, of HashiCorp Vault or OpenBao.
    Transit(Box<TransitSettings>),
}

/// A key in Transit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitSettings {
    /// Address of the server: `https://`, or `http://` to this machine.
    pub address: Url,
    /// File with the certificate authority of the server; `None`: the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// Namespace on the server.
    pub namespace: Option<String>,
    /// Path at which Transit is mounted.
    pub mount: String,
    /// Name of the key.
    pub key: String,
    /// How the process logs in.
    pub login: TransitLogin,
}

/// How the kill switch revokes the permission to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRevocation {
    /// The key, with the login of the role that revokes.
    pub transit: TransitSettings,
    /// Names of the policies by which services sign.
    pub policies: Vec<String>,
}

/// A login at Vault or OpenBao.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitLogin {
    /// Path at which the method is mounted.
    pub mount: String,
    /// The method, with what it needs.
    pub method: LoginMethod,
}

/// A method to log in. Credentials are in files, which are read at each login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginMethod {
    /// `AppRole`.
    AppRole {
        /// Id of the role.
        role_id: String,
        /// File with the secret id.
        secret_id_file: PathBuf,
    },
    /// A service account of Kubernetes.
    Kubernetes {
        /// Name of the role.
        role: String,
        /// File with the token of the service account.
        token_file: PathBuf,
    },
}

/// The name of a policy that may be replaced: of one segment, and none that the server itself has.
#[derive(Debug)]
struct PolicyName(String);

impl FromStr for PolicyName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let PathName(name) = text.parse()?;
        if name.contains('/') {
            return Err("the name of a policy has no slash");
        }
        match name.as_str() {
            "root" | "default" => Err("every token has it: create a policy that permits to sign and nothing else"),
            _ => Ok(Self(name)),
        }
    }
}

/// A segment of a path, or several with slashes between them: letters, digits, `_`, `-` and `.`, not first.
#[derive(Debug)]
struct PathName(String);

impl FromStr for PathName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_segment =
            |segment: &str| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(is_plain);
        if text.len() <= MAX_NAME && text.split('/').all(is_segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err("it must have at most 100 letters, digits, `.`, `_`, `-`, and `/` between segments")
        }
    }
}

impl Reader {
    /// How the platform signs: `SIGNER=local` by the file of `BACKUP_SIGNING_KEY`, `SIGNER=transit` by the key at `VAULT_ADDR`. `Some(None)`
    /// where neither is configured.
    pub fn signing(&mut self) -> Option<Option<SigningSettings>> {
        let trusted_keys = self.trusted_backup_keys();
        let signer = match self.defaulted::<String>(&SIGNER)?.as_str() {
            "local" => self.local_signer(),
            "transit" => self
                .transit()
                .map(|transit| Some(SignerLocation::Transit(Box::new(transit)))),
            _ => self.refuse(&SIGNER, "it must be local or transit"),
        };
        let (signer, trusted_keys) = (signer?, trusted_keys?);
        Some(signer.map(|signer| SigningSettings { signer, trusted_keys }))
    }

    fn local_signer(&mut self) -> Option<Option<SignerLocation>> {
        let address = self.optional::<String>(&VAULT_ADDR)?;
        if address.is_some() {
            // A deployment that forgets SIGNER would sign with a key on its disk.
            return self.refuse(
                &VAULT_ADDR,
                "SIGNER is local: set SIGNER=transit to sign with the key there, or remove this variable",
            );
        }
        let key = self.optional::<PathBuf>(&BACKUP_SIGNING_KEY)?;
        Some(key.map(SignerLocation::File))
    }

    fn transit(&mut self) -> Option<TransitSettings> {
        let address = self.vault_address();
        let ca_file = self.optional::<PathBuf>(&VAULT_CACERT);
        let namespace = self.optional::<String>(&VAULT_NAMESPACE);
        let mount = self.path_name(&VAULT_TRANSIT_MOUNT);
        let key = self.path_name(&VAULT_TRANSIT_KEY);
        let login = self.vault_login();
        let key = match key? {
            key if key.contains('/') => return self.refuse(&VAULT_TRANSIT_KEY, "the name of a key has no slash"),
            key => key,
        };
        Some(TransitSettings {
            address: address?,
            ca_file: ca_file?,
            namespace: namespace?,
            mount: mount?,
            key,
            login: login?,
        })
    }

    fn vault_address(&mut self) -> Option<Url> {
        let url = self.url(&VAULT_ADDR, &["https", "http"])?;
        if url.scheme() == "http" && !is_loopback(&url) {
            return self.refuse(
                &VAULT_ADDR,
                "tokens would be sent without encryption: write https://, or http:// to this machine",
            );
        }
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if is_bare {
            Some(url)
        } else {
            self.refuse(&VAULT_ADDR, "set https://host:port only")
        }
    }

    fn vault_login(&mut self) -> Option<TransitLogin> {
        let method = self.defaulted::<String>(&VAULT_AUTH)?;
        let mount = match self.optional::<PathName>(&VAULT_AUTH_MOUNT)? {
            Some(PathName(mount)) => mount,
            None => method.clone(),
        };
        let method = match method.as_str() {
            "approle" => {
                let role_id = self.required::<String>(&VAULT_ROLE_ID);
                let secret_id_file = self.required::<PathBuf>(&VAULT_SECRET_ID_FILE);
                LoginMethod::AppRole {
                    role_id: role_id?,
                    secret_id_file: secret_id_file?,
                }
            }
            "kubernetes" => {
                let role = self.required::<String>(&VAULT_ROLE);
                let token_file = self.defaulted::<PathBuf>(&VAULT_TOKEN_FILE);
                LoginMethod::Kubernetes {
                    role: role?,
                    token_file: token_file?,
                }
            }
            _ => return self.refuse(&VAULT_AUTH, "it must be approle or kubernetes"),
        };
        Some(TransitLogin { mount, method })
    }

    /// How the kill switch revokes the permission to sign: from `VAULT_SIGNING_POLICIES`, with the server and the key of `signing`, which
    /// [`Reader::signing`] has read; `None` where it found an error. `Some(None)` where nothing is revoked.
    pub fn signing_revocation(
        &mut self,
        signing: Option<&Option<SigningSettings>>,
    ) -> Option<Option<SigningRevocation>> {
        if self.optional::<String>(&VAULT_SIGNING_POLICIES)?.is_none() {
            return Some(None);
        }
        let policies = self.list::<PolicyName>(&VAULT_SIGNING_POLICIES);
        let signer = signing?.as_ref().map(|settings| &settings.signer);
        let Some(SignerLocation::Transit(transit)) = signer else {
            return self.refuse(
                &VAULT_SIGNING_POLICIES,
                "SIGNER is local: there is no permission to revoke; set SIGNER=transit, or remove this variable",
            );
        };
        let method = match &transit.login.method {
            LoginMethod::AppRole { .. } => {
                let role_id = self.required::<String>(&VAULT_REVOKER_ROLE_ID);
                let secret_id_file = self.required::<PathBuf>(&VAULT_REVOKER_SECRET_ID_FILE);
                LoginMethod::AppRole {
                    role_id: role_id?,
                    secret_id_file: secret_id_file?,
                }
            }
            LoginMethod::Kubernetes { token_file, .. } => LoginMethod::Kubernetes {
                role: self.required::<String>(&VAULT_REVOKER_ROLE)?,
                token_file: token_file.clone(),
            },
        };
        let mut transit = (**transit).clone();
        transit.login.method = method;
        Some(Some(SigningRevocation {
            transit,
            policies: policies?.into_iter().map(|policy| policy.0).collect(),
        }))
    }

    fn path_name(&mut self, variable: &Variable) -> Option<String> {
        self.defaulted::<PathName>(variable).map(|name| name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Source;
    use crate::variables::Service;

    fn load(pairs: &[(&str, &str)]) -> Result<Option<SigningSettings>, String> {
        let source = Source::pairs(pairs.iter().copied());
        Reader::load(Service::Worker, source, Reader::signing).map_err(|error| error.to_string())
    }

    const TRANSIT: [(&str, &str); 4] = [
        ("SIGNER", "transit"),
        ("VAULT_ADDR", "https://vault.example.org:8200"),
        ("VAULT_ROLE_ID", "a39396b5-fad6-b9bd-e11c-818b922b0cde"),
        ("VAULT_SECRET_ID_FILE", "/run/secrets/vault-secret-id"),
    ];

    /// The settings of Transit with these variables in place of others.
    fn transit(changes: &[(&str, &str)]) -> Result<Option<SigningSettings>, String> {
        let kept = TRANSIT
            .iter()
            .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let pairs: Vec<(&str, &str)> = kept.chain(changes).copied().collect();
        load(&pairs)
    }

    #[test]
    fn local_key_is_a_file_and_optional() {
        assert_eq!(load(&[]).unwrap(), None);
        let settings = load(&[("BACKUP_SIGNING_KEY", "/etc/arrakis/key.pem")])
            .unwrap()
            .unwrap();
        assert_eq!(settings.signer, SignerLocation::File("/etc/arrakis/key.pem".into()));
    }

    #[test]
    fn transit_has_defaults_for_mounts_and_key() {
        let settings = transit(&[]).unwrap().unwrap();
        let SignerLocation::Transit(transit) = settings.signer else {
            panic!("{settings:?}");
        };
        assert_eq!((transit.mount.as_str(), transit.key.as_str()), ("transit", "arrakis"));
        assert_eq!(transit.login.mount, "approle");
    }

    #[test]
    fn service_account_of_kubernetes_has_the_usual_token_file() {
        let settings = transit(&[("VAULT_AUTH", "kubernetes"), ("VAULT_ROLE", "arrakis")]);
        let SignerLocation::Transit(transit) = settings.unwrap().unwrap().signer else {
            panic!("it is Transit");
        };
        assert_eq!(
            transit.login.method,
            LoginMethod::Kubernetes {
                role: "arrakis".to_owned(),
                token_file: "/var/run/secrets/kubernetes.io/serviceaccount/token".into(),
            }
        );
    }

    /// The settings of the kill switch with these variables beside those of Transit.
    fn revocation(base: &[(&str, &str)], changes: &[(&str, &str)]) -> Result<Option<SigningRevocation>, String> {
        let source = Source::pairs(base.iter().chain(changes).copied());
        let read = |reader: &mut Reader| {
            let signing = reader.signing();
            reader.signing_revocation(signing.as_ref())
        };
        Reader::load(Service::Worker, source, read).map_err(|error| error.to_string())
    }

    #[test]
    fn kill_switch_revokes_by_a_role_of_its_own() {
        assert_eq!(revocation(&TRANSIT, &[]).unwrap(), None);
        let policies = ("VAULT_SIGNING_POLICIES", "arrakis-worker, arrakis-api");
        let role = ("VAULT_REVOKER_ROLE_ID", "b7d1c1a3-5d2e-0c7f-6f63-0c6b1a2f9a11");
        let secret_id = ("VAULT_REVOKER_SECRET_ID_FILE", "/run/secrets/revoker");
        let read = revocation(&TRANSIT, &[policies, role, secret_id]).unwrap().unwrap();
        assert_eq!(read.policies, ["arrakis-worker", "arrakis-api"]);
        assert_eq!(
            read.transit.login.method,
            LoginMethod::AppRole {
                role_id: role.1.to_owned(),
                secret_id_file: "/run/secrets/revoker".into(),
            }
        );
        let error = revocation(&TRANSIT, &[policies]).unwrap_err();
        assert!(error.contains("VAULT_REVOKER_ROLE_ID"), "{error}");
        let error = revocation(&[], &[policies]).unwrap_err();
        assert!(error.contains("SIGNER is local"), "{error}");
        for name in ["default", "root", "a/b", "../sys"] {
            let error = revocation(&TRANSIT, &[("VAULT_SIGNING_POLICIES", name), role, secret_id]).unwrap_err();
            assert!(error.contains("VAULT_SIGNING_POLICIES"), "{name}: {error}");
        }
    }

    #[test]
    fn invalid_setting_is_named() {
        for (changes, name, reason) in [
            (vec![("SIGNER", "vault")], "SIGNER=vault", "local or transit"),
            (vec![("SIGNER", "local")], "VAULT_ADDR", "SIGNER is local"),
            (vec![("VAULT_ADDR", "")], "VAULT_ADDR is not set", "needed"),
            (
                vec![("VAULT_ADDR", "http://vault:8200")],
                "VAULT_ADDR",
                "without encryption",
            ),
            (
                vec![("VAULT_ADDR", "https://vault:8200/v1")],
                "VAULT_ADDR",
                "host:port only",
            ),
            (vec![("VAULT_ROLE_ID", "")], "VAULT_ROLE_ID is not set", "needed"),
            (vec![("VAULT_AUTH", "token")], "VAULT_AUTH", "approle or kubernetes"),
            (vec![("VAULT_AUTH", "kubernetes")], "VAULT_ROLE is not set", "needed"),
            (vec![("VAULT_TRANSIT_KEY", "../sys")], "VAULT_TRANSIT_KEY", "letters"),
            (vec![("VAULT_TRANSIT_KEY", "a/b")], "VAULT_TRANSIT_KEY", "no slash"),
        ] {
            let error = transit(&changes).unwrap_err();
            assert!(error.contains(name) && error.contains(reason), "{changes:?}: {error}");
        }
        assert!(transit(&[("VAULT_ADDR", "http://127.0.0.1:8200")]).is_ok());
    }
}
