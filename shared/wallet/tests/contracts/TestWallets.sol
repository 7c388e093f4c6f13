// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A wallet with one owner. Accepts 65 bytes that the owner's key signed; reverts for another length.
contract TestWallet {
    address private immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) public view virtual returns (bytes4) {
        require(signature.length == 65, "length");
        address signer = ecrecover(hash, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
        return signer != address(0) && signer == owner ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// Deploys wallets to addresses that are known before.
contract TestWalletFactory {
    function deploy(address owner, bytes32 salt) external returns (address) {
        return address(new TestWallet{salt: salt}(owner));
    }

    function addressOf(address owner, bytes32 salt) external view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(TestWallet).creationCode, abi.encode(owner)));
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, code)))));
    }

    /// A call that does not deploy anything.
    function refuse() external pure {
        revert("refused");
    }
}

/// A wallet that accepts its owner's signature only after a call.
contract TestMigratingWallet is TestWallet {
    bool private migrated;

    constructor(address owner_) TestWallet(owner_) {}

    function migrate() external {
        migrated = true;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) public view override returns (bytes4) {
        require(migrated, "migrate first");
        return super.isValidSignature(hash, signature);
    }
}

/// Wallets that do not do as the standard has it.
contract TestHostileWallet {
    uint256 private immutable kind;

    constructor(uint256 kind_) {
        kind = kind_;
    }

    fallback() external {
        uint256 what = kind;
        assembly {
            mstore(0, shl(224, 0x1626ba7e))
            switch what
            // Reverts with the accepting value.
            case 0 { revert(0, 32) }
            // Returns the accepting value without its padding.
            case 1 { return(0, 4) }
            // Returns the accepting value with another byte in its padding.
            case 2 {
                mstore8(31, 1)
                return(0, 32)
            }
            // Uses all gas.
            case 3 { invalid() }
            // Returns true, as an older draft of the standard had it.
            default {
                mstore(0, 1)
                return(0, 32)
            }
        }
    }
}
