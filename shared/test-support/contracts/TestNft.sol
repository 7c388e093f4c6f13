// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// ERC-721 for tests: anyone may mint, burn and move. mintConsecutive emits one ERC-2309 event for many ids.
contract TestNft {
    event Transfer(address indexed from, address indexed to, uint256 indexed id);
    event ConsecutiveTransfer(uint256 indexed fromTokenId, uint256 toTokenId, address indexed fromAddress, address indexed toAddress);

    string public name;
    string public symbol;
    mapping(address => uint256) private balances;
    mapping(uint256 => address) private owners;

    constructor(string memory name_, string memory symbol_) {
        name = name_;
        symbol = symbol_;
    }

    function mint(address to, uint256 id) external {
        give(to, id);
        emit Transfer(address(0), to, id);
    }

    function mintConsecutive(address to, uint256 first, uint256 last) external {
        for (uint256 id = first; id <= last; id++) give(to, id);
        emit ConsecutiveTransfer(first, last, address(0), to);
    }

    /// The event alone, for ranges that no contract can store.
    function announceConsecutive(address to, uint256 first, uint256 last) external {
        emit ConsecutiveTransfer(first, last, address(0), to);
    }

    function burn(uint256 id) external {
        address from = ownerOf(id);
        balances[from] -= 1;
        delete owners[id];
        emit Transfer(from, address(0), id);
    }

    function move(address to, uint256 id) external {
        address from = ownerOf(id);
        balances[from] -= 1;
        balances[to] += 1;
        owners[id] = to;
        emit Transfer(from, to, id);
    }

    function balanceOf(address owner) external view returns (uint256) {
        require(owner != address(0), "zero address");
        return balances[owner];
    }

    function ownerOf(uint256 id) public view returns (address) {
        address owner = owners[id];
        require(owner != address(0), "no such id");
        return owner;
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x80ac58cd;
    }

    function give(address to, uint256 id) private {
        require(owners[id] == address(0), "id exists");
        owners[id] = to;
        balances[to] += 1;
    }
}
