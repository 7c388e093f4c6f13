//! AMQP reply codes by which the broker refuses a method or closes a channel or connection.
//! <https://www.rabbitmq.com/amqp-0-9-1-reference#constants>

/// The login or the permissions do not allow the operation.
pub(crate) const ACCESS_REFUSED: u16 = 403;
/// The exchange or queue does not exist.
pub(crate) const NOT_FOUND: u16 = 404;
/// The queue is exclusive to another connection.
pub(crate) const RESOURCE_LOCKED: u16 = 405;
/// The virtual host does not exist, or the login may not use it.
pub(crate) const NOT_ALLOWED: u16 = 530;
/// Codes that refuse one message and not the publisher: content too large, precondition failed (larger than
/// `max_message_size`, for one), frame error, syntax error.
pub(crate) const OF_ONE_MESSAGE: [u16; 4] = [311, 406, 501, 502];

/// The code that the broker sent; `None` for an error that did not come from the broker.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
        _ => None,
    }
}
