// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// ERC-1155 for tests: anyone may mint, burn and move, one id at a time or several in one event.
contract TestMultiToken {
    event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
    event TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values);

    mapping(uint256 => mapping(address => uint256)) private balances;

    function move(address from, address to, uint256 id, uint256 amount) external {
        change(from, to, id, amount);
        emit TransferSingle(msg.sender, from, to, id, amount);
    }

    function moveBatch(address from, address to, uint256[] calldata ids, uint256[] calldata amounts) external {
        for (uint256 i = 0; i < ids.length; i++) change(from, to, ids[i], amounts[i]);
        emit TransferBatch(msg.sender, from, to, ids, amounts);
    }

    function balanceOf(address owner, uint256 id) public view returns (uint256) {
        return balances[id][owner];
    }

    function balanceOfBatch(address[] calldata owners, uint256[] calldata ids) external view returns (uint256[] memory all) {
        require(owners.length == ids.length, "lengths differ");
        all = new uint256[](owners.length);
        for (uint256 i = 0; i < owners.length; i++) all[i] = balanceOf(owners[i], ids[i]);
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0xd9b67a26;
    }

    /// The zero address as sender mints, as receiver burns.
    function change(address from, address to, uint256 id, uint256 amount) private {
        if (from != address(0)) balances[id][from] -= amount;
        if (to != address(0)) balances[id][to] += amount;
    }
}
