// The test bot in discord.js. What it does and prints is described in tests/it/libraries/mod.rs.
const {
  ActionRowBuilder, ActivityType, ButtonBuilder, ButtonStyle, Client, EmbedBuilder, Events, GatewayIntentBits, SlashCommandBuilder,
} = require("discord.js");

const saw = (text) => console.log(text);

const client = new Client({
  // This option alone points it at the emulator: the gateway's address comes from GET /gateway/bot.
  rest: { api: process.env.EMULATOR_API },
  intents: [
    GatewayIntentBits.Guilds, GatewayIntentBits.GuildMembers, GatewayIntentBits.GuildMessages,
    GatewayIntentBits.GuildMessageReactions, GatewayIntentBits.MessageContent,
  ],
  presence: { status: "idle", activities: [{ name: "the sands", type: ActivityType.Watching }] },
});

client.once(Events.ClientReady, async (ready) => {
  saw(`ready as ${ready.user.username}`);
  const guild = ready.guilds.cache.first();
  const channels = guild.channels.cache.map((channel) => channel.name).sort();
  const roles = guild.roles.cache.map((role) => role.name).sort();
  saw(`server ${guild.name} with channels ${channels} and roles ${roles}`);
  const members = await guild.members.fetch();
  saw(`members ${members.map((member) => member.user.username).sort()}`);
  const command = new SlashCommandBuilder().setName("spice").setDescription("Harvest spice")
    .addIntegerOption((option) => option.setName("amount").setDescription("How much").setRequired(true));
  await ready.application.commands.create(command);
  ready.user.setPresence({ status: "dnd", activities: [] });
  saw("command registered");
});

client.on(Events.InteractionCreate, async (interaction) => {
  if (interaction.isChatInputCommand()) {
    saw(`command ${interaction.commandName} ${interaction.options.getInteger("amount")} of ${interaction.member.displayName}`);
    await interaction.deferReply();
    await interaction.editReply("harvesting");
    const button = new ButtonBuilder().setCustomId("more").setLabel("More").setStyle(ButtonStyle.Primary);
    await interaction.followUp({
      embeds: [new EmbedBuilder().setTitle("Harvest").setColor(0xc2b280).addFields({ name: "Spice", value: "3" })],
      components: [new ActionRowBuilder().addComponents(button)],
    });
    saw("command answered");
  } else if (interaction.isButton()) {
    saw(`button ${interaction.customId} on ${interaction.message.embeds[0].title}`);
    await interaction.update({ content: "harvested", components: [] });
    const message = await interaction.channel.send({ content: "wurm", files: [{ attachment: Buffer.from("sand"), name: "sand.txt" }] });
    await message.edit("worm");
    await message.react("🌊");
    saw(`message ${message.content} with ${message.attachments.first().name}`);
    const role = interaction.guild.roles.cache.find((known) => known.name === "Fremen");
    await interaction.member.roles.add(role, "rode a worm");
  }
});

client.on(Events.GuildMemberUpdate, (before, after) => {
  if (before.roles.cache.size < after.roles.cache.size) saw(`${after.user.username} has a role more`);
});
client.on(Events.GuildMemberAdd, (member) => saw(`${member.user.username} joined`));
client.on(Events.ShardResume, () => saw("resumed"));
client.on(Events.Error, (error) => saw(`error ${error}`));

process.stdin.on("end", () => client.destroy()).resume();
client.login(process.env.EMULATOR_TOKEN);
