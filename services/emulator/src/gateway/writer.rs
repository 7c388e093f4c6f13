//! The writing half of a connection: control frames first, then the session's events in order.

use std::sync::Arc;

use futures_util::{SinkExt as _, stream::SplitSink};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode as WireCode},
};

use super::{
    CloseCode,
    compression::Encoder,
    listener::Socket,
    session::{Frame, NextFrames, Session},
};
use crate::{AppState, traffic::GatewayFrame};

/// Frames that are written before the socket is flushed and control frames are sent.
const BATCH: usize = 64;
/// Servers announced while the world's lock is held once.
const ANNOUNCED_AT_ONCE: usize = 16;

/// Requests of the reading half.
#[derive(Debug)]
pub(super) enum WriterRequest {
    /// Send this payload; the opcode is for the ledger.
    Payload(u8, String),
    /// Send this text without compression and without a record, for faults.
    Raw(String),
    /// Send the session's events after this number.
    Attach(Arc<Session>, u64),
    /// Compress large payloads one by one, unless the transport compresses all of them.
    CompressPackets,
    /// Send no more events.
    Detach,
    /// Close with code and reason, then end.
    Close(u16, String),
}

type WireError = tokio_tungstenite::tungstenite::Error;

pub(super) struct Writer {
    pub(super) app: AppState,
    pub(super) connection: u64,
    pub(super) socket: SplitSink<Socket, Message>,
    pub(super) encoder: Encoder,
    pub(super) requests: UnboundedReceiver<WriterRequest>,
    pub(super) attached: Option<(Arc<Session>, u64)>,
}

impl Writer {
    /// Writes until it is closed, or until the socket fails.
    pub(super) async fn run(mut self) {
        loop {
            let request = tokio::select! {
                biased;
                request = self.requests.recv() => request,
                () = ready(self.attached.as_ref()) => {
                    match self.pump().await {
                        Ok(()) => continue,
                        Err(_) => return,
                    }
                }
            };
            let Some(request) = request else { return };
            let last = matches!(request, WriterRequest::Close(..));
            if self.handle(request).await.is_err() || last {
                return;
            }
        }
    }

    async fn handle(&mut self, request: WriterRequest) -> Result<(), WireError> {
        match request {
            WriterRequest::Payload(op, payload) => {
                self.app.traffic.gateway(|| GatewayFrame {
                    op: Some(op),
                    detail: Some(payload.clone()),
                    ..self.frame("out")
                });
                let message = self.encoder.frame(&payload)?;
                self.socket.send(message).await
            }
            WriterRequest::Raw(text) => self.socket.send(Message::text(text)).await,
            WriterRequest::Attach(session, sent) => {
                self.attached = Some((session, sent));
                Ok(())
            }
            WriterRequest::CompressPackets => {
                self.encoder.compress_packets();
                Ok(())
            }
            WriterRequest::Detach => {
                self.attached = None;
                Ok(())
            }
            WriterRequest::Close(code, reason) => self.close(code, reason).await,
        }
    }

    async fn close(&mut self, code: u16, reason: String) -> Result<(), WireError> {
        self.app.traffic.count(|stats| stats.closed(Some(code)));
        self.app.traffic.gateway(|| GatewayFrame {
            detail: Some(format!("{code} {reason}")),
            ..self.frame("close")
        });
        let frame = CloseFrame {
            code: WireCode::from(code),
            reason: reason.into(),
        };
        self.socket.send(Message::Close(Some(frame))).await
    }

    /// Sends one batch of the session's frames.
    async fn pump(&mut self) -> Result<(), WireError> {
        let Some((session, sent)) = self.attached.clone() else {
            return Ok(());
        };
        if !session.held_by(self.connection) {
            // Another connection resumed the session: pass the notification on.
            session.wake.notify_one();
            self.attached = None;
            return Ok(());
        }
        match session.next(sent, BATCH) {
            NextFrames::IdleConnections => Ok(()),
            NextFrames::Pending => {
                self.app.world.read(|state| session.announce(state, ANNOUNCED_AT_ONCE));
                Ok(())
            }
            NextFrames::Lost => {
                let reason = "The client reads too slowly; queued events were dropped.".to_owned();
                self.close(CloseCode::UnknownError.number(), reason).await?;
                Err(WireError::ConnectionClosed)
            }
            NextFrames::Frames(frames) => {
                for frame in &frames {
                    self.dispatch(&session, frame).await?;
                }
                if let (Some((_, sent)), Some(last)) = (&mut self.attached, frames.last()) {
                    *sent = last.seq;
                }
                self.socket.flush().await?;
                let marked = frames.iter().filter_map(|frame| Some((frame.mark?, frame.seq)));
                self.app.load.sent(&session.id, marked);
                Ok(())
            }
        }
    }

    async fn dispatch(&mut self, session: &Session, frame: &Frame) -> Result<(), WireError> {
        let payload = frame.payload();
        let copies = 1 + usize::from(self.app.faults.duplicates(frame.name, session.shard[0]));
        for _ in 0..copies {
            let message = self.encoder.frame(&payload)?;
            self.socket.feed(message).await?;
            self.app.traffic.count(|stats| stats.sent(frame.name));
            self.app.traffic.gateway(|| GatewayFrame {
                op: Some(0),
                event: Some(frame.name),
                seq: Some(frame.seq),
                id: frame.subject,
                detail: Some(frame.body.to_string()),
                ..self.frame("out")
            });
        }
        Ok(())
    }

    fn frame(&self, direction: &'static str) -> GatewayFrame {
        GatewayFrame {
            at_ms: self.app.clock.now_ms(),
            direction,
            session: self.attached.as_ref().map(|(session, _)| Arc::clone(&session.id)),
            shard: self.attached.as_ref().map(|(session, _)| session.shard),
            ..GatewayFrame::default()
        }
    }
}

/// Waits until the session has frames to send or has changed.
async fn ready(attached: Option<&(Arc<Session>, u64)>) {
    let Some((session, sent)) = attached else {
        return std::future::pending().await;
    };
    if matches!(session.next(*sent, 1), NextFrames::IdleConnections) {
        session.wake.notified().await;
    }
}
