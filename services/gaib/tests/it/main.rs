//! Sessions with the real binary against the emulator.
