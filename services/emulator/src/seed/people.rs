//! The users of the lively servers: user name, display name, tier (1 Naib to 9 Hajra, 0 none), days since joining.

/// Members of Sietch Tabr, in the order of their ids.
pub(super) const PEOPLE: [(&str, &str, usize, u64); 40] = [
    ("stilgar", "Stilgar", 1, 412),
    ("liet_kynes", "Liet-Kynes", 1, 398),
    ("chani", "Chani", 1, 377),
    ("jamis", "Jamis", 1, 350),
    ("mapes", "Shadout Mapes", 1, 301),
    ("harah", "Harah", 1, 288),
    ("otheym", "Otheym", 1, 240),
    ("korba", "Korba", 2, 233),
    ("farok", "Farok", 2, 221),
    ("shishakli", "Shishakli", 2, 214),
    ("tandis", "Tandis", 2, 180),
    ("geoff_of_tuek", "Geoff", 2, 171),
    ("larus", "Larus", 2, 166),
    ("bijaz", "Bijaz", 2, 120),
    ("ramallo", "Ramallo", 3, 118),
    ("alia", "Alia", 3, 110),
    ("lichna", "Lichna", 3, 97),
    ("orlop", "Orlop", 3, 95),
    ("kaleff", "Kaleff", 4, 92),
    ("esmar_tuek", "Esmar Tuek", 4, 90),
    ("staban", "Staban Tuek", 4, 89),
    ("muriz", "Muriz", 5, 84),
    ("assan_tariq", "Assan Tariq", 5, 77),
    ("namri", "Namri", 5, 73),
    ("sabiha", "Sabiha", 6, 66),
    ("melides", "Melides", 6, 60),
    ("zaal", "Zaal", 6, 58),
    ("ghadhean", "Ghadhean al-Fali", 7, 44),
    ("agarves", "Buer Agarves", 7, 40),
    ("javid", "Ziarenko Javid", 7, 33),
    ("atriba", "Atriba", 8, 31),
    ("dhuri", "Dhuri", 8, 29),
    ("rajifiri", "Rajifiri", 8, 21),
    ("subiay", "Subiay", 9, 18),
    ("tahaddi", "Tahaddi", 9, 12),
    ("isham", "Isham", 9, 9),
    ("nayla", "Nayla", 0, 6),
    ("kadis", "Kadis", 0, 3),
    ("mirlat", "Mirlat", 0, 2),
    ("uliet", "Uliet", 0, 1),
];

/// Messages: author (number in the list, from 1), channel, text. Oldest first.
pub(super) const TALK: [(usize, &str, &str); 26] = [
    (
        1,
        "water-discipline",
        "A man's flesh is his own; his water belongs to the tribe. Be kind, share what you know, sell nothing here.",
    ),
    (
        1,
        "water-discipline",
        "Never answer a private message that asks for your words or your keys. We never write first.",
    ),
    (
        2,
        "announcements",
        "The catch-basins are at thirty-eight million decalitres. The census is drawn anew every six hours.",
    ),
    (
        3,
        "announcements",
        "New this week: press **My place** under the leaderboard to jump to your own line.",
    ),
    (
        34,
        "cave-entrance",
        "First night in the sietch. Where do I put my stilltent?",
    ),
    (31, "cave-entrance", "Anywhere the sand does not drum. Welcome, Subiay."),
    (
        32,
        "cave-entrance",
        "Ask in #support if your wallet does not show up, it took me two tries.",
    ),
    (
        28,
        "the-depths",
        "Crossed two hundred and twenty-two this morning. Qanat at last.",
    ),
    (
        25,
        "the-depths",
        "May your crossings be few. Sihaya is only the next dune.",
    ),
    (26, "the-depths", "Does the rank count what is staked? Mine looks low."),
    (
        22,
        "the-depths",
        "Only what is held on chain when the sync runs. Look at /position, it says *as of*.",
    ),
    (
        16,
        "inner-sanctum",
        "The rites are for the new moon. Who brings the water?",
    ),
    (15, "inner-sanctum", "I do. I always do."),
    (19, "inner-sanctum", "Then I bring the literjons."),
    (
        8,
        "general",
        "Sixty-nine seats and sixty-nine knives. Who sits at the door tonight?",
    ),
    (9, "general", "I do. Korba owes me a cup of coffee for the last time."),
    (
        10,
        "general",
        "The one at rank 70 is close. Somebody watch the threshold.",
    ),
    (
        11,
        "spice",
        "Spice is down four in a hundred since the last harvest. I am not selling.",
    ),
    (12, "spice", "Nobody asked you to, Tandis."),
    (
        14,
        "water-shares",
        "I shared my water with Shishakli, who carried me over the false wall.",
    ),
    (
        13,
        "introductions",
        "Larus, of the caravan before the guild came. I repair stillsuits.",
    ),
    (4, "council-rock", "I say we open the oasis to those of ninety days."),
    (
        5,
        "council-rock",
        "And I say the oasis is for those who were given water. That is what the word means.",
    ),
    (6, "council-rock", "Vote at the next council. Seven voices, no more."),
    (37, "bot-commands", "What do I type to verify?"),
    (
        33,
        "bot-commands",
        "/verify start — it gives you a link. It asks for a signature, never for a transaction.",
    ),
];

/// Members of Arrakeen Market (numbers in the list above, from 1).
pub(super) const TRADERS: [usize; 6] = [20, 21, 12, 37, 38, 40];
