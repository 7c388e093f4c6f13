-- No statement of the application deletes a member or a server's route; the admin's tools do.
revoke delete on profiles, guild_routes from arrakis_app;
