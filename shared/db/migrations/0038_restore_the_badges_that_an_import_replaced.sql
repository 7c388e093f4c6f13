set local lock_timeout = '2s';

-- The rule badges in whose place an import put the member's own, as JSON of their rows: an undo writes them again. Imports by the previous
-- build have none.
alter table profile_import_members add column replaced_badges jsonb not null default '[]' check (jsonb_typeof(replaced_badges) = 'array');
