-- The channel in which members who join without a verified wallet are welcomed; null: none are.
alter table communities add column welcome_channel_id bigint check (welcome_channel_id > 0);

-- The account that holds a wallet sees the session that asks for it, by its own key: Discord may not deliver the message with the
-- buttons, and `/verify status` then shows them. Reading only.
create policy holder_is_presented on verification_sessions for select
    using ((select nullif(current_setting('app.verification_key', true), ''))
           = 'holder:' || holder_network || ':' || holder_id);
create index verification_sessions_by_holder on verification_sessions (holder_network, holder_id)
    where state = 'awaiting_consent';
