//! An AMQP channel that wakes lapin's I/O loop after each call.

use std::ops::Deref;
use std::sync::Arc;

use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ReplyCode, ShortString};
use lapin::{BasicProperties, Consumer, ExchangeKind, PublisherConfirm, Queue, Result};

use crate::single_thread::LoopWaker;

/// An AMQP channel. Each method below sends a frame as lapin's method of the same name does, and wakes lapin's I/O loop. Methods
/// that send nothing are lapin's, by `Deref`.
#[derive(Debug, Clone)]
pub struct Channel {
    lapin: lapin::Channel,
    loop_waker: Arc<LoopWaker>,
}

impl Deref for Channel {
    type Target = lapin::Channel;

    fn deref(&self) -> &lapin::Channel {
        &self.lapin
    }
}

#[expect(missing_docs, reason = "lapin documents them")]
impl Channel {
    pub(crate) fn new(lapin: lapin::Channel, loop_waker: Arc<LoopWaker>) -> Self {
        Self { lapin, loop_waker }
    }

    pub async fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<PublisherConfirm> {
        let call = self
            .lapin
            .basic_publish(exchange, routing_key, options, body, properties);
        self.loop_waker.wake_after(call).await
    }

    pub async fn confirm_select(&self, options: ConfirmSelectOptions) -> Result<()> {
        self.loop_waker.wake_after(self.lapin.confirm_select(options)).await
    }

    pub async fn basic_qos(&self, prefetch: u16, options: BasicQosOptions) -> Result<()> {
        self.loop_waker
            .wake_after(self.lapin.basic_qos(prefetch, options))
            .await
    }

    pub async fn basic_consume(
        &self,
        queue: ShortString,
        tag: ShortString,
        options: BasicConsumeOptions,
        arguments: FieldTable,
    ) -> Result<Consumer> {
        self.loop_waker
            .wake_after(self.lapin.basic_consume(queue, tag, options, arguments))
            .await
    }

    pub async fn basic_cancel(&self, tag: ShortString, options: BasicCancelOptions) -> Result<()> {
        self.loop_waker.wake_after(self.lapin.basic_cancel(tag, options)).await
    }

    pub async fn basic_get(
        &self,
        queue: ShortString,
        options: BasicGetOptions,
    ) -> Result<Option<lapin::message::BasicGetMessage>> {
        self.loop_waker.wake_after(self.lapin.basic_get(queue, options)).await
    }

    pub async fn queue_declare(
        &self,
        queue: ShortString,
        options: QueueDeclareOptions,
        arguments: FieldTable,
    ) -> Result<Queue> {
        self.loop_waker
            .wake_after(self.lapin.queue_declare(queue, options, arguments))
            .await
    }

    pub async fn queue_delete(&self, queue: ShortString, options: QueueDeleteOptions) -> Result<u32> {
        self.loop_waker
            .wake_after(self.lapin.queue_delete(queue, options))
            .await
    }

    pub async fn queue_bind(
        &self,
        queue: ShortString,
        exchange: ShortString,
        key: ShortString,
        options: QueueBindOptions,
        arguments: FieldTable,
    ) -> Result<()> {
        let call = self.lapin.queue_bind(queue, exchange, key, options, arguments);
        self.loop_waker.wake_after(call).await
    }

    pub async fn exchange_declare(
        &self,
        exchange: ShortString,
        kind: ExchangeKind,
        options: ExchangeDeclareOptions,
        arguments: FieldTable,
    ) -> Result<()> {
        let call = self.lapin.exchange_declare(exchange, kind, options, arguments);
        self.loop_waker.wake_after(call).await
    }

    pub async fn close(&self, code: ReplyCode, text: ShortString) -> Result<()> {
        self.loop_waker.wake_after(self.lapin.close(code, text)).await
    }
}
