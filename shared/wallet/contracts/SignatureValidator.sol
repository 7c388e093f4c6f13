// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Checks a signature of a contract wallet that may not be deployed (ERC-6492). Runs by an eth_call without `to`: the constructor
/// returns one byte, 1 for a valid signature, where a new contract's code would be. Nothing is created.
contract SignatureValidator {
    /// `wrapped` is the signature without the suffix of ERC-6492: factory, call data for it, and the wallet's signature.
    constructor(address account, bytes32 hash, bytes memory wrapped) {
        (address factory, bytes memory deployment, bytes memory signature) =
            abi.decode(wrapped, (address, bytes, bytes));
        bool valid = account.code.length != 0 && accepts(account, hash, signature);
        if (!valid) {
            // The wallet is not deployed, or it is and needs this call before it accepts. Its output is not copied: it could be
            // long enough to use up the gas.
            assembly ("memory-safe") {
                pop(call(gas(), factory, 0, add(deployment, 32), mload(deployment), 0, 0))
            }
            valid = accepts(account, hash, signature);
        }
        assembly {
            mstore8(0, valid)
            return(0, 1)
        }
    }

    /// ERC-1271. An account without code returns nothing and does not accept.
    function accepts(address account, bytes32 hash, bytes memory signature) private view returns (bool valid) {
        // isValidSignature(bytes32,bytes); the selector is also the value that accepts.
        bytes memory data = abi.encodeWithSelector(0x1626ba7e, hash, signature);
        assembly ("memory-safe") {
            mstore(0, 0)
            let returned := staticcall(gas(), account, add(data, 32), mload(data), 0, 32)
            let accepted := eq(mload(0), shl(224, 0x1626ba7e))
            valid := and(and(returned, accepted), gt(returndatasize(), 31))
        }
    }
}
