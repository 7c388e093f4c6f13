"""The test bot in hikari. What it does and prints is described in tests/it/libraries/mod.rs."""

import asyncio
import os
import sys

import hikari

# This option alone points it at the emulator: the gateway's address comes from GET /gateway/bot.
bot = hikari.GatewayBot(
    os.environ["EMULATOR_TOKEN"],
    rest_url=os.environ["EMULATOR_API"] + "/v10",
    intents=hikari.Intents.GUILDS
    | hikari.Intents.GUILD_MEMBERS
    | hikari.Intents.GUILD_MESSAGES
    | hikari.Intents.GUILD_MESSAGE_REACTIONS
    | hikari.Intents.MESSAGE_CONTENT,
    banner=None,
    logs="ERROR",
)


def saw(text: str) -> None:
    print(text, flush=True)


@bot.listen()
async def on_started(_: hikari.StartedEvent) -> None:
    while not bot.cache.get_guilds_view():
        await asyncio.sleep(0.01)
    saw(f"ready as {bot.get_me().username}")
    guild = next(iter(bot.cache.get_guilds_view().values()))
    channels = ",".join(sorted(channel.name for channel in guild.get_channels().values()))
    roles = ",".join(sorted(role.name for role in guild.get_roles().values()))
    saw(f"server {guild.name} with channels {channels} and roles {roles}")
    # hikari requests the members of each server by itself.
    while len(guild.get_members()) < guild.member_count:
        await asyncio.sleep(0.01)
    members = ",".join(sorted(member.username for member in guild.get_members().values()))
    saw(f"members {members}")
    application = await bot.rest.fetch_application()
    option = hikari.CommandOption(
        type=hikari.OptionType.INTEGER, name="amount", description="How much", is_required=True
    )
    await bot.rest.create_slash_command(application, "spice", "Harvest spice", options=[option])
    await bot.update_presence(status=hikari.Status.DO_NOT_DISTURB)
    saw("command registered")


@bot.listen()
async def on_interaction(event: hikari.InteractionCreateEvent) -> None:
    interaction = event.interaction
    if isinstance(interaction, hikari.CommandInteraction):
        saw(f"command {interaction.command_name} {interaction.options[0].value} of {interaction.member.display_name}")
        await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
        await interaction.edit_initial_response("harvesting")
        row = bot.rest.build_message_action_row()
        row.add_interactive_button(hikari.ButtonStyle.PRIMARY, "more", label="More")
        embed = hikari.Embed(title="Harvest", colour=0xC2B280).add_field("Spice", "3")
        await interaction.execute(embed=embed, component=row)
        saw("command answered")
    elif isinstance(interaction, hikari.ComponentInteraction):
        saw(f"button {interaction.custom_id} on {interaction.message.embeds[0].title}")
        await interaction.create_initial_response(
            hikari.ResponseType.MESSAGE_UPDATE, "harvested", components=[]
        )
        sand = hikari.Bytes(b"sand", "sand.txt")
        message = await bot.rest.create_message(interaction.channel_id, "wurm", attachment=sand)
        message = await message.edit("worm")
        await message.add_reaction("🌊")
        saw(f"message {message.content} with {message.attachments[0].filename}")
        roles = bot.cache.get_roles_view_for_guild(interaction.guild_id).values()
        role = next(role for role in roles if role.name == "Fremen")
        await interaction.member.add_role(role, reason="rode a worm")


@bot.listen()
async def on_member_update(event: hikari.MemberUpdateEvent) -> None:
    if event.old_member and len(event.old_member.role_ids) < len(event.member.role_ids):
        saw(f"{event.member.username} has a role more")


@bot.listen()
async def on_member_join(event: hikari.MemberCreateEvent) -> None:
    saw(f"{event.member.username} joined")


@bot.listen()
async def on_resumed(_: hikari.ShardResumedEvent) -> None:
    saw("resumed")


async def main() -> None:
    watching = hikari.Activity(name="the sands", type=hikari.ActivityType.WATCHING)
    await bot.start(activity=watching, status=hikari.Status.IDLE, check_for_updates=False)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await bot.close()


asyncio.run(main())
