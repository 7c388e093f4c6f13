-- The constraints that 0011 added without a look at existing rows. Validation reads the whole table and blocks no reader and no writer.
set local lock_timeout = '2s';
alter table profiles
    validate constraint profiles_gateway_session_length,
    validate constraint profiles_gateway_sequence_positive,
    validate constraint profiles_gateway_position_complete;
