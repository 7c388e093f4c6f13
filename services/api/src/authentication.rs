//! API keys: `Authorization: Bearer arrakis_…`. [`authenticate`] is the layer of the admin routes; a handler names its scope by the
//! extractor [`Allowed`].
//!
//! A missing or invalid key is 401, a valid one without the scope is 403. A key is looked up at each request, so that a revocation applies at
//! once; a streamed answer looks it up again while it lasts (`key_watch`).

use std::marker::PhantomData;
use std::sync::Arc;

use arrakis_db::{ApiKey, ApiKeyScope, CommunityId, UserId};
use arrakis_security::ApiKeySecret;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use time::OffsetDateTime;

use crate::envelope::add_rate_limit;
use crate::limits;
use crate::problem::{Problem, ProblemKind};
use crate::services::{ApiState, Services};

/// What a caller sees of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The state that counts in the caller's community: Discord account, primary wallet, whether the user is suspended.
    Community,
    /// Everything that the registry has.
    Platform,
}

/// The key that a request has presented, valid or not: an extension of its response.
#[derive(Debug, Clone)]
pub(crate) struct PresentedKey(pub(crate) Arc<ApiKey>);

/// The caller of an admin route.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    key: Arc<ApiKey>,
}

impl Caller {
    /// The caller's name in audit entries: `api-key:` and the id of the key.
    pub(crate) fn name(&self) -> String {
        format!("api-key:{}", self.key.id)
    }

    /// The one community whose members the caller may see; `None` for all.
    pub(crate) fn community(&self) -> Option<CommunityId> {
        self.key.community
    }

    /// The Discord user to whom the key belongs.
    pub(crate) fn user(&self) -> Option<UserId> {
        self.key.user
    }

    /// Which fields of a user the caller may see: `docs/api.md`, "What a key of one community may read".
    pub(crate) fn view(&self) -> View {
        match self.key.community {
            Some(_) => View::Community,
            None => View::Platform,
        }
    }

    /// The API key of the request.
    pub(crate) fn key(&self) -> &Arc<ApiKey> {
        &self.key
    }

    /// Refuses a parameter that needs a key for all communities, because it selects by data that a key of one community may not see.
    ///
    /// # Errors
    /// [`ProblemKind::AllCommunitiesRequired`] for a key of one community.
    pub(crate) fn require_all_communities(&self, parameter: &str) -> Result<(), Problem> {
        if self.key.community.is_none() {
            return Ok(());
        }
        let detail = format!(
            "{parameter}: this parameter needs a key for all communities: arrakis-worker api-key create --name NAME --by NAME --all-communities --scope SCOPE"
        );
        Err(Problem::new(ProblemKind::AllCommunitiesRequired, detail))
    }

    fn require(&self, scope: ApiKeyScope) -> Result<(), Problem> {
        let has_scope = self.key.scopes.contains(&scope);
        // Such keys are not created; the database does not refuse them.
        let spans = !scope.spans_communities() || self.key.community.is_none();
        if has_scope && spans {
            return Ok(());
        }
        let detail = if spans {
            let owner = if self.key.community.is_some() && !scope.spans_communities() {
                "--guild ID"
            } else {
                "--all-communities"
            };
            format!(
                "this route needs the scope {scope}; create a key that has it: arrakis-worker api-key create --name NAME --by NAME {owner} --scope {scope}"
            )
        } else {
            format!(
                "the scope {scope} needs a key for all communities: arrakis-worker api-key create --name NAME --by NAME --all-communities --scope {scope}"
            )
        };
        Err(Problem::new(ProblemKind::MissingScope, detail).with_scope(scope))
    }
}

/// The layer of routes that need a key.
pub(crate) async fn authenticate(State(services): State<ApiState>, request: Request, next: Next) -> Response {
    let key = match find_key(&services, request.headers()).await {
        Ok(key) => Arc::new(key),
        Err(problem) => return with_challenge(problem.into_response()),
    };
    let mut response = match check_validity(&key) {
        Ok(()) => with_valid_key(&services, &key, request, next).await,
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(PresentedKey(key));
    with_challenge(response)
}

async fn with_valid_key(services: &Services, key: &Arc<ApiKey>, mut request: Request, next: Next) -> Response {
    if let Err(error) = services.admin.record_api_key_use(key, OffsetDateTime::now_utc()).await {
        tracing::warn!(%error, "the time of last use of an API key was not stored");
    }
    let caller = Caller { key: Arc::clone(key) };
    tracing::Span::current().record("api_key", caller.name());
    let bucket = if key.scopes.contains(&ApiKeyScope::Telegram) {
        services.tuning.per_service
    } else {
        services.tuning.per_key
    };
    let (result, refused) = limits::take(services, "key", key.id, bucket).await;
    let mut response = match refused {
        Ok(()) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    add_rate_limit(response.headers_mut(), "key", bucket, result);
    response
}

/// The key of a request, valid or not.
async fn find_key(services: &Services, headers: &HeaderMap) -> Result<ApiKey, Problem> {
    let secret = bearer(headers)?;
    let secret = ApiKeySecret::parse(secret).map_err(|error| invalid_key(&error.to_string()))?;
    let found = services.admin.api_key_by_hash(secret.hash().as_bytes()).await?;
    found.ok_or_else(|| invalid_key("there is no such API key"))
}

fn check_validity(key: &ApiKey) -> Result<(), Problem> {
    if key.revoked_at.is_some() {
        return Err(invalid_key("the API key is revoked"));
    }
    if !key.is_valid(OffsetDateTime::now_utc()) {
        return Err(invalid_key(
            "the API key has expired; create another one: arrakis-worker api-key create, whose options --help shows",
        ));
    }
    Ok(())
}

fn invalid_key(detail: &str) -> Problem {
    Problem::new(ProblemKind::InvalidKey, detail)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let required = || {
        Problem::new(
            ProblemKind::KeyRequired,
            "send an API key: Authorization: Bearer arrakis_…",
        )
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(required());
    };
    let (scheme, secret) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or_else(required)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(secret.trim())
    } else {
        Err(required())
    }
}

/// Adds `WWW-Authenticate` ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3)) to a refusal.
fn with_challenge(mut response: Response) -> Response {
    let problem = response.extensions().get::<Problem>();
    let challenge = match problem.map(|problem| problem.kind) {
        Some(ProblemKind::KeyRequired) => "Bearer realm=\"arrakis\"",
        Some(ProblemKind::InvalidKey) => "Bearer realm=\"arrakis\", error=\"invalid_token\"",
        Some(ProblemKind::MissingScope | ProblemKind::AllCommunitiesRequired) => {
            "Bearer realm=\"arrakis\", error=\"insufficient_scope\""
        }
        _ => return response,
    };
    let value = HeaderValue::from_static(challenge);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    response
}

/// A scope as a type: the parameter of [`Allowed`], so that a handler's signature states the scope that it requires.
pub(crate) trait Scope {
    /// The scope.
    const SCOPE: ApiKeyScope;
}

/// The scope `users:read`, [`ApiKeyScope::UsersRead`].
#[derive(Debug)]
pub(crate) struct UsersRead;
/// The scope `users:write`, [`ApiKeyScope::UsersWrite`].
#[derive(Debug)]
pub(crate) struct UsersWrite;
/// The scope `users:export`, [`ApiKeyScope::UsersExport`].
#[derive(Debug)]
pub(crate) struct UsersExport;
/// The scope `telegram`, [`ApiKeyScope::Telegram`].
#[derive(Debug)]
pub(crate) struct Telegram;
/// The scope `servers:read`, [`ApiKeyScope::ServersRead`].
#[derive(Debug)]
pub(crate) struct ServersRead;
/// The scope `servers:write`, [`ApiKeyScope::ServersWrite`].
#[derive(Debug)]
pub(crate) struct ServersWrite;
/// The scope `plans:write`, [`ApiKeyScope::PlansWrite`].
#[derive(Debug)]
pub(crate) struct PlansWrite;
/// The scope `emergency`, [`ApiKeyScope::Emergency`].
#[derive(Debug)]
pub(crate) struct Emergency;
/// The scope `approvals:write`, [`ApiKeyScope::ApprovalsWrite`].
#[derive(Debug)]
pub(crate) struct ApprovalsWrite;

impl Scope for UsersRead {
    const SCOPE: ApiKeyScope = ApiKeyScope::UsersRead;
}
impl Scope for UsersWrite {
    const SCOPE: ApiKeyScope = ApiKeyScope::UsersWrite;
}
impl Scope for UsersExport {
    const SCOPE: ApiKeyScope = ApiKeyScope::UsersExport;
}
impl Scope for Telegram {
    const SCOPE: ApiKeyScope = ApiKeyScope::Telegram;
}
impl Scope for ServersRead {
    const SCOPE: ApiKeyScope = ApiKeyScope::ServersRead;
}
impl Scope for ServersWrite {
    const SCOPE: ApiKeyScope = ApiKeyScope::ServersWrite;
}
impl Scope for PlansWrite {
    const SCOPE: ApiKeyScope = ApiKeyScope::PlansWrite;
}
impl Scope for Emergency {
    const SCOPE: ApiKeyScope = ApiKeyScope::Emergency;
}
impl Scope for ApprovalsWrite {
    const SCOPE: ApiKeyScope = ApiKeyScope::ApprovalsWrite;
}

/// Extracts the caller of an admin route, and refuses a key without the scope `S` (403). Must be the first argument of a handler, so that no other part
/// of the request is read before.
#[derive(Debug)]
pub(crate) struct Allowed<S>(pub(crate) Caller, pub(crate) PhantomData<S>);

impl<S: Scope> FromRequestParts<ApiState> for Allowed<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>();
        let caller =
            caller.ok_or_else(|| Problem::internal("an admin route is not behind the layer `authenticate`"))?;
        caller.require(S::SCOPE)?;
        Ok(Self(caller.clone(), PhantomData))
    }
}
