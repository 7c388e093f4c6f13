-- A session in which one account proves control of a wallet. A table of the platform: the wallet page has only a token and no
-- tenant, a Telegram account has none, and the wallet belongs to an identity of all communities. The community of a session is the one
-- whose command began it.
--
-- Row-level security shows only rows whose key the transaction has: the digest of the session's token (the page), the account (a new
-- session of it), or the session's id (a job, a button). So no query, however wrong, reads the sessions of others.
create table verification_sessions (
    session_id uuid primary key,
    -- SHA-256 of the token in the link. The token itself is stored nowhere.
    token_hash bytea not null unique check (length(token_hash) = 32),
    network text not null check (network in ('discord', 'telegram')),
    account_id bigint not null check (account_id > 0),
    account_name text not null check (length(account_name) between 1 and 200),
    -- No foreign key: its check is outside of row-level security and would reveal whether a community exists.
    community uuid,
    -- Discord's token of the interaction, valid for 15 minutes, with which the answer is edited. Deleted at the end of the session.
    interaction_token text check (length(interaction_token) between 1 and 1000),
    nonce text not null check (nonce ~ '^[0-9A-Za-z]{8,64}$'),
    chain_id bigint not null check (chain_id > 0),
    state text not null default 'open'
        check (state in ('open', 'signed', 'awaiting_consent', 'completed', 'refused', 'replaced')),
    -- Signatures that were presented.
    attempts integer not null default 0 check (attempts >= 0),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    -- The proof: which wallet signed, and how. Of the signature, only SHA-256.
    address text check (address ~ '^0x[0-9a-f]{40}$'),
    method text check (method in ('eip191', 'erc1271', 'erc6492')),
    signature_digest bytea check (length(signature_digest) = 32),
    signed_at timestamptz,
    -- The account that holds the wallet, and whose consent a move needs.
    holder_network text check (holder_network in ('discord', 'telegram')),
    holder_id bigint check (holder_id > 0),
    check (expires_at > created_at),
    check ((network = 'telegram') = (community is null)),
    check (interaction_token is null or network = 'discord'),
    check ((ended_at is not null) = (state in ('completed', 'refused', 'replaced'))),
    check (num_nulls(address, method, signature_digest, signed_at) in (0, 4)),
    check (num_nulls(holder_network, holder_id) in (0, 2)),
    check (state in ('open', 'replaced') or address is not null),
    check (state <> 'open' or address is null),
    check (state <> 'awaiting_consent' or holder_id is not null)
);
create unique index verification_sessions_one_of_an_account
    on verification_sessions (network, account_id) where state in ('open', 'signed', 'awaiting_consent');
create index verification_sessions_by_account on verification_sessions (network, account_id, created_at);
create index verification_sessions_by_end on verification_sessions (expires_at);

alter table verification_sessions enable row level security;
alter table verification_sessions force row level security;
create policy key_is_presented on verification_sessions for all
    using ((select nullif(current_setting('app.verification_key', true), '')) in (
        'token:' || encode(token_hash, 'hex'), 'session:' || session_id, 'account:' || network || ':' || account_id))
    with check ((select nullif(current_setting('app.verification_key', true), '')) in (
        'token:' || encode(token_hash, 'hex'), 'session:' || session_id, 'account:' || network || ':' || account_id));
-- For pruning, which has no key. A statement without a key deletes only these.
create policy ended_long_ago on verification_sessions for delete using (expires_at < now() - interval '1 day');
grant select, insert, update, delete on verification_sessions to arrakis_app;
