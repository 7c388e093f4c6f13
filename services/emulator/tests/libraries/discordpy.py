"""The test bot in discord.py. What it does and prints is described in tests/it/libraries/mod.rs."""

import asyncio
import io
import os
import sys

import discord
import yarl

# These two constants point it at the emulator: discord.py does not request the gateway's address.
discord.http.Route.BASE = os.environ["EMULATOR_API"] + "/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["EMULATOR_GATEWAY"])


def saw(text: str) -> None:
    print(text, flush=True)


class More(discord.ui.View):
    @discord.ui.button(label="More", style=discord.ButtonStyle.primary, custom_id="more")
    async def more(self, interaction: discord.Interaction, button: discord.ui.Button) -> None:
        saw(f"button {button.custom_id} on {interaction.message.embeds[0].title}")
        await interaction.response.edit_message(content="harvested", view=None)
        file = discord.File(io.BytesIO(b"sand"), filename="sand.txt")
        message = await interaction.channel.send("wurm", file=file)
        message = await message.edit(content="worm")
        await message.add_reaction("🌊")
        saw(f"message {message.content} with {message.attachments[0].filename}")
        role = discord.utils.get(interaction.guild.roles, name="Fremen")
        await interaction.user.add_roles(role, reason="rode a worm")


class Bot(discord.Client):
    def __init__(self) -> None:
        intents = discord.Intents(guilds=True, members=True, messages=True, reactions=True, message_content=True)
        watching = discord.Activity(type=discord.ActivityType.watching, name="the sands")
        super().__init__(intents=intents, activity=watching)
        self.tree = discord.app_commands.CommandTree(self)

    async def on_ready(self) -> None:
        saw(f"ready as {self.user.name}")
        guild = self.guilds[0]
        channels = ",".join(sorted(channel.name for channel in guild.channels))
        roles = ",".join(sorted(role.name for role in guild.roles))
        saw(f"server {guild.name} with channels {channels} and roles {roles}")
        members = ",".join(sorted(member.name for member in await guild.query_members(user_ids=[m.id for m in guild.members])))
        saw(f"members {members}")
        await self.tree.sync()
        await self.change_presence(status=discord.Status.dnd)
        saw("command registered")

    async def on_member_update(self, before: discord.Member, after: discord.Member) -> None:
        if len(before.roles) < len(after.roles):
            saw(f"{after.name} has a role more")

    async def on_member_join(self, member: discord.Member) -> None:
        saw(f"{member.name} joined")

    async def on_resumed(self) -> None:
        saw("resumed")


bot = Bot()


@bot.tree.command(description="Harvest spice")
@discord.app_commands.describe(amount="How much")
async def spice(interaction: discord.Interaction, amount: int) -> None:
    saw(f"command spice {amount} of {interaction.user.display_name}")
    await interaction.response.defer()
    await interaction.edit_original_response(content="harvesting")
    embed = discord.Embed(title="Harvest", colour=0xC2B280).add_field(name="Spice", value="3")
    await interaction.followup.send(embed=embed, view=More())
    saw("command answered")


async def main() -> None:
    async with bot:
        running = asyncio.create_task(bot.start(os.environ["EMULATOR_TOKEN"]))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await bot.close()
        await running


asyncio.run(main())
