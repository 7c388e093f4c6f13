//! The wallet page and its requests. What they mean is in `arrakis-verification`; here is HTTP only.
//!
//! The token in the path is a secret: logs and metrics have the template of the route, never the path. A refusal of the page is not a
//! problem document: the page shows its text to the member. A rate limit, a body that cannot be read and the like are problems.

mod message;
mod move_wallet;
mod page;
mod refusal;
mod session;
mod signature;

pub(crate) use self::message::{__path_message, message};
pub(crate) use self::move_wallet::{__path_move_wallet, move_wallet};
pub(crate) use self::page::{__path_asset, __path_page, asset, page};
pub(crate) use self::refusal::RefusalBody;
pub(crate) use self::session::{__path_session, session};
pub(crate) use self::signature::{__path_signature, signature};
