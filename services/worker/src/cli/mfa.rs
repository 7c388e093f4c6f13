//! `arrakis-worker mfa`: the second factor of an operator, its reset, and the keys that encrypt secrets.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use arrakis_config::{Reader, Secret, variables};
use arrakis_db::mfa::{MfaOutcome, confirm};
use arrakis_db::{Actor, Admin, Database, DatabaseOptions, NewAuditEntry, UserId};
use arrakis_security::mfa::{BackupCode, SecretCipher, Totp, TypedCode};
use clap::Subcommand;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::codes::read_code;
use super::database::{connect, database_url};
use super::output::{counted, print, report, time_text};
use super::with_config;
use crate::render::qr;

/// Attempts to type the first code.
const ATTEMPTS: u32 = 3;

/// The subcommands of `mfa`.
#[derive(Debug, Subcommand)]
pub(super) enum MfaTask {
    /// Sets up a second factor of a Discord user: prints a QR code, and reads the first code from standard input
    ///
    /// For operators, who may have no server in which to use /mfa. The person who runs it sees the secret: run it for yourself.
    Enrol {
        /// Id of the Discord user
        #[arg(value_name = "USER_ID")]
        user: UserId,
        /// Who you are, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Prints whether a Discord user has a second factor
    Status {
        /// Id of the Discord user
        #[arg(value_name = "USER_ID")]
        user: UserId,
    },
    /// Removes the second factor of a Discord user who has lost phone and backup codes, and ends a time in which no code is checked
    Reset {
        /// Id of the Discord user
        #[arg(value_name = "USER_ID")]
        user: UserId,
        /// Why, and how the person was recognised
        #[arg(long, value_name = "WHY")]
        reason: String,
        /// Who you are, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Prints a new key for `MFA_ENCRYPTION_KEY`
    NewKey {
        /// Its id: lower-case letters, digits and dashes, such as the year
        id: String,
    },
    /// Encrypts all secrets by the first key of `MFA_ENCRYPTION_KEY` (requires `DATABASE_ADMIN_URL`)
    RotateKey {
        /// Who you are, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

fn with_cipher(reader: &mut Reader) -> Option<(Secret, SecretCipher)> {
    let url = database_url(reader);
    let cipher = reader.required::<SecretCipher>(&variables::MFA_ENCRYPTION_KEY);
    Some((url?, cipher?))
}

fn with_admin(reader: &mut Reader) -> Option<(Secret, SecretCipher)> {
    let url = reader.secret_url(&variables::DATABASE_ADMIN_URL, &["postgres", "postgresql"]);
    let cipher = reader.required::<SecretCipher>(&variables::MFA_ENCRYPTION_KEY);
    Some((url?, cipher?))
}

impl MfaTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Enrol { user, by } => with_config(with_cipher, move |(url, cipher)| async move {
                enrol(&connect(&url).await?, &cipher, user, by).await
            }),
            Self::Status { user } => with_config(database_url, move |url| async move {
                status(&connect(&url).await?, user).await
            }),
            Self::Reset { user, reason, by } => with_config(database_url, move |url| async move {
                reset(&connect(&url).await?, user, &reason, by).await
            }),
            Self::NewKey { id } => match SecretCipher::generate_key(&id) {
                Ok(key) => match print(key) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => failed(&error),
                },
                Err(error) => failed(&error),
            },
            Self::RotateKey { by } => with_config(with_admin, move |(url, cipher)| async move {
                let options = DatabaseOptions {
                    application_name: "arrakis-worker mfa",
                    max_connections: 2,
                    ..DatabaseOptions::default()
                };
                rotate_key(&Admin::connect(&url, options).await?, &cipher, by).await
            }),
        }
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    report(format_args!("arrakis-worker: {error}"));
    ExitCode::FAILURE
}

fn entry<'a>(
    by: String,
    action: &'a str,
    subject: &'a str,
    reason: Option<&'a str>,
    detail: Value,
) -> NewAuditEntry<'a> {
    NewAuditEntry {
        actor: Actor::Operator(by),
        action,
        subject,
        reason,
        detail,
    }
}

async fn enrol(database: &Database, cipher: &SecretCipher, user: UserId, by: String) -> anyhow::Result<ExitCode> {
    let totp = Totp::generate();
    let sealed = cipher.seal(user.get(), totp.secret())?;
    let mut tx = database.global().await?;
    if !tx.mfa().begin(user, &sealed, OffsetDateTime::now_utc()).await? {
        bail!("the user {user} has a second factor; `arrakis-worker mfa reset` removes it");
    }
    let subject = user.to_string();
    tx.audit(&entry(by, "mfa.enrol_begin", &subject, None, json!({})))
        .await?;
    tx.commit().await?;
    if io::stdout().is_terminal() {
        print(qr::terminal(&totp.address(&subject))?)?;
    } else {
        report("Standard output is no terminal: there is no QR code.");
    }
    print(format_args!(
        "Without a camera, type this into the app: {}",
        totp.secret_text()
    ))?;
    for attempt in 1..=ATTEMPTS {
        let code = read_code("Enter the six digits that the app shows:")?;
        if !matches!(TypedCode::read(&code), Some(TypedCode::OneTime(_))) {
            report("This is no code of an app: it is not counted as a wrong one.");
            continue;
        }
        let codes = BackupCode::generate_all();
        match confirm_with(database, cipher, user, &code, &codes).await? {
            MfaOutcome::Accepted => {
                report(
                    "The second factor is set up. Keep these backup codes, which are not shown again; each works once:",
                );
                for code in &codes {
                    print(code.expose())?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            MfaOutcome::Wrong { .. } if attempt < ATTEMPTS => {
                report("The code is wrong; check that the clock of the phone is right.");
            }
            MfaOutcome::Wrong { .. } => break,
            MfaOutcome::Throttled { until } => {
                bail!("too many codes were wrong; none is checked until {}", time_text(until))
            }
            MfaOutcome::NotEnrolled | MfaOutcome::Replayed => {
                bail!("another enrolment of the user {user} was begun or confirmed meanwhile")
            }
        }
    }
    bail!("no code was right, so there is no second factor; run the command again for another QR code")
}

async fn confirm_with(
    database: &Database,
    cipher: &SecretCipher,
    user: UserId,
    code: &str,
    codes: &[BackupCode],
) -> anyhow::Result<MfaOutcome> {
    let mut tx = database.global().await?;
    let outcome = confirm(&mut tx, cipher, user, code, OffsetDateTime::now_utc()).await?;
    if outcome == MfaOutcome::Accepted {
        tx.mfa().replace_backup_codes(cipher, user, codes).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

async fn status(database: &Database, user: UserId) -> anyhow::Result<ExitCode> {
    let mut tx = database.global().await?;
    let status = tx.mfa().status(user).await?;
    tx.commit().await?;
    match status.and_then(|status| Some((status, status.confirmed_at?))) {
        Some((status, since)) => {
            let throttled = status
                .throttled_until
                .map(|until| format!(", no code is checked until {}", time_text(until)))
                .unwrap_or_default();
            print(format_args!(
                "{user}  since {}  {}{throttled}",
                time_text(since),
                counted(status.backup_codes, "backup code")
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            report(format_args!("the user {user} has no second factor"));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn reset(database: &Database, user: UserId, reason: &str, by: String) -> anyhow::Result<ExitCode> {
    let mut tx = database.global().await?;
    if !tx.mfa().remove(user).await? {
        bail!("the user {user} has no second factor");
    }
    let subject = user.to_string();
    tx.audit(&entry(by, "mfa.reset", &subject, Some(reason), json!({})))
        .await?;
    tx.commit().await?;
    report(format_args!(
        "the second factor of the user {user} is removed, with its count of wrong codes; /mfa enrol, or `arrakis-worker mfa enrol {user}`, \
         sets another one up"
    ));
    Ok(ExitCode::SUCCESS)
}

/// Safe to run twice: a secret that the first key encrypted is not read again.
async fn rotate_key(admin: &Admin, cipher: &SecretCipher, by: String) -> anyhow::Result<ExitCode> {
    let mut changed = 0_u32;
    loop {
        let secrets = admin.mfa_secrets_not_of(cipher.current_key_id()).await?;
        if secrets.is_empty() {
            break;
        }
        for (user, sealed) in secrets {
            let secret = cipher
                .open(user.get(), &sealed)
                .with_context(|| format!("the secret of the user {user}; encrypted again before it: {changed}"))?;
            let new = cipher.seal(user.get(), &secret)?;
            let mut tx = admin.database().global().await?;
            // One that changed meanwhile is read again.
            changed += u32::from(tx.mfa().reseal(user, &sealed, &new).await?);
            tx.commit().await?;
        }
    }
    let mut tx = admin.database().global().await?;
    let detail = json!({"secrets": changed});
    let key = cipher.current_key_id();
    tx.audit(&entry(by, "mfa.rotate_key", key, None, detail)).await?;
    tx.commit().await?;
    match changed {
        0 => report(format_args!(
            "every secret is encrypted by the key {key} already; the other keys can be removed"
        )),
        changed => report(format_args!(
            "{} encrypted again, by the key {key}; the other keys can be removed",
            counted(changed, "secret")
        )),
    }
    Ok(ExitCode::SUCCESS)
}
