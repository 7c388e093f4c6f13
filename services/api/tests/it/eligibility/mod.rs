mod list;
mod of_address;
