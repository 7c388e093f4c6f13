-- Which event told of the latest coming or going: within one session of the gateway, sequence numbers say which of two came
-- first, where their times cannot. Null where it was not an event (a list of Discord's, a seed, a build from before).
set local lock_timeout = '2s';
alter table profiles
    add column told_session text check (length(told_session) between 1 and 200),
    add column told_seq bigint check (told_seq >= 0),
    add constraint profiles_told_whole check ((told_session is null) = (told_seq is null));
