"""The test bot in py-cord. What it does and prints is described in tests/it/libraries/mod.rs."""

import asyncio
import io
import os
import sys

import discord

# This constant alone points it at the emulator: the gateway's address comes from GET /gateway.
discord.http.Route.API_BASE_URL = os.environ["EMULATOR_API"] + "/v{API_VERSION}"


def saw(text: str) -> None:
    print(text, flush=True)


class More(discord.ui.View):
    @discord.ui.button(label="More", style=discord.ButtonStyle.primary, custom_id="more")
    async def more(self, button: discord.ui.Button, interaction: discord.Interaction) -> None:
        saw(f"button {button.custom_id} on {interaction.message.embeds[0].title}")
        await interaction.response.edit_message(content="harvested", view=None)
        file = discord.File(io.BytesIO(b"sand"), filename="sand.txt")
        message = await interaction.channel.send("wurm", file=file)
        message = await message.edit(content="worm")
        await message.add_reaction("🌊")
        saw(f"message {message.content} with {message.attachments[0].filename}")
        role = discord.utils.get(interaction.guild.roles, name="Fremen")
        await interaction.user.add_roles(role, reason="rode a worm")


class Bot(discord.Bot):
    async def on_ready(self) -> None:
        saw(f"ready as {self.user.name}")
        guild = self.guilds[0]
        channels = ",".join(sorted(channel.name for channel in guild.channels))
        roles = ",".join(sorted(role.name for role in guild.roles))
        saw(f"server {guild.name} with channels {channels} and roles {roles}")
        members = ",".join(sorted(member.name for member in guild.members))
        saw(f"members {members}")
        await self.sync_commands()
        await self.change_presence(status=discord.Status.dnd)
        saw("command registered")

    async def on_member_update(self, before: discord.Member, after: discord.Member) -> None:
        if len(before.roles) < len(after.roles):
            saw(f"{after.name} has a role more")

    async def on_member_join(self, member: discord.Member) -> None:
        saw(f"{member.name} joined")

    async def on_resumed(self) -> None:
        saw("resumed")


async def main() -> None:
    intents = discord.Intents(guilds=True, members=True, messages=True, reactions=True, message_content=True)
    watching = discord.Activity(type=discord.ActivityType.watching, name="the sands")
    # It would otherwise also register commands by itself as soon as it connects.
    bot = Bot(intents=intents, activity=watching, auto_sync_commands=False)

    @bot.slash_command(description="Harvest spice")
    @discord.option("amount", int, description="How much")
    async def spice(context: discord.ApplicationContext, amount: int) -> None:
        saw(f"command spice {amount} of {context.user.display_name}")
        await context.defer()
        await context.interaction.edit_original_response(content="harvesting")
        embed = discord.Embed(title="Harvest", colour=0xC2B280).add_field(name="Spice", value="3")
        await context.followup.send(embed=embed, view=More())
        saw("command answered")

    running = asyncio.create_task(bot.start(os.environ["EMULATOR_TOKEN"]))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await bot.close()
    # It goes on to reconnect after it was closed.
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


asyncio.run(main())
